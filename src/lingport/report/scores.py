"""Scores of a run, gathered per task, source, shots and settings: the numbers behind tables and plots.

Not here: how they are estimated (`estimates.py`), arranged and marked (`tables.py`), or drawn (`plots.py`).
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lingport.evaluate.stats import ALPHA, Estimate, holm, mean_of
from lingport.report.cells import MIXTURE, cells_asked, is_trained, row_label, settings_of
from lingport.report.read import Point, Row, Run, point_of

#: the column that stands for all zero-shot targets together
AVERAGE = "average"


@dataclass(frozen=True)
class Comparison:
    """A row against another on one target, or on average.

    Attributes:
        difference: How far the row is above, with its resamples.
        p_value: Corrected for all comparisons that are shown together.
    """

    difference: Estimate
    p_value: float

    @property
    def sign(self) -> int:
        """1 or -1 where the two are told apart, else 0."""
        if self.p_value >= ALPHA:
            return 0
        return 1 if self.difference.value > 0 else -1


@dataclass(frozen=True)
class Scores:
    """Scores of one task from one source, under one number of shots and one point of a sweep.

    Attributes:
        task: Its name.
        source: Source language, or several joined by `+`.
        score: Name of the score.
        mixture: The mixture of tasks that the task modules learnt; empty: this task alone.
        shots: Examples of the target that were trained on.
        settings: The sweep's point: dotted recipe key -> value, of those keys that change any of these scores.
        targets: Languages, those of the source last if they are tested.
        labels: Rows of the method: configurations.
        controls: Label of a configuration under another policy -> its configuration.
        num_seeds: Label -> number of seeds asked for.
        values: (label, target) -> scores of the seeds that are done, 0 to 1.
        estimates: (label, target) -> their mean with its resamples, where outputs are kept.
        failed: (label, target) of cells that failed under at least one seed.
        unasked: (label, target) of cells that make no sense: the wrong language's module, where it is the right one.
        majority: Target -> share of the largest class, 0 to 1.
        modules: Label -> names of the language and task modules of its cells that are done.
    """

    task: str
    source: str
    score: str = "score"
    mixture: str = ""
    shots: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    controls: dict[str, str] = field(default_factory=dict)
    num_seeds: dict[str, int] = field(default_factory=dict)
    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    estimates: dict[tuple[str, str], Estimate] = field(default_factory=dict)
    failed: set[tuple[str, str]] = field(default_factory=set)
    unasked: set[tuple[str, str]] = field(default_factory=set)
    majority: dict[str, float] = field(default_factory=dict)
    modules: dict[str, list[dict[str, str | None]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The task and its source language, as headings call them."""
        return f"{self.task} from {self.source}" + (f" in the mixture {self.mixture}" if self.mixture else "")

    def mean(self, label: str, target: str, *, beside: str = "") -> float | None:
        """Returns the mean over the seeds that are done as 0 to 100, or None.

        Args:
            label: The row.
            target: A language, or AVERAGE for the mean over all zero-shot targets that the row was asked for.
            beside: Another row, whose targets the average is restricted to.
        """
        if target == AVERAGE:
            return complete_mean([self.mean(label, each) for each in self.zero_shot(label, beside)])
        found = self.values.get((label, target))
        return 100 * statistics.fmean(found) if found else None

    def estimate(self, label: str, target: str, *, beside: str = "") -> Estimate | None:
        """Returns the estimate of what `mean` gives; None where one is missing."""
        if target != AVERAGE:
            return self.estimates.get((label, target))
        parts = [self.estimates.get((label, each)) for each in self.zero_shot(label, beside)]
        known = [part for part in parts if part is not None]
        return mean_of(known) if known and len(known) == len(parts) else None

    def is_whole(self, label: str, target: str) -> bool:
        """Returns whether every seed that was asked for is done."""
        if target == AVERAGE:
            return all(self.is_whole(label, each) for each in self.zero_shot(label))
        return len(self.values.get((label, target), [])) >= self.num_seeds.get(label, 1)

    def zero_shot(self, *labels: str) -> list[str]:
        """Returns the targets that are no source, of those that all of the rows were asked for."""
        return [
            target
            for target in self.targets
            if target not in self.source.split("+") and not any((label, target) in self.unasked for label in labels)
        ]

    def in_source(self) -> list[str]:
        """Returns the targets that are a source."""
        return [target for target in self.targets if target in self.source.split("+")]

    def gain(self, label: str, target: str, *, over: str) -> float | None:
        """Returns how many points a row is above another; None where one is missing."""
        own, base = self.mean(label, target, beside=over), self.mean(over, target, beside=label)
        return None if own is None or base is None else own - base

    def compare(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str, str], Comparison]:
        """Returns (label, other label, target or AVERAGE) -> their comparison, where there are outputs to compare.

        The p values of all single targets are corrected together (Holm), and so are those of all averages.
        """
        pairs = list(pairs)
        return {**self._family(pairs, self.targets), **self._family(pairs, [AVERAGE])}

    def _family(
        self, pairs: Sequence[tuple[str, str]], targets: Sequence[str]
    ) -> dict[tuple[str, str, str], Comparison]:
        found: dict[tuple[str, str, str], Estimate] = {}
        for (label, other), target in itertools.product(pairs, targets):
            own, base = self.estimate(label, target, beside=other), self.estimate(other, target, beside=label)
            if own is not None and base is not None and own.examples == base.examples:
                found[label, other, target] = own.minus(base)
        p_values = holm([difference.p_value() for difference in found.values()])
        return {place: Comparison(found[place], p) for place, p in zip(found, p_values, strict=True)}

    def majority_average(self) -> float | None:
        """Returns what the largest class alone scores over the zero-shot targets, 0 to 100, or None."""
        return complete_mean([100 * self.majority[t] if t in self.majority else None for t in self.zero_shot()])


def collect_scores(run: Run, estimates: Mapping[Point, Estimate]) -> list[Scores]:
    """Returns the scores of each task and source, at each number of shots and each point of a sweep.

    A cell that a setting does not change is asked for once, without it, and stands in the tables of all its values;
    so does an untrained configuration in those of all numbers of shots.
    """
    asked = cells_asked(run)
    done = {(point_of(row), row["seed"]): row for row in run.results}
    groups: dict[tuple[str, str, str], list[tuple[Point, int]]] = {}
    for point, seed in asked:
        groups.setdefault((point.task, point.source, settings_of(point).get(MIXTURE, "")), []).append((point, seed))
    found = []
    for (task, source, mixture), cells in groups.items():
        for shots, settings in _places([point for point, _ in cells], run.recipe.get("sweep") or {}):
            own = [cell for cell in cells if _belongs(cell[0], shots, settings)]
            scores = Scores(task, source, mixture=mixture, shots=shots, settings=settings)
            found.append(_fill(scores, own, [done[cell] for cell in own if cell in done], estimates))
    return found


def _places(points: Sequence[Point], sweep: Mapping[str, Sequence[Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Returns each number of shots with each combination of the settings that vary, in the sweep's order."""
    values: dict[str, list[Any]] = {}
    for point in points:
        for key, value in settings_of(point).items():
            if key != MIXTURE and value not in values.setdefault(key, []):
                values[key].append(value)
    keys = sorted(values, key=lambda key: list(sweep).index(key) if key in sweep else len(sweep))
    for key in keys:
        wanted = list(sweep.get(key, []))
        values[key].sort(key=lambda value, wanted=wanted: wanted.index(value) if value in wanted else len(wanted))
    combinations = itertools.product(*(values[key] for key in keys))
    shots = sorted({point.shots for point in points})
    return [(count, dict(zip(keys, each, strict=True))) for each in combinations for count in shots]


def _belongs(point: Point, shots: int, settings: Mapping[str, Any]) -> bool:
    if point.shots != shots and is_trained(point.configuration):
        return False
    own = settings_of(point)
    return all(settings[key] == value for key, value in own.items() if key != MIXTURE)


def _fill(
    scores: Scores, cells: Sequence[tuple[Point, int]], rows: Sequence[Row], estimates: Mapping[Point, Estimate]
) -> Scores:
    score = next((row["main_score"] for row in rows if row["status"] == "done"), scores.score)
    targets = list(dict.fromkeys(point.target for point, _ in cells))
    sources = scores.source.split("+")
    last = [target for target in targets if target in sources]
    scores = replace(scores, score=score, targets=[*(each for each in targets if each not in sources), *last])
    seeds: dict[str, set[int]] = {}
    for point, seed in cells:
        label = row_label(point.configuration, point.policy)
        seeds.setdefault(label, set()).add(seed)
        if label != point.configuration:
            scores.controls[label] = point.configuration
        elif label not in scores.labels:
            scores.labels.append(label)
        if point in estimates:
            scores.estimates[label, point.target] = estimates[point]
    scores.num_seeds.update({label: len(each) for label, each in seeds.items()})
    wanted = {(row_label(point.configuration, point.policy), point.target) for point, _ in cells}
    scores.unasked.update(place for place in itertools.product(seeds, targets) if place not in wanted)
    for row in rows:
        place = (row_label(row["configuration"], row["policy"]), row["target"])
        value = row.get("scores", {}).get(score)
        if row["status"] != "done" or value is None:
            scores.failed.add(place)
            continue
        scores.values.setdefault(place, []).append(value)
        scores.modules.setdefault(place[0], []).append(row.get("modules") or {})
        if row.get("majority") is not None:
            scores.majority[row["target"]] = row["majority"]
    return scores


def complete_mean(values: Sequence[float | None]) -> float | None:
    """Returns the mean, or None where there is nothing or a part is missing."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
