"""Tasks whose output is a short text, as in question answering over a passage.

Scores are SQuAD's exact match and F1, with the English normalisation and with MLQA's per-language one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lingport.config.task import TaskConfig
from lingport.tasks.base import Example, Task
from lingport.tasks.metrics import check_paired, exact_match, token_f1
from lingport.tasks.normalise import normalise_mlqa, normalise_squad

_MEASURES = {"exact_match": exact_match, "f1": token_f1}
_MLQA = "_mlqa"

Golds = tuple[str, ...]


class AnswerTask(Task[str, Golds]):
    """Example fields `question`, `context`, `answers` (empty: unanswerable), optionally `answer_starts`.

    The target is the first answer; every answer counts as gold. An unanswerable question has an empty target.
    """

    form = "answer"
    field_names = ("question", "context")
    gold_field = "answers"
    default_score = ("f1", "exact_match")
    window_field = "context"

    @classmethod
    def score_names(cls, config: TaskConfig) -> list[str]:
        """Returns both measures under both normalisations."""
        return [*_MEASURES, *(measure + _MLQA for measure in _MEASURES)]

    def target(self, example: Example, language: str) -> str:
        """Returns the first answer, or nothing for an unanswerable question."""
        golds = self.gold(example)
        return golds[0] if golds else ""

    def gold(self, example: Example) -> Golds:
        """Returns all gold answers; none for an unanswerable question."""
        return tuple(str(answer) for answer in self.gold_value(example))

    def parse(self, text: str, example: Example, language: str | None = None) -> str:
        """Returns the output without white space around it: any text can be read as an answer."""
        return text.strip()

    def score(
        self, answers: Sequence[str | None], golds: Sequence[Golds], *, language: str | None = None
    ) -> dict[str, float]:
        """Returns `exact_match`, `f1` and, where the language is known, `exact_match_mlqa`, `f1_mlqa`."""
        check_paired(answers, golds)
        names = self.score_names(self.config) if language else list(_MEASURES)
        return {
            name: sum(map(partial(_measure, name, language=language), answers, golds)) / len(golds) for name in names
        }

    def per_example(self, answer: str | None, gold: Golds, *, language: str | None = None) -> tuple[float, ...]:
        """Returns (main score of the example, 1)."""
        return _measure(self.main_score, answer, gold, language=language), 1.0

    def main_of_totals(self, totals: Sequence[float]) -> float:
        """Returns the mean."""
        return totals[0] / totals[1]


def _measure(name: str, answer: str | None, gold: Golds, *, language: str | None) -> float:
    if answer is None:
        return 0.0
    if not name.endswith(_MLQA):
        return _MEASURES[name](answer, gold, normalise_squad)
    if language is None:
        raise ValueError(f"the score {name} needs the language of the answers")
    return _MEASURES[name.removesuffix(_MLQA)](answer, gold, partial(normalise_mlqa, language=language))
