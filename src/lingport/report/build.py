"""Makes a run's report: HTML, Markdown, LaTeX and CSV files. Same run, same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingport.report import words
from lingport.report.contents import Section, contents
from lingport.report.csv_files import points_csv, results_csv
from lingport.report.estimates import estimate_scores
from lingport.report.latex import latex
from lingport.report.markdown import markdown
from lingport.report.page import html_page
from lingport.report.read import Run, read_run
from lingport.report.scores import Scores, collect_scores
from lingport.report.standings import collect_standings
from lingport.report.table import Table

#: format -> file in the run's `report` folder
FORMATS = {
    "html": "index.html",
    "markdown": "report.md",
    "latex": "tables.tex",
    "csv": "points.csv",
    "cells": "results.csv",
}
#: sentences at the head of a report; further ones stand in their sections only
MAX_SENTENCES = 8


@dataclass(frozen=True)
class Report:
    """A report and where it was written.

    Attributes:
        run: What was read.
        scores: Scores per task, source, shots and settings.
        sections: What the report says.
        sentences: How much of the run is done, what is best over all tasks, and on each task, and what names mean.
        folder: Where the files lie; see FORMATS.
    """

    run: Run
    scores: list[Scores]
    sections: list[Section]
    sentences: list[str]
    folder: Path

    def file(self, form: str) -> Path:
        """Returns the file of a format."""
        return self.folder / FORMATS[form]

    @property
    def html(self) -> Path:
        """The page."""
        return self.file("html")

    @property
    def tables(self) -> list[Table]:
        """Every table, in the order of the page."""
        return [table for section in self.sections for table in section.tables()]

    def plain_tables(self) -> list[dict[str, Any]]:
        """Returns every table as plain data: title, note, columns, rows of label and cells."""
        return [table.plain() for table in self.tables]


def build_report(run_dir: Path) -> Report:
    """Returns the report of a run, written into `run_dir/report`.

    Args:
        run_dir: A run's folder; the run may be under way or partly failed.

    Raises:
        DataError: There is no run, or a file of it is damaged.
    """
    run = read_run(run_dir)
    estimates = estimate_scores(run)
    scores = collect_scores(run, estimates)
    sections = contents(run, scores)
    report = Report(run, scores, sections, _sentences(run, scores), run_dir / "report")
    texts = {
        "html": html_page(run.recipe, report.sentences, sections),
        "markdown": markdown(run.recipe, report.sentences, sections),
        "latex": latex(run.recipe["name"], report.tables),
        "csv": points_csv(run, estimates),
        "cells": results_csv(run),
    }
    report.folder.mkdir(parents=True, exist_ok=True)
    for form, text in texts.items():
        file = report.file(form)
        staging = file.with_name(f".{file.name}")
        staging.write_text(text, encoding="utf-8")
        staging.replace(file)
    return report


def _sentences(run: Run, scores: list[Scores]) -> list[str]:
    standings = collect_standings([each for each in scores if not each.mixture])
    overall = words.overall(standings) if standings else None
    first = {(each.task, each.source, each.mixture): each for each in reversed(scores)}
    firsts = [each for each in scores if first[each.task, each.source, each.mixture] is each]
    said = [words.best(each) for each in firsts[:MAX_SENTENCES]]
    return [words.counts(run), *([overall] if overall else []), *said, words.NAMES]
