"""The arithmetic of scores: counts that add up, answer overlap, span counts, and rates of unusable outputs.

Everything is a share from 0 to 1. Which score belongs to which task is the forms' business.
Shapes: N examples, K counts of a score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lingport.data.languages import language as language_of
from lingport.data.languages import script_share
from lingport.errors import DataError

if TYPE_CHECKING:
    from lingport.tasks.base import Task

Normaliser = Callable[[str], str]

# An output is in the wrong script when less than this share of its letters is in a script of the language.
SCRIPT_THRESHOLD = 0.5


class Counts(NamedTuple):
    """True positives, false positives and false negatives."""

    tp: float
    fp: float
    fn: float


@dataclass(frozen=True)
class Measure:
    """A score of a set of examples as counts that add up: sums over any set of examples give that set's score.

    A score that is no mean over examples (F1) can so be resampled by examples: drawing examples is weighting their
    counts, and many draws are one matrix product.

    Attributes:
        counts: Answer (None: unreadable) and gold answer -> the K numbers that the example adds.
        value: Sums (..., K) -> scores (...) of 0 to 1.
    """

    counts: Callable[[Any, Any], Sequence[float]]
    value: Callable[[np.ndarray], np.ndarray]

    def tally(self, answers: Sequence[Any], golds: Sequence[Any]) -> np.ndarray:
        """Returns the counts of each example, (N, K) float64."""
        known: dict[tuple[Any, Any], Sequence[float]] = {}  # few distinct answers in a classification
        for pair in zip(answers, golds, strict=True):
            if pair not in known:
                known[pair] = self.counts(*pair)
        return np.array([known[pair] for pair in zip(answers, golds, strict=True)], dtype=np.float64)

    def score(self, answers: Sequence[Any], golds: Sequence[Any]) -> float:
        """Returns the score of all examples together."""
        return float(self.value(self.tally(answers, golds).sum(axis=0)))


def mean(totals: np.ndarray) -> np.ndarray:
    """Returns the mean from sums (..., 2) of a value and of ones."""
    return totals[..., 0] / totals[..., 1]


def precision(totals: np.ndarray) -> np.ndarray:
    """Returns the share of predictions that are right, from sums (..., 3) of `Counts`; see `f1` for none at all."""
    return _share(totals, totals[..., 0] + totals[..., 1])


def recall(totals: np.ndarray) -> np.ndarray:
    """Returns the share of gold items that were found, from sums (..., 3) of `Counts`; see `f1` for none at all."""
    return _share(totals, totals[..., 0] + totals[..., 2])


def f1(totals: np.ndarray) -> np.ndarray:
    """Returns the harmonic mean of precision and recall, from sums (..., 3) of `Counts`.

    It is 1 where nothing was predicted and nothing was to be found.
    """
    return _share(totals, totals[..., 0] + (totals[..., 1] + totals[..., 2]) / 2)


def f1_macro(totals: np.ndarray) -> np.ndarray:
    """Returns F1 averaged over the classes that occur in gold labels or predictions; 0 where none does.

    Args:
        totals: Sums of the `Counts` of each of C classes in turn, (..., 3 C).
    """
    by_class = totals.reshape(*totals.shape[:-1], -1, 3)
    seen = by_class.any(axis=-1)
    return np.where(seen, f1(by_class), 0.0).sum(axis=-1) / np.maximum(1, seen.sum(axis=-1))


def _share(totals: np.ndarray, whole: np.ndarray) -> np.ndarray:
    nothing = ~totals.any(axis=-1)
    return np.where(whole > 0, totals[..., 0] / np.where(whole > 0, whole, 1.0), nothing.astype(np.float64))


def multiset_counts(predicted: Sequence[Hashable], gold: Sequence[Hashable]) -> Counts:
    """Returns how many items agree; an item given twice counts twice."""
    shared = (Counter(predicted) & Counter(gold)).total()
    return Counts(shared, len(predicted) - shared, len(gold) - shared)


def class_counts(answer: str | None, gold: str, label: str) -> Counts:
    """Returns the counts of one class; an unreadable answer (None) misses the gold class and is no class itself."""
    return Counts(answer == gold == label, answer == label != gold, gold == label != answer)


def exact_match(answer: str, golds: Sequence[str], normalise: Normaliser) -> float:
    """Returns 1 if the normalised answer equals one of the gold answers, else 0.

    No gold answer means that the question has none: right is an answer that is empty after normalisation.
    Source: SQuAD 1.1 and 2.0 (Rajpurkar et al., 2016, 2018).
    """
    given = normalise(answer)
    return float(any(given == normalise(gold) for gold in golds or [""]))


def token_f1(answer: str, golds: Sequence[str], normalise: Normaliser) -> float:
    """Returns the best F1 over the words shared with a gold answer, words taken as a multiset.

    Where one side has no words left, F1 is 1 if the other has none either, else 0. Source: as `exact_match`.
    """
    given = normalise(answer).split()
    return max(_word_f1(given, normalise(gold).split()) for gold in golds or [""])


def _word_f1(given: list[str], gold: list[str]) -> float:
    whole = len(given) + len(gold)
    return 2 * multiset_counts(given, gold).tp / whole if whole else 1.0


def output_counts(task: Task[Any, Any], texts: Sequence[str], answers: Sequence[Any], language: str) -> dict[str, int]:
    """Returns how many outputs are `unreadable` and, where the form can tell, in the `wrong_script`.

    Args:
        task: The task that read the outputs.
        texts: The decoded outputs.
        answers: What `task.parse` gave for each; None is unreadable.
        language: Code of the language the answers should be in.
    """
    counts = {"unreadable": sum(answer is None for answer in answers)}
    if task.judges_script:
        expected = language_of(language)
        judged = (task.judged_text(text, answer) for text, answer in zip(texts, answers, strict=True))
        counts["wrong_script"] = sum(script_share(text, expected) < SCRIPT_THRESHOLD for text in judged)
    return counts


def output_rates(task: Task[Any, Any], texts: Sequence[str], answers: Sequence[Any], language: str) -> dict[str, float]:
    """Returns `output_counts` as shares of all outputs (0 to 1; 0 where there are none)."""
    counts = output_counts(task, texts, answers, language)
    return {name: count / len(answers) if answers else 0.0 for name, count in counts.items()}


def check_paired(answers: Sequence[Any], golds: Sequence[Any]) -> None:
    """Refuses an empty set of examples, and answers and golds that do not belong together.

    Raises:
        DataError: There is nothing to score.
        ValueError: The two have different lengths (a bug of the caller).
    """
    if len(answers) != len(golds):
        raise ValueError(f"{len(answers)} answers for {len(golds)} golds")
    if not golds:
        raise DataError("there is nothing to score", hint="the data set, or what is left of it, is empty")
