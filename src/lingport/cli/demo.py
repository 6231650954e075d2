"""`lingport demo`: the recipe that comes with the package, run as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingport.cli.options import Json, Overrides, example
from lingport.cli.run import run_recipe_file

EXAMPLES = """
lingport demo
lingport demo targets=[en,cs] configurations=[none,ta,lp+ta] --out runs/czech
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("demo", short_help="Run the demo on what comes with the package.", epilog=example(EXAMPLES))(demo)


def demo(
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")] = Path("runs/demo"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Run the demo: seven configurations on a small backbone and a corpus, both in the package.

    Needs no network and takes about five minutes on two cores. It is recipes/demo.yaml, which can be copied and
    changed.
    """
    from importlib.resources import as_file, files

    with as_file(files("lingport.demo") / "recipe.yaml") as path:
        run_recipe_file(path, overrides or [], out=out, dry_run=dry_run, as_json=as_json)
