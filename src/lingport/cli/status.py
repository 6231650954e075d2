"""`lingport status`: which jobs of a run are done, running, failed or waiting, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from lingport.cli.options import Json, example
from lingport.cli.show import answer, one_line, table

EXAMPLES = """
lingport status runs/demo
lingport status runs/demo --all
lingport status runs/demo --json
"""
#: waiting jobs that are shown one by one
_MOST_WAITING = 10


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("status", short_help="Show how far a run is.", epilog=example(EXAMPLES))(status)


def status(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder; the run may be under way anywhere.")],
    show_all: Annotated[bool, typer.Option("--all", help="List every job, also those that are done.")] = False,
    as_json: Json = False,
) -> None:
    """Show how far a run is: which jobs are done, running, failed, waiting, and why.

    Reads the run's folder only: it may be asked from any machine that sees the folder, at any time.
    """
    from lingport.grid.status import STATES, read_status

    found = read_status(run)
    if as_json:
        answer({"run": str(run), **dataclasses.asdict(found)})
        return
    rows = []
    for state in STATES:
        jobs = [job for job in found.jobs if job.state == state]
        if not show_all:
            jobs = [] if state == "done" else jobs[:_MOST_WAITING] if state == "waiting" else jobs
        rows += [(job.state, job.phase, job.name, one_line(job.reason)) for job in jobs]
    if rows:
        table(("state", "phase", "job", "why"), rows)
        typer.echo("")
    counts = ", ".join(f"{found.counts[state]:,} {state}" for state in STATES if found.counts[state])
    hosts = {worker["host"] for worker in found.workers}
    at_work = f"; {len(found.workers)} workers on {', '.join(sorted(hosts))}" if hosts else "; nobody is at work"
    is_over = found.counts["done"] == len(found.jobs)
    typer.echo(f"{len(found.jobs):,} jobs: {counts}{'' if is_over else at_work}")
