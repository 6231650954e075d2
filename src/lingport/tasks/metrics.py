"""The arithmetic of scores: answer overlap, span counts, classification, and rates of unusable outputs.

Everything is a share from 0 to 1. Which score belongs to which task is the forms' business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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

    @property
    def precision(self) -> float:
        """Share of predictions that are right; 1 where nothing was predicted and nothing was to be found."""
        return self._share(self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of gold items that were found; 1 where nothing was predicted and nothing was to be found."""
        return self._share(self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 1 where nothing was predicted and nothing was to be found."""
        return self._share(self.tp + (self.fp + self.fn) / 2)

    def _share(self, whole: float) -> float:
        if whole:
            return self.tp / whole
        return 1.0 if self.fp == self.fn == 0 else 0.0


def multiset_counts(predicted: Sequence[Hashable], gold: Sequence[Hashable]) -> Counts:
    """Returns how many items agree; an item given twice counts twice."""
    shared = (Counter(predicted) & Counter(gold)).total()
    return Counts(shared, len(predicted) - shared, len(gold) - shared)


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
    return max(multiset_counts(given, normalise(gold).split()).f1 for gold in golds or [""])


def classification_scores(
    predicted: Sequence[str | None], gold: Sequence[str], *, positive: str | None = None
) -> dict[str, float]:
    """Returns `accuracy`, `f1_macro` and, where a positive class is named, `f1`.

    None (unreadable) is wrong: it misses the gold class and is no class of its own. The macro average is over
    the classes that occur in the gold labels or the predictions. A class without a true positive has F1 0.
    """
    from sklearn.metrics import accuracy_score, f1_score  # late: half a second

    given = ["" if label is None else f"={label}" for label in predicted]
    truth = [f"={label}" for label in gold]
    labels = sorted({*given, *truth} - {""})
    options: dict[str, Any] = {"average": "macro", "zero_division": 0}
    scores = {
        "accuracy": float(accuracy_score(truth, given)),
        "f1_macro": float(f1_score(truth, given, labels=labels, **options)),
    }
    if positive is not None:
        one = [f"={positive}"]
        scores["f1"] = float(f1_score(truth, given, labels=one, **options))
    return scores


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
