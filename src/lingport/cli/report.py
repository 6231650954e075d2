"""`lingport report`: makes a run's report again and shows its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingport.cli.options import Json, example
from lingport.cli.show import answer, console

EXAMPLES = """
lingport report runs/demo
lingport report runs/demo --json
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("report", short_help="Report on a run: tables, and an HTML page.", epilog=example(EXAMPLES))(report)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder; the run may be under way.")],
    as_json: Json = False,
) -> None:
    """Report on a run: tables here, and Markdown, CSV and one HTML page in RUN/report."""
    from lingport.report.build import build_report

    made = build_report(run)
    if as_json:
        files = {"html": str(made.html), "markdown": str(made.markdown), "csv": str(made.csv)}
        answer({"run": str(run), "report": files, "summary": made.summary, "results": made.run.results})
        return
    from lingport.report.terminal import terminal_table

    console().print(terminal_table(made))
    typer.echo(f"\nreport: {made.html}")
