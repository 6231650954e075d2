"""What a recipe may say. A recipe is a whole experiment: backbone, languages, tasks, configurations, settings.

Not here: YAML and overrides (`load.py`), data sources (`data.py`), tasks (`task.py`), how modules are trained
(`training.py`, `language.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lingport.config.catalogue import language_problem, split_sources
from lingport.config.data import ExampleSource, TextSource
from lingport.config.language import LanguageTraining
from lingport.config.load import read_yaml, validated, with_overrides
from lingport.config.modules import CONFIGURATIONS, Configuration, Settings
from lingport.config.sweep import SWEPT, at
from lingport.config.training import FewShotTraining, TaskTraining
from lingport.errors import ConfigError, nearest

#: entry that stands for every language that has none of its own
DEFAULT = "default"
#: between the languages of a source of several: de+en
PLUS = "+"


class BackboneSettings(Settings):
    """Which backbone, and how it is loaded."""

    name: str = Field("nano", description="nano, a folder, or a hub name.")
    revision: str | None = Field(None, description="Branch, tag or commit of a hub repository.")
    dtype: str = Field("auto", description="float32, bfloat16, or auto.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, ...")


class Splits(Settings):
    """Labelled data of one language. A source language needs train and validation, a target test.

    The name of a data set of the catalogue may stand for all three, alone or as `dataset` with settings beside it.
    """

    train: ExampleSource | None = None
    validation: ExampleSource | None = None
    test: ExampleSource | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_catalogue(cls, value: Any) -> Any:
        return split_sources(value)


class TaskEntry(Settings):
    """A task of the recipe and its data."""

    task: str = Field(description="Name in the catalogue, or path of a task file.")
    name: str | None = Field(None, description="Name in results; null: the task's own.")
    data: dict[str, Splits] = Field(
        description="Language code, or `default` for all others -> its data: train, validation and test, or a data set "
        "of the catalogue (`xnli`, or `{dataset: xnli, limit: 100}`)."
    )
    training: TaskTraining | None = Field(None, description="Null: the recipe's task_training.")
    targets: list[str] | None = Field(None, description="Languages tested on this task; null: the recipe's targets.")
    overrides: dict[str, Any] = Field({}, description="Keys that replace those of the task file: labels, decoding, ...")

    def splits(self, language: str) -> Splits | None:
        """Returns the data of a language, or None."""
        return self.data.get(language) or self.data.get(DEFAULT)


class Mixture(Settings):
    """Several tasks learnt by one task module, which is evaluated on each of them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$", description="Name in results and of its modules.")
    shares: dict[str, int] = Field(
        min_length=2, description="Name of a task of the recipe -> its share of the rows: 3 and 1 are three to one."
    )
    training: TaskTraining | None = Field(None, description="Null: the recipe's task_training.")

    @field_validator("shares")
    @classmethod
    def _positive(cls, shares: dict[str, int]) -> dict[str, int]:
        for name, share in shares.items():
            if share < 1:
                raise ValueError(f"the share of {name!r} is {share}; shares are 1 or more")
        return shares


class EvaluationSettings(Settings):
    """How test examples are run; changes speed and memory, not results beyond float rounding."""

    max_rows: int = Field(256, ge=1, description="Most rows of a batch.")
    max_tokens: int = Field(
        16384, ge=1, description="Most input tokens of a batch, virtual tokens and padding included."
    )
    examples_at_once: int = Field(
        1024,
        ge=0,
        description="Cells are evaluated together, their rows mixed in the batches, until they have so many examples; "
        "0, and `deterministic`: each by itself.",
    )


class Recipe(Settings):
    """One experiment."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the run's folder.")
    description: str = ""
    backbone: BackboneSettings = BackboneSettings()  # pyright: ignore[reportCallIssue]
    configurations: list[str] = Field(min_length=1, description="Of none ta tp la+ta la+tp lp+ta lp+tp full.")
    policies: list[str] = Field(["target"], min_length=1, description="target, source, none, untrained, wrong:xx.")
    fusion: Literal["concat", "mean"] = "concat"
    sources: list[str] = Field(
        min_length=1,
        description="Languages that task modules are trained on; a list among them, or `de+en`, is one module "
        "trained on several languages in turn.",
    )
    targets: list[str] = Field(min_length=1, description="Languages that are tested.")
    seeds: list[int] = Field([1], min_length=1, description="Each decides every random number of its own modules.")
    shots: list[int] = Field(
        [0],
        min_length=1,
        description="Examples of the target language that a task module is trained on after transfer.",
    )
    text: dict[str, TextSource] = Field({}, description="Language code, or `default` -> raw text.")
    language_training: LanguageTraining = LanguageTraining()  # pyright: ignore[reportCallIssue]
    task_training: TaskTraining = TaskTraining()  # pyright: ignore[reportCallIssue]
    few_shot: FewShotTraining = FewShotTraining()  # pyright: ignore[reportCallIssue]
    tasks: list[TaskEntry] = Field(min_length=1)
    mixtures: list[Mixture] = Field([], description="Task modules that learn several of the tasks at once.")
    sweep: dict[str, list[Any]] = Field(
        {},
        description="Dotted key of this recipe -> values that it takes; all combinations are made. Keys begin with "
        + ", ".join(SWEPT)
        + ".",
    )
    evaluation: EvaluationSettings = EvaluationSettings()  # pyright: ignore[reportCallIssue]
    learners_at_once: int = Field(
        1,
        ge=1,
        description="Modules trained in one pass; 1 is bit-exact, more is faster on small backbones. Only where "
        "backbone_dropout is 0; `full` is always alone.",
    )
    deterministic: bool = Field(False, description="Same bits on every run of the same machine; slower on a GPU.")
    trackers: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        [], description="Where the numbers of training are shown besides; they need `pip install 'lingport[tracking]'`."
    )

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

    @field_validator("sources", mode="before")
    @classmethod
    def _name_sources(cls, values: Any) -> Any:
        return [_source_name(value) for value in values] if isinstance(values, list) else values

    @field_validator("sources", "targets", "seeds", "shots")
    @classmethod
    def _no_repeats(cls, values: list[Any]) -> list[Any]:
        return _distinct(values)

    @field_validator("shots")
    @classmethod
    def _counts(cls, values: list[int]) -> list[int]:
        if min(values) < 0:
            raise ValueError(f"{min(values)} examples; 0 is zero-shot")
        return values

    @field_validator("sweep")
    @classmethod
    def _sweepable(cls, sweep: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for key, values in sweep.items():
            if key.split(".")[0] not in SWEPT:
                raise ValueError(
                    f"{key!r} cannot be swept; keys begin with {', '.join(SWEPT)} (configurations, sources, targets, "
                    "policies, seeds and shots are lists themselves; another backbone is another recipe)"
                )
            if not values:
                raise ValueError(f"{key!r} has no values")
            if any(value in values[:index] for index, value in enumerate(values)):
                raise ValueError(f"a value of {key!r} is listed twice: {values}")
        return sweep

    @model_validator(mode="after")
    def _complete(self) -> Recipe:
        problems = [*self._missing_data(), *self._wrong_names()]
        for key, value in ((key, value) for key, values in self.sweep.items() for value in values):
            try:
                at(self, {key: value})
            except ConfigError as error:
                problems.append(error.message)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _missing_data(self) -> Iterator[str]:
        for language in self.text_languages():
            if (text := self.text_of(language)) is None:
                yield f"text: no raw text for {language!r}, which a language module is trained on"
            elif problem := language_problem(text.dataset, language):
                yield f"text: {problem}"
        for entry in self.tasks:
            for language, split in self.data_needed(entry):
                splits = entry.splits(language)
                if splits is None or (source := getattr(splits, split)) is None:
                    yield f"tasks: {entry.task!r} has no {split} data for {language!r}"
                elif problem := language_problem(source.dataset, language):
                    yield f"tasks: {entry.task!r}: {problem}"

    def _wrong_names(self) -> Iterator[str]:
        names = [entry.name or entry.task for entry in self.tasks]
        for name in sorted(set(names)):
            if names.count(name) > 1:
                yield f"tasks: two are called {name!r}; give one a `name`"
        for index, mixture in enumerate(self.mixtures):
            if mixture.name in [*names, *(other.name for other in self.mixtures[:index])]:
                yield f"mixtures: the name {mixture.name!r} is taken"
            for name in mixture.shares:
                if name not in names:
                    yield f"mixtures: {mixture.name!r} names {name!r}, which is no task; {nearest(name, names)}"

    def shapes(self) -> list[Configuration]:
        """Returns the configurations in the recipe's order."""
        return [CONFIGURATIONS[name] for name in self.configurations]

    def text_languages(self) -> list[str]:
        """Returns the languages whose language module the recipe needs, sources first."""
        if not any(shape.language for shape in self.shapes()):
            return []
        wrong = [policy.removeprefix("wrong:") for policy in self.policies if policy.startswith("wrong:")]
        targets = [target for entry in self.tasks for target in self.targets_of(entry)]
        needed = [*self.source_languages(), *(targets if "target" in self.policies else []), *wrong]
        before = self.language_training.before
        return list(dict.fromkeys(each for language in needed for each in (*before(language), language)))

    def source_languages(self) -> list[str]:
        """Returns the languages that task modules are trained on, each once."""
        return list(dict.fromkeys(language for source in self.sources for language in languages_of(source)))

    def data_needed(self, entry: TaskEntry) -> list[tuple[str, str]]:
        """Returns the (language, split) pairs that a task is read in, each once.

        Few-shot training also looks at a target's validation data where there are any.
        """
        needed = [(language, split) for language in self.source_languages() for split in ("train", "validation")]
        if any(self.shots):
            needed += [(target, "train") for target in self.targets_of(entry)]
        needed += [(target, "test") for target in self.targets_of(entry)]
        return list(dict.fromkeys(needed))

    def targets_of(self, entry: TaskEntry) -> list[str]:
        """Returns the languages that a task is tested on."""
        return self.targets if entry.targets is None else entry.targets

    def text_of(self, language: str) -> TextSource | None:
        """Returns where the raw text of a language is, or None."""
        return self.text.get(language) or self.text.get(DEFAULT)


def languages_of(source: str) -> list[str]:
    """Returns the languages of a source: one, or the several of `de+en`."""
    return source.split(PLUS)


def _source_name(value: Any) -> Any:
    languages = value.split(PLUS) if isinstance(value, str) else value
    if not isinstance(languages, list) or not all(isinstance(language, str) for language in languages):
        return value  # pydantic says what it should be
    if not languages or not all(languages):
        raise ValueError(f"{value!r} names no language")
    return PLUS.join(sorted(_distinct(languages)))


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
    return resolved(recipe, Path(path).absolute().parent)


def resolved(recipe: Recipe, base: Path | None) -> Recipe:
    """Returns a recipe whose data paths are absolute, looked for in the working directory, then in `base`.

    Raises:
        DataError: A data file is in neither place.
    """
    text = {language: source.resolve(base) for language, source in recipe.text.items()}
    tasks = [entry.model_copy(update={"data": _resolved(entry.data, base)}) for entry in recipe.tasks]
    return recipe.model_copy(update={"text": text, "tasks": tasks})


def _resolved(data: dict[str, Splits], base: Path | None) -> dict[str, Splits]:
    return {
        language: Splits(**{split: source.resolve(base) for split, source in splits if source is not None})
        for language, splits in data.items()
    }
