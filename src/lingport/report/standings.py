"""Configurations compared over all tasks, sources and targets: average ranks; wins, ties and losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lingport.evaluate.ranking import Ranking, rank
from lingport.evaluate.stats import Estimate, mean_of
from lingport.report.cells import REFERENCE
from lingport.report.scores import Scores
from lingport.report.table import MISSING, Cell, Table, ranked

#: the column that holds the ranks over all tasks
ALL = "all tasks"


class TestSet(NamedTuple):
    """A test set as ranks see it: a task from a source in a zero-shot target."""

    task: str
    source: str
    target: str


@dataclass(frozen=True)
class Standings:
    """What configurations score on the test sets that all of them have done.

    Attributes:
        labels: Configurations.
        scores: Test set -> score of each configuration, 0 to 100, the mean over shots and a sweep's points.
        estimates: Test set -> estimate of each, where outputs are kept.
        num_incomplete: Test sets that some configuration has not done.
    """

    labels: list[str]
    scores: dict[TestSet, list[float]]
    estimates: dict[TestSet, list[Estimate]]
    num_incomplete: int

    def ranking(self, task: str | None = None) -> Ranking | None:
        """Returns the ranking on a task's test sets, on all of them for None; None where there are none."""
        found = [values for place, values in self.scores.items() if task in (None, place.task)]
        return rank([[value / 100 for value in values] for values in found]) if found else None


def collect_standings(all_scores: Sequence[Scores]) -> Standings | None:
    """Returns the standings of the configurations that have any score, or None for fewer than two of them.

    The upper reference is no competitor.
    """
    labels = [
        label
        for label in dict.fromkeys(label for scores in all_scores for label in scores.labels)
        if label != REFERENCE and any(key[0] == label for scores in all_scores for key in scores.values)
    ]
    if len(labels) < 2:
        return None
    alike: dict[tuple[str, str], list[Scores]] = {}
    for scores in all_scores:
        alike.setdefault((scores.task, scores.source), []).append(scores)
    values: dict[TestSet, list[float]] = {}
    estimates: dict[TestSet, list[Estimate]] = {}
    num_incomplete = 0
    for (task, source), group in alike.items():
        for target in dict.fromkeys(target for scores in group for target in scores.zero_shot()):
            place = TestSet(task, source, target)
            means = [[scores.mean(label, target) for scores in group] for label in labels]
            known = [[value for value in each if value is not None] for each in means]
            if any(len(some) < len(group) for some in known):
                num_incomplete += 1
                continue
            values[place] = [sum(each) / len(each) for each in known]
            found = [[scores.estimate(label, target) for scores in group] for label in labels]
            parts = [[each for each in some if each is not None] for some in found]
            if all(len(some) == len(group) for some in parts):
                estimates[place] = [mean_of(some) for some in parts]
    return Standings(labels, values, estimates, num_incomplete) if values else None


def rank_table(standings: Standings) -> Table:
    """Returns the average rank of each configuration, per task and over all; the best two of a column marked."""
    tasks = list(dict.fromkeys(place.task for place in standings.scores))
    columns = [*tasks, ALL] if len(tasks) > 1 else tasks
    rankings = [standings.ranking(None if column == ALL else column) for column in columns]
    rows = [
        (
            label,
            [
                Cell(MISSING) if each is None else Cell(f"{each.ranks[place]:.2f}", -each.ranks[place], decimals=2)
                for each in rankings
            ],
        )
        for place, label in enumerate(standings.labels)
    ]
    # Small ranks are good: ordered by their negatives, shown as they are.
    rows = [
        (label, [Cell(c.text, None if c.value is None else -c.value, c.rank, decimals=2) for c in cells])
        for label, cells in ranked(rows)
    ]
    note = ["1 is best; ties share the mean of their ranks."]
    for column, each in zip(columns, rankings, strict=True):
        if each is not None:
            note.append(f"{column}: {about_ranking(each)}.")
    if standings.num_incomplete:
        note.append(f"{standings.num_incomplete} test sets that some configuration has not done are left out.")
    return Table("Average rank", ["configuration", *columns], rows, " ".join(note))


def about_ranking(ranking: Ranking) -> str:
    """Returns on how many test sets it rests, and what its tests say."""
    text = f"{ranking.num_sets} test set{'' if ranking.num_sets == 1 else 's'}"
    if ranking.p_value is None or ranking.critical_difference is None:
        return text
    return (
        f"{text}, Friedman's p {small(ranking.p_value)}, "
        f"Nemenyi's critical difference {ranking.critical_difference:.2f}"
    )


def duel_table(standings: Standings) -> Table | None:
    """Returns on how many test sets the row's configuration wins, ties, loses against the column's."""
    if not standings.estimates:
        return None
    rows = []
    for first, label in enumerate(standings.labels):
        cells = []
        for second in range(len(standings.labels)):
            counts = [0, 0, 0]
            for estimates in standings.estimates.values():
                counts[1 - _outcome(estimates[first], estimates[second])] += 1
            cells.append(
                Cell("") if first == second else Cell("/".join(map(str, counts)), float(counts[0] - counts[2]))
            )
        rows.append((label, cells))
    note = (
        f"Wins/ties/losses of the row against the column on {len(standings.estimates)} test sets. A tie: the 95 % "
        "interval of the paired difference holds 0 (not corrected for the number of comparisons)."
    )
    return Table("Wins, ties and losses", ["configuration", *standings.labels], rows, note)


def _outcome(own: Estimate, other: Estimate) -> int:
    if own.examples != other.examples:
        return 0
    low, high = own.minus(other).interval()
    return int(low > 0) - int(high < 0)


def small(p_value: float) -> str:
    """Returns a p value as it is written: `= 0.03`, or `< 0.001`."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"
