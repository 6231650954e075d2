"""What a recipe may say. A recipe is a whole experiment: backbone, languages, tasks, configurations, settings.

Not here: YAML and overrides (`load.py`), data sources (`data.py`), tasks (`task.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lingport.config.data import ExampleSource, TextSource
from lingport.config.load import read_yaml, validated, with_overrides
from lingport.config.modules import CONFIGURATIONS, Configuration, ModuleSettings, Settings
from lingport.config.training import (
    LanguageAdapterTraining,
    LanguagePromptTraining,
    TaskAdapterTraining,
    TaskFullTraining,
    TaskPromptTraining,
    TrainingSettings,
)
from lingport.errors import nearest

#: entry that stands for every language that has none of its own
DEFAULT = "default"


class BackboneSettings(Settings):
    """Which backbone, and how it is loaded."""

    name: str = Field("nano", description="nano, a folder, or a hub name.")
    revision: str | None = Field(None, description="Branch, tag or commit of a hub repository.")
    dtype: str = Field("auto", description="float32, bfloat16, or auto.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, ...")


class SpanCorruptionSettings(Settings):
    """The objective of language modules (method, section 2)."""

    max_length: int = Field(256, ge=8, description="Tokens of a corrupted input, end-of-sequence included.")
    noise_density: float = Field(0.15, gt=0, lt=1, description="Share of tokens that are masked.")
    mean_span_length: float = Field(3.0, ge=1, description="Mean length of a masked span in tokens.")


class LanguageTraining(Settings):
    """Training of language modules, per kind."""

    adapter: LanguageAdapterTraining = Field(default_factory=LanguageAdapterTraining)  # pyright: ignore
    prompt: LanguagePromptTraining = Field(default_factory=LanguagePromptTraining)  # pyright: ignore
    modules: ModuleSettings = ModuleSettings()
    objective: SpanCorruptionSettings = SpanCorruptionSettings()  # pyright: ignore[reportCallIssue]
    validation_chunks: int = Field(64, ge=1, description="Held-out chunks that the loss is measured on.")

    def of(self, kind: str) -> TrainingSettings:
        """Returns the settings of a kind."""
        return getattr(self, kind)


class TaskTraining(Settings):
    """Training of task modules, per kind."""

    adapter: TaskAdapterTraining = Field(default_factory=TaskAdapterTraining)  # pyright: ignore
    prompt: TaskPromptTraining = Field(default_factory=TaskPromptTraining)  # pyright: ignore
    full: TaskFullTraining = Field(default_factory=TaskFullTraining)  # pyright: ignore
    modules: ModuleSettings = ModuleSettings()

    def of(self, kind: str) -> TrainingSettings:
        """Returns the settings of a kind."""
        return getattr(self, kind)


class Splits(Settings):
    """Labelled data of one language. A source language needs train and validation, a target test."""

    train: ExampleSource | None = None
    validation: ExampleSource | None = None
    test: ExampleSource | None = None


class TaskEntry(Settings):
    """A task of the recipe and its data."""

    task: str = Field(description="Name in the catalogue, or path of a task file.")
    name: str | None = Field(None, description="Name in results; null: the task's own.")
    data: dict[str, Splits] = Field(description="Language code, or `default` for all others -> its data.")
    training: TaskTraining | None = Field(None, description="Null: the recipe's task_training.")
    targets: list[str] | None = Field(None, description="Languages tested on this task; null: the recipe's targets.")
    overrides: dict[str, Any] = Field({}, description="Keys that replace those of the task file: labels, decoding, ...")

    def splits(self, language: str) -> Splits | None:
        """Returns the data of a language, or None."""
        return self.data.get(language) or self.data.get(DEFAULT)


class EvaluationSettings(Settings):
    """How test examples are run; changes speed and memory, not results beyond float rounding."""

    max_rows: int = Field(64, ge=1, description="Most rows of a batch.")
    max_tokens: int = Field(8192, ge=1, description="Most input tokens of a batch, padding included.")


class Recipe(Settings):
    """One experiment."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the run's folder.")
    description: str = ""
    backbone: BackboneSettings = BackboneSettings()  # pyright: ignore[reportCallIssue]
    configurations: list[str] = Field(min_length=1, description="Of none ta tp la+ta la+tp lp+ta lp+tp full.")
    policies: list[str] = Field(["target"], min_length=1, description="target, source, none, untrained, wrong:xx.")
    fusion: Literal["concat", "mean"] = "concat"
    sources: list[str] = Field(min_length=1, description="Languages that task modules are trained on.")
    targets: list[str] = Field(min_length=1, description="Languages that are tested.")
    seeds: list[int] = Field([1], min_length=1)
    text: dict[str, TextSource] = Field({}, description="Language code, or `default` -> raw text.")
    language_training: LanguageTraining = LanguageTraining()  # pyright: ignore[reportCallIssue]
    task_training: TaskTraining = TaskTraining()  # pyright: ignore[reportCallIssue]
    tasks: list[TaskEntry] = Field(min_length=1)
    evaluation: EvaluationSettings = EvaluationSettings()  # pyright: ignore[reportCallIssue]
    learners_at_once: int = Field(
        1, ge=1, description="Modules trained in one pass; 1 is bit-exact, more is faster on small backbones."
    )
    deterministic: bool = Field(False, description="Same bits on every run of the same machine; slower on a GPU.")

    @field_validator("configurations")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in CONFIGURATIONS:
                raise ValueError(f"unknown configuration {name!r}; {nearest(name, CONFIGURATIONS)}")
        return _distinct(names)

    @field_validator("policies")
    @classmethod
    def _policies(cls, names: list[str]) -> list[str]:
        for name in names:
            plain = ("target", "source", "none", "untrained")
            if name not in plain and not (name.startswith("wrong:") and len(name) > len("wrong:")):
                raise ValueError(f"unknown policy {name!r}; {nearest(name, [*plain, 'wrong:<language>'])}")
        return _distinct(names)

    @field_validator("sources", "targets", "seeds")
    @classmethod
    def _no_repeats(cls, values: list[Any]) -> list[Any]:
        return _distinct(values)

    @model_validator(mode="after")
    def _complete(self) -> Recipe:
        problems = []
        for language in self.text_languages():
            if self.text_of(language) is None:
                problems.append(f"text: no raw text for {language!r}, which a language module is trained on")
        for entry in self.tasks:
            for language, split in [
                *((source, split) for source in self.sources for split in ("train", "validation")),
                *((target, "test") for target in self.targets_of(entry)),
            ]:
                splits = entry.splits(language)
                if splits is None or getattr(splits, split) is None:
                    problems.append(f"tasks: {entry.task!r} has no {split} data for {language!r}")
        names = [entry.name or entry.task for entry in self.tasks]
        problems += [
            f"tasks: two are called {name!r}; give one a `name`" for name in set(names) if names.count(name) > 1
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def shapes(self) -> list[Configuration]:
        """Returns the configurations in the recipe's order."""
        return [CONFIGURATIONS[name] for name in self.configurations]

    def text_languages(self) -> list[str]:
        """Returns the languages whose language module the recipe needs, sources first."""
        if not any(shape.language for shape in self.shapes()):
            return []
        wrong = [policy.removeprefix("wrong:") for policy in self.policies if policy.startswith("wrong:")]
        targets = [target for entry in self.tasks for target in self.targets_of(entry)]
        return list(dict.fromkeys([*self.sources, *(targets if "target" in self.policies else []), *wrong]))

    def targets_of(self, entry: TaskEntry) -> list[str]:
        """Returns the languages that a task is tested on."""
        return self.targets if entry.targets is None else entry.targets

    def text_of(self, language: str) -> TextSource | None:
        """Returns where the raw text of a language is, or None."""
        return self.text.get(language) or self.text.get(DEFAULT)


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError(f"something is listed twice: {values}")
    return values


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Returns the recipe of a file, its data paths resolved against the working directory, then its folder.

    Args:
        path: The YAML file.
        overrides: `key=value` settings that go over the file's.

    Raises:
        ConfigError: All that is wrong with it at once, each with its line.
        DataError: A data file is in neither place.
    """
    recipe = validated(Recipe, with_overrides(read_yaml(path), overrides))
    base = Path(path).absolute().parent
    text = {language: source.resolve(base) for language, source in recipe.text.items()}
    tasks = [entry.model_copy(update={"data": _resolved(entry.data, base)}) for entry in recipe.tasks]
    return recipe.model_copy(update={"text": text, "tasks": tasks})


def _resolved(data: dict[str, Splits], base: Path) -> dict[str, Splits]:
    return {
        language: Splits(**{split: source.resolve(base) for split, source in splits if source is not None})
        for language, splits in data.items()
    }
