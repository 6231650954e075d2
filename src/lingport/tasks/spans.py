r"""Tasks whose output lists tagged pieces of the text: `TAG: entity$$TAG: entity`, as in NER.

Backslash, colon and dollar are escaped with a backslash inside tags and entities, so that every entity
survives the way to a target and back (the published code drops entities with a colon).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from lingport.config.task import TaskConfig
from lingport.tasks.base import Example, Task
from lingport.tasks.metrics import Counts, Measure, f1, multiset_counts, precision, recall
from lingport.tasks.normalise import normalise_text

Spans = tuple[tuple[str, str], ...]

SEPARATOR = "$$"
_SPECIAL = re.compile(r"[\\:$]")
_ESCAPED = re.compile(r"\\([\\:$])")
# What an output is made of: escaped characters, separators, single characters.
_PARTS = re.compile(r"\\.|\$\$|.", re.DOTALL)
_TAG = re.compile(r"((?:\\.|[^:\\])+):(.*)", re.DOTALL)
_BY_TAG = "f1_"
_VALUES = {"f1": f1, "precision": precision, "recall": recall}


def escape(text: str) -> str:
    """Returns the text with a backslash before every backslash, colon and dollar."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def unescape(text: str) -> str:
    """Returns what `escape` was given; a backslash before anything else stands for itself."""
    return _ESCAPED.sub(r"\1", text)


def _split(text: str) -> list[str]:
    items = [""]
    for part in _PARTS.findall(text):
        if part == SEPARATOR:
            items.append("")
        else:
            items[-1] += part
    return items


class SpansTask(Task[Spans, Spans]):
    """Example fields `tokens` (a list, or a text as it is), `spans` ([tag, entity text] in order) and `joiner`.

    Tags are what the data say; `labels` may give some of them words of their own. Texts are compared in the
    form of `normalise_text`, tags exactly.
    """

    form = "spans"
    field_names = ("tokens",)
    gold_field = "spans"
    default_score = ("f1",)

    @classmethod
    def score_names(cls, config: TaskConfig) -> list[str]:
        """Returns the overall scores, and those per-tag ones that the settings ask for."""
        return [*_VALUES, *(name for name in config.score if name.startswith(_BY_TAG))]

    def field_text(self, example: Example, name: str) -> str:
        """Returns the tokens joined by spaces, or by the example's `joiner`; a text is taken as it is."""
        value = example[name]
        joiner = str(example.get("joiner", " "))
        return value if isinstance(value, str) else joiner.join(str(token) for token in value)

    def target(self, example: Example, language: str) -> str:
        """Returns `TAG: entity$$TAG: entity`; nothing for a text without entities."""
        words = self.label_words(language)
        items = (f"{escape(words.get(tag, tag))}: {escape(text)}" for tag, text in self.gold(example))
        return SEPARATOR.join(items)

    def gold(self, example: Example) -> Spans:
        """Returns (tag, entity text) in the order of the text."""
        return tuple((normalise_text(str(tag)), normalise_text(str(text))) for tag, text in self.gold_value(example))

    def parse(self, text: str, example: Example, language: str | None = None) -> Spans | None:
        """Returns the (tag, entity text) pairs of an output, in any order, repeated where repeated.

        An empty output is a prediction of no entity. Pieces without a tag or an entity are passed over; an
        output of nothing but such pieces is unreadable (None). Tags that nobody declared are kept, and so
        count as wrong.
        """
        if not text.strip():
            return ()
        tags = {word: tag for tag, word in self.label_words(language).items()}
        spans = []
        for item in _split(text):
            if not (match := _TAG.fullmatch(item)):
                continue
            word, entity = (normalise_text(unescape(part)) for part in match.groups())
            if word and entity:
                spans.append((tags.get(word, word), entity))
        return tuple(spans) or None

    def judged_text(self, text: str, answer: Spans | None) -> str:
        """Returns the entity texts alone: tags are the same in every language."""
        return text if answer is None else " ".join(entity for _, entity in answer)

    def shown_scores(
        self, answers: Sequence[Spans | None], golds: Sequence[Spans], *, language: str | None
    ) -> list[str]:
        """Returns `f1`, `precision`, `recall` over all (tag, text) pairs, and `f1_TAG` for each tag.

        Tags are those of the gold spans, the declared ones that were predicted, and the ones asked for.
        """
        predicted = {tag for answer in answers for tag, _ in answer or ()}
        tags = {tag for gold in golds for tag, _ in gold} | (predicted & set(self.config.labels or {}))
        tags |= {name.removeprefix(_BY_TAG) for name in self.scores if name.startswith(_BY_TAG)}
        return [*_VALUES, *(f"{_BY_TAG}{tag}" for tag in sorted(tags))]

    def measure(self, name: str, *, language: str | None = None) -> Measure:
        """Returns a score of the true positives, false positives and false negatives of all examples together."""
        if name in _VALUES:
            return Measure(_counts, _VALUES[name])
        return Measure(partial(_counts, tag=name.removeprefix(_BY_TAG)), f1)


def _counts(answer: Spans | None, gold: Spans, *, tag: str | None = None) -> Counts:
    if answer is None and not gold and tag is None:
        # Unreadable where nothing was to be found: wrong, because it should have been silent.
        return Counts(0, 1, 0)
    answer = answer or ()
    if tag is not None:
        answer, gold = (tuple(item for item in side if item[0] == tag) for side in (answer, gold))
    return multiset_counts(answer, gold)
