"""`lingport report`: makes a run's report again and shows its tables."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lingport.cli.options import Json, example
from lingport.cli.show import answer, console

EXAMPLES = """
lingport report runs/demo
lingport report runs/demo --format latex > tables.tex
lingport report runs/demo --json
"""


class Format(StrEnum):
    """What can be printed in the place of the terminal's tables; all are written to RUN/report in any case."""

    html = "html"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    cells = "cells"


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("report", short_help="Report on a run: tables, and an HTML page.", epilog=example(EXAMPLES))(report)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder; the run may be under way.")],
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Print this file of the report; csv has a row per mean, cells one per seed."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Report on a run: tables here, and HTML, Markdown, LaTeX and CSV files in RUN/report.

    Means over seeds with 95 % intervals, tests against ta, average ranks: see docs/statistics.md.
    """
    from lingport.report.build import FORMATS, build_report

    made = build_report(run)
    if as_json:
        answer(
            {
                "run": str(run),
                "report": {name: str(made.file(name)) for name in FORMATS},
                "summary": made.sentences,
                "tables": made.plain_tables(),
                "results": made.run.results,
            }
        )
    elif form is not None:
        typer.echo(made.file(form.value).read_text(encoding="utf-8"), nl=False)
    else:
        from lingport.report.terminal import terminal_table

        console().print(terminal_table(made))
        typer.echo(f"\nreport: {made.html}")
