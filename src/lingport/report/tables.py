"""The tables of a report as plain data: scores per task, gains, costs, language modules, jobs, unusable outputs.

Scores are means over seeds, shown as 0 to 100. Not here: how a table is drawn (`page.py`, `markdown.py`,
`terminal.py`), and sentences (`words.py`).
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lingport.config.modules import CONFIGURATIONS, KIND_LETTERS
from lingport.report.read import Row, Run
from lingport.report.scores import Scores, complete_mean, row_label

MISSING, FAILED = "–", "failed"
#: follows a mean that not all seeds are in yet
PARTIAL = "†"
#: ties of more rows than this are not marked: no row stands out
MAX_TIED = 3
_LANGUAGE_JOB = re.compile(r"l(?P<letter>[a-z])-(?P<language>.+)[-.]s\d+")


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: What is shown.
        value: The number behind it, for marking and for other programs; None where there is none.
        rank: 1 for the best of its column, 2 for the second, 0 for the others.
        tail: What follows the number in `text`: ± and the mark of missing seeds; may be empty.
    """

    text: str
    value: float | None = None
    rank: int = 0
    tail: str = ""

    @property
    def number(self) -> str:
        """The text without its tail."""
        return self.text.removesuffix(self.tail)


@dataclass(frozen=True)
class Table:
    """A table: a title, a note, column heads (the first is the row labels' own), rows of cells."""

    title: str
    head: list[str]
    rows: list[tuple[str, list[Cell]]]
    note: str = ""

    def tail_widths(self) -> list[int]:
        """Returns the letters of the longest tail of each column after the labels, for lining up."""
        return [max((len(cells[c].tail) for _, cells in self.rows), default=0) for c in range(len(self.head) - 1)]

    def plain(self) -> dict[str, Any]:
        """Returns the table as lists, strings and numbers only, for JSON."""
        rows = [
            {
                "label": label,
                "cells": [{"text": c.text, "value": c.value, "rank": c.rank} for c in cells],
            }
            for label, cells in self.rows
        ]
        return {"title": self.title, "note": self.note, "columns": self.head, "rows": rows}


def score_table(scores: Scores) -> Table:
    """Returns configuration × target with the best of each column marked, and the zero-shot average."""
    zero_shot = scores.zero_shot()
    in_source = scores.targets[len(zero_shot) :]
    head = ["configuration", *zero_shot, "average", *(f"{target} (source)" for target in in_source)]
    rows = [
        (
            label,
            [
                *(_score_cell(scores, label, target) for target in zero_shot),
                _average_cell(scores, label),
                *(_score_cell(scores, label, target) for target in in_source),
            ],
        )
        for label in scores.labels
    ]
    rows = _ranked(rows)
    if scores.majority:
        share = {target: _number(100 * part) for target, part in scores.majority.items()}
        cells = [share.get(target, Cell(MISSING)) for target in zero_shot]
        cells += [_number(scores.majority_average())]
        rows.append(("largest class", cells + [share.get(target, Cell(MISSING)) for target in in_source]))
    note = f"{scores.score}, 0 to 100; zero-shot from {scores.source}."
    if in_source and zero_shot:
        note += f" The average leaves {scores.source} out."
    seeds = max((len(values) for values in scores.values.values()), default=0)
    if seeds > 1:
        note += f" Mean over {seeds} seeds, ± half their range."
    if any(PARTIAL in cell.text for _, cells in rows for cell in cells):
        note += f" {PARTIAL} some seeds are missing."
    return Table(f"{scores.name}: {scores.score} by target language", head, rows, note)


def _score_cell(scores: Scores, label: str, target: str) -> Cell:
    value = scores.mean(label, target)
    if value is None:
        return Cell(FAILED if (label, target) in scores.failed else MISSING)
    half = scores.half_range(label, target)
    tail = ("" if half is None else f" ±{half:.1f}") + ("" if scores.is_whole(label, target) else PARTIAL)
    return Cell(f"{value:.1f}{tail}", value, tail=tail)


def _average_cell(scores: Scores, label: str) -> Cell:
    value = scores.average(label)
    if value is None:
        return Cell(MISSING)
    tail = "" if all(scores.is_whole(label, target) for target in scores.zero_shot()) else PARTIAL
    return Cell(f"{value:.1f}{tail}", value, tail=tail)


def _ranked(rows: Sequence[tuple[str, list[Cell]]]) -> list[tuple[str, list[Cell]]]:
    """Ranks by what is shown: two rows of 61.3 are both best, whatever their further digits."""
    ranked = [(label, list(cells)) for label, cells in rows]
    for column in range(len(rows[0][1]) if rows else 0):
        values = [cells[column].value for _, cells in rows]
        shown = [None if value is None else round(value, 1) for value in values]
        best = sorted({value for value in shown if value is not None}, reverse=True)
        if len(best) < 2:
            continue
        for rank, value in enumerate(best[:2], start=1):
            places = [place for place, other in enumerate(shown) if other == value]
            if len(places) > MAX_TIED:
                break
            for place in places:
                cell = ranked[place][1][column]
                ranked[place][1][column] = Cell(cell.text, cell.value, rank, cell.tail)
    return ranked


def gain_table(scores: Scores, *, over: str = "ta") -> Table | None:
    """Returns each row's gain over another per target in points, or None where that other was not run."""
    others = [label for label in scores.labels if label != over]
    if not others or not any(label == over for label, _ in scores.values):
        return None
    rows = []
    for label in others:
        gains = [scores.gain(label, target, over=over) for target in scores.zero_shot()]
        rows.append((label, [_signed(gain) for gain in [*gains, complete_mean(gains)]]))
    head = ["configuration", *scores.zero_shot(), "average"]
    return Table(
        f"{scores.name}: gain over {over}", head, rows, f"Points of {scores.score} above {over}, mean over seeds."
    )


def cost_table(run: Run, scores: Scores) -> Table | None:
    """Returns what each configuration costs beside what it scores, or None before any module is trained."""
    rows = []
    for configuration in run.recipe["configurations"]:
        jobs = [job for job in run.done("task") if _is_of(job, configuration, scores)]
        language = CONFIGURATIONS[configuration].language
        below = [job for job in run.done("language") if language is not None and kind_of(job) == language]
        if not jobs:
            continue
        cells = [
            _integer(_mean_of(jobs, "num_trained")),
            _integer(_mean_of(below, "num_trained")),
            _seconds(_mean_of(jobs, "seconds")),
            _seconds(_mean_of(below, "seconds")),
            _mebibytes(max((job.get("peak_bytes") or 0 for job in jobs), default=0) or None),
            _number(scores.average(configuration)),
        ]
        rows.append((configuration, cells))
    if not rows:
        return None
    head = ["configuration", "task numbers", "language numbers", "task s", "language s", "peak MiB", "average"]
    note = (
        "Trained numbers and seconds of one task module and of one language module, means over seeds and languages. "
        f"Average {scores.score} over the zero-shot targets."
    )
    return Table(f"{scores.name}: cost and score", head, rows, note)


def language_table(run: Run) -> Table | None:
    """Returns per language the held-out loss without a module and with each kind, means over seeds."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    kinds: list[str] = []
    for job in run.done("language"):
        before, after = (job.get(key, {}).get("validation_loss") for key in ("initial", "final"))
        if before is None or after is None:
            continue
        kind, name = kind_of(job), language_of(job)
        kinds += [] if kind in kinds else [kind]
        found.setdefault(name, {}).setdefault(kind, []).append((before, after))
    if not found:
        return None
    rows = []
    for name, losses in found.items():
        cells = [_loss(before for pairs in losses.values() for before, _ in pairs)]
        for kind in kinds:
            pairs = losses.get(kind, [])
            cells += [
                _loss(after for _, after in pairs),
                _loss((after - before for before, after in pairs), sign="+"),
            ]
        rows.append((name, cells))
    head = ["language", "without"] + [text for kind in kinds for text in (f"with {kind}", f"{kind} change")]
    note = "Span-corruption loss on held-out text of the language, nats per target token; lower is better."
    return Table("Language modules", head, rows, note)


def job_table(run: Run) -> Table | None:
    """Returns what each training job cost."""
    rows = []
    for job in [*run.done("language"), *run.done("task")]:
        cells = [
            _integer(job.get("num_trained")),
            _integer(job.get("steps")),
            _integer(job.get("final", {}).get("best_step")),
            _seconds(job.get("seconds")),
            _mebibytes(job.get("peak_bytes")),
        ]
        rows.append((job["name"], cells))
    if not rows:
        return None
    head = ["job", "trained numbers", "steps", "kept step", "seconds", "peak MiB"]
    return Table("Training jobs", head, rows, "Peak memory is that of the process, or of the GPU where one was used.")


def unusable_table(run: Run) -> Table | None:
    """Returns per task and configuration how much was cut, unreadable, or in the wrong script."""
    keys = ["examples", "inputs_cut", "outputs_cut", "unreadable", "wrong_script"]
    counts: dict[tuple[str, str], list[Row]] = {}
    for row in run.results:
        if row["status"] == "done" and "counts" in row:
            counts.setdefault((row["task"], row_label(row["configuration"], row["policy"])), []).append(row["counts"])
    if not counts:
        return None
    rows = [
        (
            f"{task}, {label}",
            [
                _integer(sum(c[key] for c in found if key in c) if any(key in c for c in found) else None)
                for key in keys
            ],
        )
        for (task, label), found in counts.items()
    ]
    head = ["task, configuration", "outputs", "inputs cut", "outputs cut", "unreadable", "wrong script"]
    note = "Summed over sources, targets and seeds. Unreadable outputs count as wrong."
    return Table("Cut and unusable", head, rows, f"{note} {MISSING} is not measured for the task.")


def failure_table(run: Run) -> Table | None:
    """Returns the jobs that failed or were blocked, with the reason."""
    rows = [
        (job["name"], [Cell(job["status"]), Cell(str(job.get("error") or MISSING))])
        for job in run.jobs
        if job["status"] != "done"
    ]
    return Table("Failed jobs", ["job", "status", "reason"], rows) if rows else None


def kind_of(job: Row) -> str:
    """Returns the kind of a language job's module, from its name (`lp-sk-s1` is a prompt)."""
    match = _LANGUAGE_JOB.fullmatch(job["name"])
    return next((kind for kind, letter in KIND_LETTERS.items() if match and letter == match["letter"]), "module")


def language_of(job: Row) -> str:
    """Returns the language of a language job, from its name."""
    match = _LANGUAGE_JOB.fullmatch(job["name"])
    return match["language"] if match else job["name"]


def _is_of(job: Row, configuration: str, scores: Scores) -> bool:
    return (
        re.fullmatch(
            rf"{re.escape(configuration)}-{re.escape(scores.task)}-{re.escape(scores.source)}[-.]s\d+", job["name"]
        )
        is not None
    )


def _mean_of(jobs: Sequence[Row], key: str) -> float | None:
    known = [job[key] for job in jobs if job.get(key) is not None]
    return statistics.fmean(known) if known else None


def _number(value: float | None) -> Cell:
    return Cell(MISSING) if value is None else Cell(f"{value:.1f}", value)


def _signed(value: float | None) -> Cell:
    if value is None:
        return Cell(MISSING)
    return Cell(f"{value:+.1f}" if round(value, 1) else "0.0", value)


def _integer(value: float | None) -> Cell:
    return Cell(MISSING) if value is None else Cell(f"{value:,.0f}", value)


def _seconds(value: float | None) -> Cell:
    return Cell(MISSING) if value is None else Cell(f"{value:,.1f}", value)


def _mebibytes(value: float | None) -> Cell:
    return Cell(MISSING) if value is None else Cell(f"{value / 2**20:,.0f}", value)


def _loss(values: Iterable[float], *, sign: str = "") -> Cell:
    known = list(values)
    if not known:
        return Cell(MISSING)
    mean = statistics.fmean(known)
    return Cell(f"{mean:{sign}.3f}", mean)
