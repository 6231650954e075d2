"""What a task is: the way from an example to an input and a target, and from an output to a score.

The forms (answer, spans, classify) are in files of their own; cutting long inputs is `windows.py`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from lingport.config.load import Location
from lingport.config.task import TaskConfig, fill_wording, wording_fields
from lingport.data.languages import language as language_of
from lingport.errors import DataError
from lingport.registry import Registry
from lingport.tasks.metrics import Measure, check_paired

Example = Mapping[str, Any]
A = TypeVar("A")
G = TypeVar("G")

# Fields that any wording may use besides the example's own.
LANGUAGE_FIELD = "Language"
LABELS_FIELD = "labels"

_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)


def remove_links(text: str) -> str:
    """Returns the text without web addresses, white space closed up."""
    return " ".join(_LINK.sub(" ", text).split())


CLEANERS = {"remove_links": remove_links}


@dataclass(frozen=True)
class Rendered:
    """An example as the model sees it: input text and target text (empty where there is none)."""

    input: str
    target: str


class Task(ABC, Generic[A, G]):
    """A task of one form; `A` is what an output is read as, `G` what a gold answer is.

    Args:
        config: What the task's YAML says.
    """

    form: ClassVar[str]
    field_names: ClassVar[tuple[str, ...] | None] = None
    gold_field: ClassVar[str]
    default_score: ClassVar[tuple[str, ...]]
    window_field: ClassVar[str | None] = None
    judges_script: ClassVar[bool] = True
    cleanable: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    def __init__(self, config: TaskConfig) -> None:
        self.config = config
        self.name = config.name
        self.scores = list(config.score) or list(self.default_score)
        self.main_score = self.scores[0]
        self.decoding = config.decoding
        self.max_input_tokens = config.max_input_tokens
        self.max_target_tokens = config.max_target_tokens
        self.overflow = config.overflow or ("windows" if self.window_field else "truncate")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, version={self.config.version})"

    @classmethod
    @abstractmethod
    def score_names(cls, config: TaskConfig) -> list[str]:
        """Returns the scores that the form can give under these settings."""

    @classmethod
    def problems(cls, config: TaskConfig) -> list[tuple[Location, str]]:
        """Returns what is wrong with settings beyond the schema, as (location, message)."""
        found: list[tuple[Location, str]] = []
        allowed = cls.allowed_fields(config)
        wordings: list[tuple[Location, str]] = [(("input",), config.input)]
        for language, override in config.wording.items():
            if override.input is not None:
                wordings.append((("wording", language, "input"), override.input))
            for label in override.labels or {}:
                if label not in (config.labels or {}):
                    known = ", ".join(config.labels or {}) or "none"
                    message = f"label {label!r} is not one of the task's: {known}"
                    found.append((("wording", language, "labels", label), message))
        for location, wording in wordings:
            names = wording_fields(wording)
            for name in sorted(set(names) - {*allowed, LANGUAGE_FIELD, LABELS_FIELD}):
                found.append((location, f"unknown field {{{name}}}; allowed: {', '.join(allowed)}"))
            if cls.window_field and config.overflow != "truncate" and names.count(cls.window_field) != 1:
                message = f"the wording must hold {{{cls.window_field}}} once for overflow windows"
                found.append((location, message))
        inits = [(("prompt_init",), config.prompt_init)]
        inits += [(("wording", code, "prompt_init"), each.prompt_init) for code, each in config.wording.items()]
        for location, text in inits:
            for name in sorted(set(wording_fields(text or "")) - {LANGUAGE_FIELD, LABELS_FIELD}):
                found.append((location, f"unknown field {{{name}}}; allowed: {LANGUAGE_FIELD}, {LABELS_FIELD}"))
        names = cls.score_names(config)
        for index, score in enumerate(config.score):
            if score not in names:
                found.append((("score", index), f"score {score!r} is not one of {', '.join(names)}"))
        if config.overflow == "windows" and not cls.window_field:
            found.append((("overflow",), f"the form {cls.form} has no windows; use truncate"))
        if config.cleaning and not cls.cleanable:
            found.append((("cleaning",), f"the form {cls.form} cannot be cleaned: its answers lie in the text"))
        if config.decoding == "rank" and not cls.ranks:
            found.append((("decoding",), f"the form {cls.form} has no label words to rank; use generate"))
        return found

    @classmethod
    def allowed_fields(cls, config: TaskConfig) -> list[str]:
        """Returns the fields of an example that a wording of this task may use."""
        if config.fields is not None:
            return config.fields
        if cls.field_names is not None:
            return list(cls.field_names)
        own = {LANGUAGE_FIELD, LABELS_FIELD}
        return [name for name in dict.fromkeys(wording_fields(config.input)) if name not in own]

    @property
    def fields(self) -> list[str]:
        """The fields of an example that the inputs are made of."""
        return self.allowed_fields(self.config)

    def render(self, example: Example, language: str, *, with_target: bool = True) -> Rendered:
        """Returns the input and target text of an example.

        Args:
            example: The example; its text is taken as it is, nothing in it is interpreted.
            language: Code of the language whose wording is used.
            with_target: False for examples without a gold answer; the target is then empty.

        Raises:
            DataError: A field that the wording names, or the gold answer, is missing.
        """
        target = self.target(example, language) if with_target else ""
        return Rendered(self.input_text(example, language), target)

    def input_text(self, example: Example, language: str) -> str:
        """Returns the input text alone; needs no gold answer."""
        override = self.config.wording.get(language)
        wording = (override and override.input) or self.config.input
        values = self._wording_values(wording, language)
        values |= {name: self.field_text(example, name) for name in self.fields if name in example}
        try:
            return fill_wording(wording, values)
        except KeyError as error:
            raise self._missing(example, str(error.args[0])) from None

    def field_text(self, example: Example, name: str) -> str:
        """Returns one field as the text that goes into the wording."""
        text = str(example[name])
        for cleaning in self.config.cleaning:
            text = CLEANERS[cleaning](text)
        return text

    def prompt_init(self, language: str) -> str | None:
        """Returns the text a task prompt starts from, in a language's wording; None: the task has none."""
        override = self.config.wording.get(language)
        text = (override and override.prompt_init) or self.config.prompt_init
        return None if text is None else fill_wording(text, self._wording_values(text, language))

    def label_words(self, language: str | None = None) -> dict[str, str]:
        """Returns label -> label word in the task's order; empty where the task declares no labels.

        Args:
            language: None: the task's own words, whatever single languages say.
        """
        words = dict(self.config.labels or {})
        override = self.config.wording.get(language) if language else None
        return words | dict((override and override.labels) or {})

    def _wording_values(self, wording: str, language: str) -> dict[str, str]:
        values = {LABELS_FIELD: ", ".join(self.label_words(language).values())}
        if LANGUAGE_FIELD in wording_fields(wording):
            values[LANGUAGE_FIELD] = language_of(language).name
        return values

    def _missing(self, example: Example, name: str) -> DataError:
        present = ", ".join(sorted(key for key in example if key not in ("id", "where")))
        return DataError(
            f"the task {self.name} needs the field {name!r}; the example has: {present or 'none'}",
            where=str(example.get("where", example.get("id", "example"))),
            hint="name the right column in the data's settings, or change the task's wording",
        )

    def gold_value(self, example: Example) -> Any:
        """Returns the raw gold field.

        Raises:
            DataError: The example has none.
        """
        if self.gold_field not in example:
            raise self._missing(example, self.gold_field)
        return example[self.gold_field]

    @abstractmethod
    def target(self, example: Example, language: str) -> str:
        """Returns the text that the model learns to give."""

    @abstractmethod
    def gold(self, example: Example) -> G:
        """Returns the gold answer, whole (never cut)."""

    @abstractmethod
    def parse(self, text: str, example: Example, language: str | None = None) -> A | None:
        """Returns what an output says; None: unreadable.

        Args:
            text: The decoded output, without special tokens.
            example: The example it is an output for.
            language: Language of the wording; None: the task's own label words.
        """

    def score(
        self, answers: Sequence[A | None], golds: Sequence[G], *, language: str | None = None
    ) -> dict[str, float]:
        """Returns all scores (0 to 1) of a set of examples; unreadable answers (None) are wrong.

        Args:
            answers: What `parse` gave, in the order of `golds`.
            golds: What `gold` gave.
            language: Language of the answers; None leaves out the scores that depend on it.

        Raises:
            DataError: There is nothing to score.
        """
        check_paired(answers, golds)
        names = self.shown_scores(answers, golds, language=language)
        return {name: self.measure(name, language=language).score(answers, golds) for name in names}

    @abstractmethod
    def measure(self, name: str, *, language: str | None = None) -> Measure:
        """Returns how a score of this task is counted.

        Args:
            name: One of `score_names`.
            language: Language of the answers; None is refused where the score depends on it.
        """

    def shown_scores(self, answers: Sequence[A | None], golds: Sequence[G], *, language: str | None) -> list[str]:
        """Returns the names of the scores that are given for these answers: all, where a form says nothing else."""
        return self.score_names(self.config)

    def judged_text(self, text: str, answer: A | None) -> str:
        """Returns the part of an output whose script is judged; all of it where a form says nothing else."""
        return text

    def candidates(self, language: str | None = None) -> list[str] | None:
        """Returns the label words to rank, or None where the form has none."""
        return None

    def label_of(self, candidate: str, language: str | None = None) -> str:
        """Returns the label that a candidate stands for."""
        raise TypeError(f"the form {self.form} has no candidates")

    def majority(self, examples: Sequence[Example]) -> float | None:
        """Returns the share of the largest class (0 to 1), or None where there are no classes."""
        return None

    def max_new_tokens(self, tokenizer: Any, language: str | None = None) -> int:
        """Returns how many tokens to generate at most: the setting, or more if a label word needs more.

        A tokenizer with short pieces needs more tokens for a label word than the setting may foresee; an
        answer that cannot be ended would be unreadable.
        """
        words = self.candidates(language) or []
        lengths = [len(tokenizer(word, add_special_tokens=False).input_ids) + 1 for word in words]
        return max([self.max_target_tokens, *lengths])


FORMS: Registry[type[Task[Any, Any]]] = Registry(
    "form of task",
    {
        "answer": "lingport.tasks.answer:AnswerTask",
        "classify": "lingport.tasks.classify:ClassifyTask",
        "spans": "lingport.tasks.spans:SpansTask",
    },
)
