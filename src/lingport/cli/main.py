"""The command `lingport`: its verbs, and what happens to errors. A verb imports what it needs when it is called.

Not here: what a verb does (one file each), and what is shown (`show.py`).
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from lingport.cli import (
    bench,
    check,
    data,
    demo,
    evaluate,
    modules,
    predict,
    pretrain,
    recommend,
    report,
    run,
    status,
    train_language,
    train_task,
    trim,
)
from lingport.errors import LingportError

EXIT_INTERRUPTED = 130
DEBUG = "--debug"
# Read by the libraries when they are imported, which is later than this. Our own progress says what goes on.
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class Verbs(TyperGroup):
    """All verbs. Turns errors into a short text and an exit code; `--debug` may stand anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Returns the arguments without `--debug`; see `TyperGroup.parse_args`."""
        before, rest = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, [])
        ctx.meta[DEBUG] = DEBUG in before
        return super().parse_args(ctx, [*(arg for arg in before if arg != DEBUG), *rest])

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb; see `TyperGroup.invoke`."""
        try:
            return super().invoke(ctx)
        except LingportError as error:
            if ctx.meta[DEBUG]:
                traceback.print_exc()
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            text = "stopped. What is done is kept: the same command again continues from there."
            typer.echo(f"\n{text}", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error


app = typer.Typer(
    cls=Verbs,
    name="lingport",
    rich_markup_mode=None,  # markup would eat the brackets of key=[1,2]
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(value: bool) -> None:
    if value:
        from lingport import __version__

        typer.echo(f"lingport {__version__}")
        raise typer.Exit


@app.callback(
    epilog="\b\nTo begin:\n  lingport demo\n  lingport check recipes/demo.yaml\n  lingport run recipes/demo.yaml\n"
    "\nExit codes: 0 fine, 1 failed, 2 bad input."
)
def lingport(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    debug: bool = typer.Option(False, "--debug", help="Show everything that is logged, and tracebacks of errors."),
) -> None:
    """Carry a task to a new language, with small modules on a frozen multilingual model."""


for _verb in (
    demo, check, run, status, train_language, train_task, evaluate, predict, pretrain, report, recommend, trim, bench,
):  # fmt: skip
    _verb.add_to(app)
app.add_typer(modules.app, name="modules")
app.add_typer(data.app, name="data")


def be_quiet(*, debug: bool) -> None:
    """Keeps other libraries from talking in between; `debug` lets them, and shows everything that is logged."""
    # Settings of the whole process, so only the program makes them: whoever calls `app` has their own.
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("lingport.data.fetch").setLevel(logging.INFO)  # nothing is fetched without a note
    if debug:
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("httpx", "huggingface_hub", "filelock", "fsspec", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")  # of libraries, about their own insides; --debug shows them


def main() -> None:
    """Runs the command line; the console script `lingport`."""
    be_quiet(debug=DEBUG in sys.argv)
    app()
