"""Tasks whose output is one of a few label words.

An output that is no label word is unreadable and counts as wrong; there is no default class. With
`decoding: rank` the likeliest label word is taken and nothing is unreadable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from lingport.config.load import Location
from lingport.config.task import TaskConfig
from lingport.errors import DataError, nearest
from lingport.tasks.base import Example, Task
from lingport.tasks.metrics import Measure, class_counts, f1_macro, mean
from lingport.tasks.normalise import normalise_label


class ClassifyTask(Task[str, str]):
    """Example fields: the text fields that the wording names, and `label`."""

    form = "classify"
    gold_field = "label"
    default_score = ("accuracy",)
    judges_script = False
    cleanable = True
    ranks = True

    @classmethod
    def score_names(cls, config: TaskConfig) -> list[str]:
        """Returns accuracy and macro F1, and the F1 of the positive class where one is named."""
        return ["accuracy", "f1_macro", *(["f1"] if config.positive is not None else [])]

    @classmethod
    def problems(cls, config: TaskConfig) -> list[tuple[Location, str]]:
        """Returns what is wrong with the labels, besides what is wrong with any task."""
        found = super().problems(config)
        labels = config.labels or {}
        if len(labels) < 2:
            found.append((("labels",), "a classification needs `labels`: two or more, as a list or label: word"))
        if config.positive is not None and config.positive not in labels:
            found.append((("positive",), f"{config.positive!r} is not a label; {nearest(config.positive, labels)}"))
        if config.positive is None and "f1" in config.score:
            location = ("score", config.score.index("f1"))
            found = [problem for problem in found if problem[0] != location]
            found.append((location, "the score f1 needs `positive`, the label it is about (or use f1_macro)"))
        for spelling, label in config.aliases.items():
            if label not in labels:
                message = f"{spelling!r} stands for {label!r}, which is not a label; {nearest(label, labels)}"
                found.append((("aliases", spelling), message))
        places: list[tuple[Location, dict[str, str]]] = [(("labels",), labels)]
        for language, override in config.wording.items():
            if override.labels:
                places.append((("wording", language, "labels"), labels | override.labels))
        for location, words in places:
            read = sorted((normalise_label(word), label) for label, word in words.items())
            for (word, label), (next_word, next_label) in pairwise(read):
                if word == next_word:
                    message = f"the words of {label!r} and {next_label!r} cannot be told apart in an output"
                    found.append((location, message))
            if read and not read[0][0]:
                found.append((location, f"the word of {read[0][1]!r} holds no letter or digit"))
        return found

    def target(self, example: Example, language: str) -> str:
        """Returns the label word."""
        return self.label_words(language)[self.gold(example)]

    def gold(self, example: Example) -> str:
        """Returns the label, by its name in the task.

        Raises:
            DataError: The example's label is none of the task's.
        """
        given = str(self.gold_value(example)).strip()
        label = self.config.aliases.get(given, given)
        if label not in (labels := self.config.labels or {}):
            raise DataError(
                f"label {given!r} is not one of task {self.name}'s; {nearest(given, labels)}",
                where=str(example.get("where", example.get("id", "example"))),
                hint="add it under `labels`, or under `aliases` as another spelling, in the task's YAML",
            )
        return label

    def parse(self, text: str, example: Example, language: str | None = None) -> str | None:
        """Returns the label whose word the output is, without regard to case and punctuation around it."""
        wanted = normalise_label(text)
        for label, word in self.label_words(language).items():
            if normalise_label(word) == wanted:
                return label
        return None

    def measure(self, name: str, *, language: str | None = None) -> Measure:
        """Returns the share of right answers, F1 of the positive class, or F1 averaged over the classes."""
        if name == "accuracy":
            return Measure(lambda answer, gold: (float(answer == gold), 1.0), mean)
        if name == "f1":
            positive = self.config.positive
            assert positive is not None
            # No positive example anywhere counts 0, as in scikit-learn: the macro average over the one class.
            return Measure(partial(class_counts, label=positive), f1_macro)
        labels = list(self.config.labels or {})

        def counts(answer: str | None, gold: str) -> list[float]:
            return [count for label in labels for count in class_counts(answer, gold, label)]

        return Measure(counts, f1_macro)

    def candidates(self, language: str | None = None) -> list[str]:
        """Returns the label words in the task's order."""
        return list(self.label_words(language).values())

    def label_of(self, candidate: str, language: str | None = None) -> str:
        """Returns the label of a label word."""
        return {word: label for label, word in self.label_words(language).items()}[candidate]

    def majority(self, examples: Sequence[Example]) -> float | None:
        """Returns the share of the most frequent label: what answering it always would score in accuracy."""
        labels = Counter(self.gold(example) for example in examples)
        return labels.most_common(1)[0][1] / labels.total() if labels else None
