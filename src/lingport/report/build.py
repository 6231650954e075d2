"""Makes a run's report: Markdown, CSV, and one HTML page that needs nothing else. Same run, same bytes."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

from lingport import __version__
from lingport.report import plots
from lingport.report.read import Run, read_run
from lingport.report.tables import (
    Scores,
    Table,
    collect_scores,
    failure_table,
    gain_table,
    job_table,
    language_table,
    score_table,
    summary,
    unusable_table,
)

_RESULT_COLUMNS = ("task", "configuration", "policy", "source", "target", "seed", "status", "main_score")


@dataclass(frozen=True)
class Report:
    """A report and where it was written.

    Attributes:
        run: What was read.
        scores: Scores per task and source.
        score_tables: Their tables.
        others: Language modules, jobs, unusable outputs, failures.
        summary: A sentence per task.
        html: The page.
        markdown: The same as text.
        csv: One row per cell.
    """

    run: Run
    scores: list[Scores]
    score_tables: list[Table]
    others: list[Table]
    summary: list[str]
    html: Path
    markdown: Path
    csv: Path


def build_report(run_dir: Path) -> Report:
    """Returns the report of a run, written into `run_dir/report`.

    Args:
        run_dir: A run's folder; the run may be under way or partly failed.

    Raises:
        DataError: There is no run.
    """
    run = read_run(run_dir)
    scores = collect_scores(run)
    found = (language_table(run), unusable_table(run), job_table(run), failure_table(run))
    folder = run_dir / "report"
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(
        run,
        scores,
        [score_table(each) for each in scores],
        [table for table in found if table is not None],
        summary(scores),
        folder / "index.html",
        folder / "report.md",
        folder / "results.csv",
    )
    for file, text in (
        (report.html, _html(report)),
        (report.markdown, _markdown(report)),
        (report.csv, _csv(run)),
    ):
        staging = file.with_name(f".{file.name}")
        staging.write_text(text, encoding="utf-8")
        staging.replace(file)
    return report


def counts(run: Run) -> str:
    """Returns a sentence on how many cells and jobs are done and failed."""
    done = sum(row["status"] == "done" for row in run.results)
    failed = sum(job["status"] != "done" for job in run.jobs)
    seconds = sum(job.get("seconds") or 0.0 for job in run.jobs)
    text = f"{done} cells done, {len(run.jobs)} jobs in {seconds / 60:.1f} minutes of work."
    return f"{text} {failed} jobs failed or were blocked." if failed else text


def _html(report: Report) -> str:
    run = report.run
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string((files("lingport.report") / "page.html.j2").read_text(encoding="utf-8"))
    tasks = [
        {
            "table": table,
            "heat": plots.heat_map(each),
            "gain_table": gain_table(each),
            "gain": plots.gain_plot(each),
            "cost": plots.cost_plot(run, each),
        }
        for each, table in zip(report.scores, report.score_tables, strict=True)
    ]
    return page.render(
        title=run.recipe["name"],
        description=run.recipe.get("description", ""),
        counts=counts(run),
        summary=report.summary,
        tasks=tasks,
        curves=_curves(run),
        others=report.others,
        recipe=yaml.safe_dump(run.recipe, allow_unicode=True, sort_keys=False),
        version=__version__,
        backbone=run.recipe["backbone"]["name"],
    )


def _curves(run: Run) -> list[tuple[str, str]]:
    """Groups training jobs: language modules by kind, task modules by task, one seed each."""
    seed = f"-s{run.recipe['seeds'][0]}"
    trained = [job for job in run.jobs if job["phase"] != "evaluate" and job["name"].endswith(seed)]
    groups: dict[tuple[str, str], list[str]] = {}
    for job in trained:
        parts = job["name"].split("-")
        title = f"Language modules: {parts[0]}" if job["phase"] == "language" else f"Task modules: {parts[1]}"
        groups.setdefault((job["phase"], title), []).append(job["name"])
    drawn = [(title, plots.curves(run, phase, title, names)) for (phase, title), names in groups.items()]
    return [(title, curve) for title, curve in drawn if curve is not None]


def _markdown(report: Report) -> str:
    run = report.run
    parts = [f"# {run.recipe['name']}", run.recipe.get("description", ""), counts(run)]
    parts.append("\n".join(f"* {line}" for line in report.summary))
    for table in [*report.score_tables, *report.others]:
        parts += [f"## {table.title}", markdown_table(table), table.note]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """Returns a table in Markdown; the best of a column bold, the second in italics."""
    marks = {0: "", 1: "**", 2: "*"}
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)]]
    for label, cells in table.rows:
        lines.append([label, *(f"{marks[cell.rank]}{_inline(cell.text)}{marks[cell.rank]}" for cell in cells)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    return "\n".join(
        "| " + " | ".join(_padded(text, width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _padded(text: str, width: int) -> str:
    if text.startswith("---"):
        return "-" * (width - 1) + text[-1]
    return text.ljust(width)


def _inline(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _csv(run: Run) -> str:
    """All cells with all scores and counts; a missing value is empty."""
    names = sorted({name for row in run.results for name in row.get("scores", {})})
    count_names = sorted({name for row in run.results for name in row.get("counts", {})})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_RESULT_COLUMNS, *names, *(f"num_{name}" for name in count_names), "seconds"])
    for row in sorted(run.results, key=_order):
        values: list[Any] = [row.get(key, "") for key in _RESULT_COLUMNS]
        values += [row.get("scores", {}).get(name, "") for name in names]
        values += [row.get("counts", {}).get(name, "") for name in count_names]
        writer.writerow([*values, row.get("seconds", "")])
    return stream.getvalue()


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("task", "source", "configuration", "policy", "target", "seed"))
