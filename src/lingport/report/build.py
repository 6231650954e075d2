"""Makes a run's report: Markdown, CSV, and one HTML page that needs nothing else. Same run, same bytes."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingport.report import words
from lingport.report.markdown import markdown, markdown_table
from lingport.report.page import html_page
from lingport.report.read import Row, Run, read_run
from lingport.report.scores import Scores, collect_scores
from lingport.report.tables import (
    Table,
    cost_table,
    failure_table,
    gain_table,
    job_table,
    language_table,
    score_table,
    unusable_table,
)

__all__ = ["Report", "build_report", "markdown_table"]
_COORDINATES = ("task", "configuration", "policy", "source", "target", "seed", "status", "main_score")
_COSTS = ("majority", "num_trained", "seconds", "peak_bytes", "error", "cell")


@dataclass(frozen=True)
class Report:
    """A report and where it was written.

    Attributes:
        run: What was read.
        scores: Scores per task and source.
        score_tables: Their tables.
        others: Language modules, unusable outputs, jobs, failures: those that there are.
        counts: A sentence on how much of the run is done.
        summary: A sentence per task and source.
        html: The page.
        markdown: The same as text.
        csv: One row per cell.
    """

    run: Run
    scores: list[Scores]
    score_tables: list[Table]
    others: list[Table]
    counts: str
    summary: list[str]
    html: Path
    markdown: Path
    csv: Path

    @property
    def all_tables(self) -> list[Table]:
        """Every table, in the order of the page."""
        tables: list[Table | None] = []
        for scores, table in zip(self.scores, self.score_tables, strict=True):
            tables += [table, gain_table(scores), cost_table(self.run, scores)]
        return [table for table in [*tables, *self.others] if table is not None]

    @property
    def tables(self) -> list[dict[str, Any]]:
        """Every table as plain data: title, note, columns, rows of label and cells (text, value, rank)."""
        return [table.plain() for table in self.all_tables]


def build_report(run_dir: Path) -> Report:
    """Returns the report of a run, written into `run_dir/report`.

    Args:
        run_dir: A run's folder; the run may be under way or partly failed.

    Raises:
        DataError: There is no run, or a file of it is damaged.
    """
    run = read_run(run_dir)
    scores = collect_scores(run)
    found = (failure_table(run), language_table(run), unusable_table(run), job_table(run))
    folder = run_dir / "report"
    report = Report(
        run,
        scores,
        [score_table(each) for each in scores],
        [table for table in found if table is not None],
        words.counts(run),
        words.summary(scores),
        folder / "index.html",
        folder / "report.md",
        folder / "results.csv",
    )
    sentences = [report.counts, *report.summary]
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (
        (report.html, html_page(run, sentences, scores, report.score_tables, report.others)),
        (report.markdown, markdown(run.recipe, sentences, report.all_tables)),
        (report.csv, results_csv(run)),
    ):
        staging = file.with_name(f".{file.name}")
        staging.write_text(text, encoding="utf-8")
        staging.replace(file)
    return report


def results_csv(run: Run) -> str:
    """Returns all cells with all scores (0 to 1) and counts; a missing value is empty."""
    names = sorted({name for row in run.results for name in row.get("scores", {})})
    count_names = sorted({name for row in run.results for name in row.get("counts", {})})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COORDINATES, *names, *(f"num_{name}" for name in count_names), *_COSTS])
    for row in sorted(run.results, key=_order):
        values: list[Any] = [row.get(key, "") for key in _COORDINATES]
        values += [row.get("scores", {}).get(name, "") for name in names]
        values += [row.get("counts", {}).get(name, "") for name in count_names]
        writer.writerow([*values, *(row.get(key, "") for key in _COSTS)])
    return stream.getvalue()


def _order(row: Row) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("task", "source", "configuration", "policy", "target", "seed"))
