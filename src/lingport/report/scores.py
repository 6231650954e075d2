"""Scores of a run, gathered per task and source language: the numbers behind tables and plots.

Not here: how they are arranged and marked (`tables.py`), or drawn (`plots.py`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from lingport.config.modules import CONFIGURATIONS
from lingport.report.read import Row, Run

#: how a policy is named in a row's label; the method's own needs no name
POLICY_LABELS = {
    "source": "source module kept",
    "none": "no language module",
    "untrained": "untrained module",
}


@dataclass(frozen=True)
class Scores:
    """Scores of one task from one source language.

    Attributes:
        task: Its name.
        source: Source language.
        score: Name of the score.
        targets: Languages, the source last if it is tested.
        labels: Row labels: configurations, with a policy where it is not the method's own.
        num_seeds: Label -> number of seeds that the recipe asks for.
        values: (label, target) -> scores of the seeds that are done, 0 to 1.
        failed: (label, target) of cells that failed under at least one seed.
        majority: Target -> share of the largest class, 0 to 1.
    """

    task: str
    source: str
    score: str
    targets: list[str]
    labels: list[str]
    num_seeds: dict[str, int] = field(default_factory=dict)
    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failed: set[tuple[str, str]] = field(default_factory=set)
    majority: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The task and its source language, as headings call them."""
        return f"{self.task} from {self.source}"

    def mean(self, label: str, target: str) -> float | None:
        """Returns the mean over the seeds that are done as 0 to 100, or None."""
        found = self.values.get((label, target))
        return 100 * statistics.fmean(found) if found else None

    def half_range(self, label: str, target: str) -> float | None:
        """Returns half the distance of the best and the worst seed in points; None below two seeds."""
        found = self.values.get((label, target), [])
        return 50 * (max(found) - min(found)) if len(found) > 1 else None

    def is_whole(self, label: str, target: str) -> bool:
        """Returns whether every seed of the recipe is done."""
        return len(self.values.get((label, target), [])) >= self.num_seeds.get(label, 1)

    def zero_shot(self) -> list[str]:
        """Returns the targets other than the source."""
        return [target for target in self.targets if target != self.source]

    def average(self, label: str) -> float | None:
        """Returns the mean over all zero-shot targets, 0 to 100; None as long as one is missing."""
        return complete_mean([self.mean(label, target) for target in self.zero_shot()])

    def gain(self, label: str, target: str, *, over: str) -> float | None:
        """Returns how many points a row is above another on a target; None where one is missing."""
        own, base = self.mean(label, target), self.mean(over, target)
        return None if own is None or base is None else own - base

    def majority_average(self) -> float | None:
        """Returns what the largest class alone scores over the zero-shot targets, 0 to 100, or None."""
        return complete_mean([100 * self.majority[t] if t in self.majority else None for t in self.zero_shot()])


def collect_scores(run: Run) -> list[Scores]:
    """Returns the scores of each task and source, rows and columns in the recipe's order."""
    recipe = run.recipe
    num_seeds = {
        row_label(name, policy): len(recipe["seeds"]) if is_trained(name) else 1
        for name in recipe["configurations"]
        for policy in (recipe["policies"] if has_language(name) else ["target"])
    }
    found = []
    for entry, task in zip(recipe["tasks"], task_names(run), strict=True):
        asked = entry.get("targets") or recipe["targets"]
        for source in recipe["sources"]:
            rows = [row for row in run.results if row["task"] == task and row["source"] == source]
            score = next((row["main_score"] for row in rows if row["status"] == "done"), "score")
            targets = [*(t for t in asked if t != source), *(t for t in asked if t == source)]
            scores = Scores(task, source, score, targets, list(num_seeds), num_seeds)
            for row in rows:
                _add(scores, row)
            found.append(scores)
    return found


def _add(scores: Scores, row: Row) -> None:
    place = (row_label(row["configuration"], row["policy"]), row["target"])
    value = row.get("scores", {}).get(scores.score)
    if row["status"] != "done" or value is None:
        scores.failed.add(place)
        return
    scores.values.setdefault(place, []).append(value)
    if row.get("majority") is not None:
        scores.majority[row["target"]] = row["majority"]


def task_names(run: Run) -> list[str]:
    """Returns the names of the recipe's tasks, in its order.

    A task file may carry another name than the file: then the results' names that no other task claims are
    given out in the order in which they appear.
    """
    entries = run.recipe["tasks"]
    guesses = [entry.get("name") or _stem(entry["task"]) for entry in entries]
    seen = list(dict.fromkeys(row["task"] for row in run.results))
    spare = [name for name in seen if name not in guesses]
    return [
        spare.pop(0) if spare and guess not in seen and not entry.get("name") else guess
        for entry, guess in zip(entries, guesses, strict=True)
    ]


def num_expected(run: Run) -> int:
    """Returns how many cells the recipe asks for."""
    return sum(len(scores.targets) * sum(scores.num_seeds.values()) for scores in collect_scores(run))


def row_label(configuration: str, policy: str) -> str:
    """Returns how a configuration under a policy is called."""
    if policy == "target" or not has_language(configuration):
        return configuration
    return f"{configuration} ({POLICY_LABELS.get(policy, policy.replace(':', ' module: '))})"


def has_language(configuration: str) -> bool:
    """Returns whether a configuration has a language module, so that a policy changes it."""
    return configuration in CONFIGURATIONS and CONFIGURATIONS[configuration].language is not None


def is_trained(configuration: str) -> bool:
    """Returns whether a configuration has a trained part: without one all seeds are the same."""
    return configuration not in CONFIGURATIONS or CONFIGURATIONS[configuration].task is not None


def complete_mean(values: Sequence[float | None]) -> float | None:
    """Returns the mean, or None where there is nothing or a part is missing."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".yaml").removesuffix(".yml")
