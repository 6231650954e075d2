"""How sure a score is: intervals and paired tests by resampling seeds and test examples.

Not here: where the counts come from (`lingport.tasks`), ranks over many test sets (`ranking.py`), what is shown.
Shapes: C cells, R resamples, N examples, S seeds, K counts of a score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

#: fine enough for Holm's correction of some 200 comparisons at 0.05
NUM_RESAMPLES = 5000
#: share of resamples within an interval
LEVEL = 0.95
#: a difference counts as one where its corrected p value is below
ALPHA = 0.05
# Scores that are equal but for rounding.
_SAME = 1e-6
# Weights that are kept in memory at once, as numbers of 4 bytes.
_BLOCK = 2**24


@dataclass(frozen=True)
class Estimate:
    """A score, a mean of scores, or a difference of scores, with its value under every resample.

    Attributes:
        value: As measured, 0 to 1 (a difference: -1 to 1).
        resamples: The same of each resample, (R,).
        examples: What the test examples are known by; estimates on other examples cannot be paired.
    """

    value: float
    resamples: np.ndarray
    examples: str = ""

    def interval(self) -> tuple[float, float]:
        """Returns the bounds of the percentile interval (Efron and Tibshirani, 1993, chapter 13)."""
        outside = (1 - LEVEL) / 2
        low, high = np.quantile(self.resamples, [outside, 1 - outside])
        return float(low), float(high)

    def minus(self, other: Estimate) -> Estimate:
        """Returns the difference, resample by resample.

        Raises:
            ValueError: The two are not on the same test examples.
        """
        if self.examples != other.examples:
            raise ValueError("scores on different test examples cannot be paired")
        return Estimate(self.value - other.value, self.resamples - other.resamples, self.examples)

    def p_value(self) -> float:
        """Returns how likely a difference at least as large would be if there were none, two-sided.

        The resampled differences, moved so that their centre is 0, stand for what chance does (Efron and
        Tibshirani, 1993, section 16.4; Koehn, 2004; Berg-Kirkpatrick et al., 2012). At least 1 / (R + 1).
        """
        beyond = np.abs(self.resamples - self.value) >= abs(self.value) - _SAME
        return float((1 + beyond.sum()) / (1 + len(self.resamples)))


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Returns the mean of estimates, such as one configuration's on several languages."""
    values = float(np.mean([each.value for each in estimates]))
    resamples = np.mean([each.resamples for each in estimates], axis=0)
    return Estimate(values, resamples, " ".join(each.examples for each in estimates))


class Draws:
    """What each resample holds: the same examples and seeds for all cells, so that cells are compared in pairs.

    Two test sets of the same size are drawn together: right where they are translations of each other, and
    harmless where they have nothing in common, because any pairing of independent examples is as good as another.

    Args:
        num_resamples: R.
        seed: Decides every draw.
    """

    def __init__(self, num_resamples: int = NUM_RESAMPLES, *, seed: int = 0) -> None:
        self.num_resamples = num_resamples
        self.seed = seed
        self._kept: np.ndarray | None = None

    def examples(self, num_examples: int) -> Iterator[np.ndarray]:
        """Yields how often each example is drawn, in blocks (r, N) float32 that are R rows together."""
        if self._kept is not None and self._kept.shape[1] == num_examples:
            yield self._kept
            return
        random = np.random.default_rng([self.seed, 0, num_examples])
        size = max(1, _BLOCK // num_examples)
        for start in range(0, self.num_resamples, size):
            rows = min(size, self.num_resamples - start)
            drawn = random.integers(0, num_examples, size=(rows, num_examples))
            places = drawn + np.arange(rows)[:, None] * num_examples
            counts = np.bincount(places.ravel(), minlength=rows * num_examples)
            block = counts.reshape(rows, num_examples).astype(np.float32)
            if rows == self.num_resamples:  # several blocks are made again when they are needed
                self._kept = block
            yield block

    def seeds(self, seeds: Sequence[int]) -> np.ndarray:
        """Returns the share of each seed in each resample, (R, S).

        S - 1 of S seeds are drawn, with replacement: the variance of a mean of so few numbers would otherwise come
        out too small by (S - 1) / S (Rao and Wu, 1988). A single seed is always drawn.
        """
        random = np.random.default_rng([self.seed, 1, *seeds])
        num_drawn = max(1, len(seeds) - 1)
        drawn = random.integers(0, len(seeds), size=(self.num_resamples, num_drawn))
        places = drawn + np.arange(self.num_resamples)[:, None] * len(seeds)
        counts = np.bincount(places.ravel(), minlength=self.num_resamples * len(seeds))
        return counts.reshape(self.num_resamples, len(seeds)) / num_drawn


def resampled_scores(
    draws: Draws, tallies: Sequence[np.ndarray], value: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Returns the score of each cell under each draw of examples, (C, R).

    Args:
        draws: The draws.
        tallies: Counts of each cell's examples, C times (N, K); see `lingport.tasks.metrics.Measure`.
        value: Sums of counts (..., K) -> scores (...).
    """
    # Sums of whole numbers are exact in float32 up to 2 ** 24, and the product is twice as fast.
    counts = np.concatenate(tallies, axis=1, dtype=np.float32, casting="same_kind")
    parts = []
    for weights in draws.examples(len(counts)):
        totals = (weights @ counts).astype(np.float64).reshape(len(weights), len(tallies), -1)
        parts.append(value(totals).T)
    return np.concatenate(parts, axis=1)


def over_seeds(
    draws: Draws, seeds: Sequence[int], values: Sequence[float], resampled: np.ndarray, examples: str
) -> Estimate:
    """Returns the mean over seeds: of each resample, over the seeds drawn for it.

    All seeds answered the same test examples, so that a resample holds the same examples under each of its seeds
    (two crossed factors; Owen, 2007). Equal seeds are drawn alike for all configurations.

    Args:
        draws: The draws.
        seeds: S of them, in the order of the values.
        values: Score of each seed.
        resampled: Score of each seed under each draw of examples, (S, R).
        examples: What the test examples are known by.
    """
    order = np.argsort(seeds)
    shares = draws.seeds([int(seeds[place]) for place in order])
    resamples = np.einsum("rs,sr->r", shares, resampled[order])
    return Estimate(float(np.mean(values)), resamples, examples)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values corrected for their number, so that among all of them a false one is as rare as one test's.

    Source: Holm (1979).
    """
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
