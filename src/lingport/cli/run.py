"""`lingport run`: does a recipe, or what is missing of it, and reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lingport.cli.options import Json, Overrides, RecipeFile, example
from lingport.cli.show import answer, console, say, table
from lingport.errors import ConfigError

if TYPE_CHECKING:
    from lingport.config.schema import Recipe

EXAMPLES = r"""
lingport run recipes/demo.yaml --out runs/demo
lingport run recipes/demo.yaml --out runs/small configurations=[none,ta] targets=[en,de] \
    task_training.adapter.steps=50
lingport run recipes/demo.yaml --dry-run
lingport run recipes/paper.yaml --on ray:auto
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("run", short_help="Do everything a recipe asks for, and report.", epilog=example(EXAMPLES))(run)


def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder. Default: runs/<name of recipe>.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs, and do nothing.")] = False,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="WHERE",
            help="local (several processes), ray, ray:auto, ray:HOST:PORT, slurm:key=value,... Default: this process.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes, with --on. Default: as many as there is room for.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Do everything a recipe asks for, and report.

    What is done already, in the same run folder and with the same settings and data, is not done again: a run
    that was stopped goes on, and an extended recipe does what is new. Several of these commands may work on one run
    folder at a time: they share the jobs.
    """
    if workers is not None and on is None:
        raise ConfigError("--workers without --on: one process does all jobs", hint="add --on local")
    run_recipe_file(recipe, overrides or [], out=out, dry_run=dry_run, as_json=as_json, on=on, workers=workers)


def run_recipe_file(
    path: Path,
    overrides: list[str],
    *,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    on: str | None = None,
    workers: int | None = None,
) -> None:
    """Does a recipe's missing jobs and shows the report.

    Raises:
        typer.Exit: With 1 where a job failed.
    """
    from lingport.cli.progress import Progress, RunReporter
    from lingport.config.schema import load_recipe
    from lingport.grid.run import open_run

    recipe = load_recipe(path, overrides)
    run_dir = out or Path("runs") / recipe.name
    if dry_run:
        _list_jobs(recipe, run_dir, path.absolute().parent, as_json=as_json)
        return
    _say_backbone(recipe)
    with Progress() as progress:
        reporter = RunReporter(progress)
        opened = open_run(
            recipe,
            run_dir,
            base=path.absolute().parent,
            reporter=reporter,
            on=on,
            num_workers=workers,
        )
        done = opened.done_before()
        reporter.expect(job for job in opened.plan.jobs if job.id not in done)
        summary = opened.run()
    from lingport.report.build import build_report

    report = build_report(run_dir)
    if as_json:
        results = opened.ledger.results()
        answer(
            {
                "run": str(run_dir),
                "done": summary.num_done,
                "done_before": summary.num_skipped,
                "failed": summary.failed,
                "seconds": round(summary.seconds, 1),
                "report": str(report.html),
                "results": [results[cell.id] for cell in opened.plan.cells if cell.id in results],
            }
        )
    else:
        from lingport.report.terminal import terminal_table

        console().print(terminal_table(report))
        typer.echo(f"\nreport: {report.html}")
    if summary.failed:
        say(f"\n{len(summary.failed)} of {len(opened.plan.jobs)} jobs failed or could not begin:")
        for name, reason in summary.failed.items():
            say(f"  {name}: {reason}")
        say(f"  -> tracebacks are in {run_dir / 'jobs.jsonl'}; the same command again tries these jobs once more")
        raise typer.Exit(1)


def _say_backbone(recipe: Recipe) -> None:
    say(f"{recipe.name}: loading the backbone {recipe.backbone.name}")


def _list_jobs(recipe: Recipe, run_dir: Path, base: Path, *, as_json: bool) -> None:
    import dataclasses

    from lingport.grid.preview import preview

    found = preview(recipe, run_dir, base=base)
    for note in found.notes:
        say(f"note: {note}")
    if as_json:
        answer([dataclasses.asdict(job) for job in found.jobs])
        return
    marks = {"exact": "", "estimated": "~", "at most": "<=", "unknown": ""}
    head = ("phase", "job", "needs", "trained", "steps", "rows", "tokens", "")
    shown = [
        (
            job.phase,
            job.name,
            " ".join(job.needs),
            job.num_trained or None,
            job.steps,
            job.rows,
            None if job.tokens is None else f"{marks[job.tokens_are]}{job.tokens:,}",
            "done" if job.done else "",
        )
        for job in found.jobs
    ]
    table(head, shown)
    left = [job for job in found.jobs if not job.done]
    steps, tokens = (sum(getattr(job, key) or 0 for job in left) for key in ("steps", "tokens"))
    typer.echo(f"\n{len(found.jobs)} jobs, {len(found.jobs) - len(left)} done")
    if left:
        typer.echo(f"left: {steps:,} steps, {tokens:,} input tokens where they are known (~ estimated, <= at most)")
