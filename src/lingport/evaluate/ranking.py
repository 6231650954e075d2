"""Configurations compared over many test sets: average ranks and how far apart they must be.

Not here: single test sets (`stats.py`). Shapes: N test sets, M configurations.
Source: Demsar (2006), Statistical comparisons of classifiers over multiple data sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lingport.evaluate.stats import ALPHA


@dataclass(frozen=True)
class Ranking:
    """Ranks of M configurations on N test sets.

    Attributes:
        ranks: Average rank of each; 1 is best, ties share the mean of their ranks.
        num_sets: N.
        p_value: Of Friedman's test that all are alike; None for fewer than three configurations or two test sets.
        critical_difference: Nemenyi's: ranks that are nearer than this are not told apart; None as above.
    """

    ranks: list[float]
    num_sets: int
    p_value: float | None
    critical_difference: float | None

    def cliques(self) -> list[tuple[float, float]]:
        """Returns the (best, worst) ranks of the largest groups that are not told apart, the best first."""
        if self.critical_difference is None:
            return []
        ranks = sorted(self.ranks)
        found: list[tuple[float, float]] = []
        for first in ranks:
            alike = [rank for rank in ranks if 0 <= rank - first <= self.critical_difference]
            if len(alike) > 1 and all(alike[-1] > other for _, other in found):
                found.append((first, alike[-1]))
        return found


def rank(scores: Sequence[Sequence[float]]) -> Ranking:
    """Returns the ranking of configurations.

    Args:
        scores: Of each test set, the score of each configuration: (N, M), N at least 1.
    """
    from scipy.stats import friedmanchisquare, rankdata  # late: half a second

    # What is shown decides: two scores that differ in the fifth digit are equal.
    values = np.round(np.asarray(scores, dtype=np.float64), 4)
    ranks = rankdata(-values, axis=1).mean(axis=0)
    num_sets, num_configurations = values.shape
    p_value = difference = None
    if num_configurations > 2 and num_sets > 1:
        difference = critical_difference(num_configurations, num_sets)
        told_apart = (values != values[:, :1]).any()
        p_value = float(friedmanchisquare(*values.T).pvalue) if told_apart else 1.0
    return Ranking([float(each) for each in ranks], num_sets, p_value, difference)


def critical_difference(num_configurations: int, num_sets: int) -> float:
    """Returns how far apart two average ranks must be (Nemenyi's test, two-sided; Demsar, 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - ALPHA, num_configurations, math.inf)) / math.sqrt(2)
    return q * math.sqrt(num_configurations * (num_configurations + 1) / (6 * num_sets))
