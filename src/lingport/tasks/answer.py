"""Tasks whose output is a short text, as in question answering over a passage.

Scores are SQuAD's exact match and F1, with the English normalisation and with MLQA's per-language one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lingport.config.task import TaskConfig
from lingport.tasks.base import Example, Task
from lingport.tasks.metrics import Measure, Normaliser, exact_match, mean, token_f1
from lingport.tasks.normalise import normalise_mlqa, normalise_squad

_OVERLAPS = {"exact_match": exact_match, "f1": token_f1}
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
        return [*_OVERLAPS, *(overlap + _MLQA for overlap in _OVERLAPS)]

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

    def shown_scores(self, answers: Sequence[str | None], golds: Sequence[Golds], *, language: str | None) -> list[str]:
        """Returns `exact_match`, `f1` and, where the language is known, `exact_match_mlqa`, `f1_mlqa`."""
        return self.score_names(self.config) if language else list(_OVERLAPS)

    def measure(self, name: str, *, language: str | None = None) -> Measure:
        """Returns the mean over the examples."""
        normalise: Normaliser = normalise_squad
        if name.endswith(_MLQA):
            if language is None:
                raise ValueError(f"the score {name} needs the language of the answers")
            normalise = partial(normalise_mlqa, language=language)
        overlap = _OVERLAPS[name.removesuffix(_MLQA)]

        def counts(answer: str | None, gold: Golds) -> tuple[float, float]:
            return (0.0 if answer is None else overlap(answer, gold, normalise)), 1.0

        return Measure(counts, mean)
