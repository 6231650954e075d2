"""The tables of a report as plain data: scores per task, language modules, jobs, unusable outputs.

Scores are means over seeds, shown as 0 to 100. Not here: how a table is drawn (`render.py`, `terminal.py`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lingport.report.read import Row, Run

MISSING, FAILED = "–", "failed"
#: how a policy is named in a row's label; the method's own needs no name
POLICY_LABELS = {
    "source": "source module kept",
    "none": "no language module",
    "untrained": "untrained module",
}


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: What is shown.
        value: The number behind it, for marking and plots; None where there is none.
        rank: 1 for the best of its column, 2 for the second, 0 for the others.
    """

    text: str
    value: float | None = None
    rank: int = 0


@dataclass(frozen=True)
class Table:
    """A table: a title, a note, column heads (the first is the row labels' own), rows of cells."""

    title: str
    head: list[str]
    rows: list[tuple[str, list[Cell]]]
    note: str = ""


@dataclass(frozen=True)
class Scores:
    """Scores of one task from one source language.

    Attributes:
        task: Its name.
        source: Source language.
        score: Name of the score.
        targets: Languages, the source last if it is tested.
        labels: Row labels: configurations, with a policy where it is not the method's own.
        values: (label, target) -> scores of the seeds that are done.
        failed: (label, target) of cells that failed.
        majority: Target -> share of the largest class.
    """

    task: str
    source: str
    score: str
    targets: list[str]
    labels: list[str]
    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failed: set[tuple[str, str]] = field(default_factory=set)
    majority: dict[str, float] = field(default_factory=dict)

    def mean(self, label: str, target: str) -> float | None:
        """Returns the mean over seeds as 0 to 100, or None."""
        found = self.values.get((label, target))
        return 100 * statistics.fmean(found) if found else None

    def zero_shot(self) -> list[str]:
        """Returns the targets other than the source."""
        return [target for target in self.targets if target != self.source]

    def average(self, label: str) -> float | None:
        """Returns the mean over all zero-shot targets; None as long as one is missing."""
        means = [self.mean(label, target) for target in self.zero_shot()]
        known = [value for value in means if value is not None]
        return statistics.fmean(known) if known and len(known) == len(means) else None


def collect_scores(run: Run) -> list[Scores]:
    """Returns the scores of each task and source, rows and columns in the recipe's order."""
    recipe, found = run.recipe, []
    policies = recipe["policies"]
    for entry in recipe["tasks"]:
        names = [row["task"] for row in run.results]
        name = entry["name"] or next((n for n in names if n == entry["task"]), None) or _stem(entry["task"])
        for source in recipe["sources"]:
            rows = [row for row in run.results if row["task"] == name and row["source"] == source]
            targets = entry.get("targets") or recipe["targets"]
            ordered = [target for target in targets if target != source]
            ordered += [target for target in targets if target == source]
            labels = [
                row_label(configuration, policy)
                for configuration in recipe["configurations"]
                for policy in (policies if configuration.startswith("l") else ["target"])
            ]
            score = next((row["main_score"] for row in rows if row["status"] == "done"), "score")
            scores = Scores(name, source, score, ordered, labels)
            for row in rows:
                place = (row_label(row["configuration"], row["policy"]), row["target"])
                if row["status"] == "done":
                    scores.values.setdefault(place, []).append(row["scores"][score])
                    if row.get("majority") is not None:
                        scores.majority[row["target"]] = row["majority"]
                else:
                    scores.failed.add(place)
            found.append(scores)
    return found


def row_label(configuration: str, policy: str) -> str:
    """Returns how a configuration under a policy is called."""
    if policy == "target" or not configuration.startswith("l"):
        return configuration
    return f"{configuration} ({POLICY_LABELS.get(policy, policy.replace(':', ' module: '))})"


def score_table(scores: Scores) -> Table:
    """Returns configuration × target with the best of each column marked, and the zero-shot average."""
    zero_shot = scores.zero_shot()
    tested_source = scores.source in scores.targets
    columns = [*zero_shot, None, *([scores.source] if tested_source else [])]
    head = ["configuration", *zero_shot, "average", *([f"{scores.source} (source)"] if tested_source else [])]
    rows = [(label, [_score_cell(scores, label, column) for column in columns]) for label in scores.labels]
    rows = _ranked(rows)
    if scores.majority:
        shares = [100 * scores.majority[c] if c in scores.majority else None for c in columns]
        rows.append(("largest class", [Cell(_number(share), None) for share in shares]))
    seeds = max((len(values) for values in scores.values.values()), default=0)
    note = f"{scores.score}, 0 to 100; zero-shot from {scores.source}."
    if seeds > 1:
        note += f" Mean over {seeds} seeds, ± half their range."
    return Table(f"{scores.task}: {scores.score} by target language", head, rows, note)


def _score_cell(scores: Scores, label: str, target: str | None) -> Cell:
    if target is None:
        value = scores.average(label)
        return Cell(_number(value), value)
    value = scores.mean(label, target)
    if value is None:
        return Cell(FAILED if (label, target) in scores.failed else MISSING)
    found = scores.values[label, target]
    spread = f" ±{50 * (max(found) - min(found)):.1f}" if len(found) > 1 else ""
    return Cell(f"{value:.1f}{spread}", value)


def _ranked(rows: Sequence[tuple[str, list[Cell]]]) -> list[tuple[str, list[Cell]]]:
    ranked = [(label, list(cells)) for label, cells in rows]
    for column in range(len(rows[0][1]) if rows else 0):
        best = sorted({round(c[column].value or 0.0, 6) for _, c in rows if c[column].value is not None}, reverse=True)
        for _, cells in ranked:
            cell = cells[column]
            place = round(cell.value, 6) if cell.value is not None else None
            if place in best[:2] and len(best) > 1:
                cells[column] = Cell(cell.text, cell.value, best.index(place) + 1)
    return ranked


def gain_table(scores: Scores) -> Table | None:
    """Returns each configuration's gain over `ta` per target in points, or None where `ta` was not run."""
    if "ta" not in scores.labels or not any(label == "ta" for label, _ in scores.values):
        return None
    rows = []
    for label in scores.labels:
        if label == "ta":
            continue
        cells = []
        for target in scores.zero_shot():
            own, base = scores.mean(label, target), scores.mean("ta", target)
            gain = own - base if own is not None and base is not None else None
            cells.append(Cell(MISSING if gain is None else f"{gain:+.1f}", gain))
        rows.append((label, cells))
    return Table(f"{scores.task}: gain over ta in points", ["configuration", *scores.zero_shot()], rows)


def language_table(run: Run) -> Table | None:
    """Returns the held-out loss of each language before and after its modules were trained."""
    rows = []
    for job in _done(run, "language"):
        before, after = job["initial"]["validation_loss"], job["final"]["validation_loss"]
        cells = [
            Cell(f"{before:.3f}", before),
            Cell(f"{after:.3f}", after),
            Cell(f"{after - before:+.3f}", after - before),
        ]
        rows.append((job["name"], cells))
    if not rows:
        return None
    note = "Span-corruption loss on held-out text of the language in nats per target token; lower is better."
    return Table("Language modules", ["module", "without", "with", "change"], rows, note)


def job_table(run: Run) -> Table | None:
    """Returns what each training job cost."""
    rows = []
    for job in [*_done(run, "language"), *_done(run, "task")]:
        peak = job["peak_bytes"]
        cells = [
            Cell(f"{job['num_trained']:,}", job["num_trained"]),
            Cell(f"{job['steps']:,}", job["steps"]),
            Cell(f"{job['seconds']:.1f}", job["seconds"]),
            Cell(MISSING if peak is None else f"{peak / 2**20:,.0f}", peak),
        ]
        rows.append((job["name"], cells))
    if not rows:
        return None
    head = ["job", "trained numbers", "steps", "seconds", "peak MiB"]
    return Table("Training jobs", head, rows, "Peak memory is that of the process, or of the GPU where one was used.")


def unusable_table(run: Run) -> Table | None:
    """Returns per task and configuration how much was cut, unreadable, or in the wrong script."""
    keys = ["examples", "inputs_cut", "outputs_cut", "unreadable", "wrong_script"]
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for row in run.results:
        if row["status"] != "done":
            continue
        place = (row["task"], row_label(row["configuration"], row["policy"]))
        total = sums.setdefault(place, dict.fromkeys(keys, 0))
        for key in keys:
            total[key] += row["counts"].get(key, 0)
    if not sums:
        return None
    rows = [
        (f"{task}, {label}", [Cell(f"{total[key]:,}", total[key]) for key in keys])
        for (task, label), total in sums.items()
    ]
    head = ["task, configuration", "outputs", "inputs cut", "outputs cut", "unreadable", "wrong script"]
    return Table(
        "What could not be used", head, rows, "Summed over targets and seeds. Unreadable outputs count as wrong."
    )


def failure_table(run: Run) -> Table | None:
    """Returns the jobs that failed or were blocked, with the reason."""
    rows = [
        (job["name"], [Cell(job["status"]), Cell(str(job["error"]))]) for job in run.jobs if job["status"] != "done"
    ]
    return Table("Failed jobs", ["job", "status", "reason"], rows) if rows else None


def summary(scores: Iterable[Scores]) -> list[str]:
    """Returns a sentence per task that says which configuration is best, computed from the scores."""
    said = []
    for each in scores:
        averages = [(each.average(label), label) for label in each.labels]
        known = sorted(((value, label) for value, label in averages if value is not None), reverse=True)
        if not known:
            said.append(f"{each.task} from {each.source}: not all cells are done.")
            continue
        best, label = known[0]
        where = f"over {len(each.zero_shot())} languages"
        text = f"{each.task} from {each.source}: {label} is best with {best:.1f} {each.score} {where}"
        others = {name: value for value, name in known}
        if "none" in others and label != "none":
            text += f"; without any module {others['none']:.1f}"
        said.append(text + ".")
    return said


def _done(run: Run, phase: str) -> list[Row]:
    return [job for job in run.jobs if job["phase"] == phase and job["status"] == "done"]


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".yaml").removesuffix(".yml")


def _number(value: Any) -> str:
    return MISSING if value is None else f"{value:.1f}"
