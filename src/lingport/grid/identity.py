"""What decides the result of each job of one recipe, as a hash: its id.

Names play no part in it. Not here: making the jobs themselves (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from lingport.config.modules import CONFIGURATIONS, Settings
from lingport.config.schema import Mixture, Recipe, languages_of
from lingport.config.training import NOT_RESULT, TaskTraining, TrainingSettings
from lingport.errors import ConfigError
from lingport.grid.fingerprint import content_id, source_fingerprint
from lingport.grid.jobs import PlannedTask

#: raised when a change of the code makes earlier results incomparable
RESULTS_VERSION = 2


class LanguageKey(NamedTuple):
    """Which language module; `trained` is False for the control that never is."""

    kind: str
    language: str
    seed: int
    trained: bool = True


class TaskKey(NamedTuple):
    """Which task module: of one task, or of a mixture."""

    task: str | None
    mixture: str | None
    configuration: str
    source: str
    seed: int


class ShotsKey(NamedTuple):
    """Which task module after few-shot training: the module, and the examples of which task in which language."""

    module: TaskKey
    task: str
    target: str
    policy: str
    shots: int


class CellKey(NamedTuple):
    """Which cell."""

    task: str
    mixture: str | None
    configuration: str
    source: str
    target: str
    policy: str
    seed: int
    shots: int

    @property
    def module(self) -> TaskKey | None:
        """The task module that was trained on the source; None where there is none."""
        if CONFIGURATIONS[self.configuration].task is None:
            return None
        task = None if self.mixture else self.task
        return TaskKey(task, self.mixture, self.configuration, self.source, self.seed)

    @property
    def language(self) -> LanguageKey | None:
        """The language module that is active; None where there is none."""
        return language_in(self.configuration, self.policy, source=self.source, target=self.target, seed=self.seed)

    @property
    def few_shot(self) -> ShotsKey | None:
        """The task module after few-shot training; None where there is none."""
        if self.module is None or not self.shots:
            return None
        return ShotsKey(self.module, self.task, self.target, self.policy, self.shots)


Key = LanguageKey | TaskKey | ShotsKey | CellKey


def language_in(configuration: str, policy: str, *, source: str, target: str, seed: int) -> LanguageKey | None:
    """Returns the language module that a policy makes active; of several sources the first is kept."""
    kind = CONFIGURATIONS[configuration].language
    if kind is None:
        return None
    name, _, said = policy.partition(":")
    found = _LANGUAGE_OF_POLICY[name](languages_of(source)[0], target, said)
    return None if found is None else LanguageKey(kind, found, seed, trained=name != "untrained")


_LANGUAGE_OF_POLICY: dict[str, Callable[[str, str, str], str | None]] = {
    "target": lambda _source, target, _said: target,
    "source": lambda source, _target, _said: source,
    "none": lambda _source, _target, _said: None,
    "untrained": lambda _source, target, _said: target,
    "wrong": lambda _source, _target, said: said,
}


class Identities:
    """The ids of a recipe's jobs.

    Args:
        recipe: Without a sweep, or one point of it.
        tasks: Name -> task, loaded.
        backbone: The backbone's fingerprint.
    """

    def __init__(self, recipe: Recipe, tasks: Mapping[str, PlannedTask], *, backbone: str) -> None:
        self.recipe = recipe
        self.tasks = tasks
        self._common = {"version": RESULTS_VERSION, "backbone": backbone, "dtype": recipe.backbone.dtype}
        self._ids: dict[Key, str] = {}
        self._sources: dict[tuple[str, str, str], str] = {}

    def of(self, key: Key) -> str:
        """Returns the id of a job."""
        if key not in self._ids:
            self._ids[key] = content_id({**self._common, **_CONTENT[type(key)](self, key)})
        return self._ids[key]

    def text_id(self, key: LanguageKey) -> str:
        """Returns a hash of everything that decides the rows a language module is trained on."""
        return content_id(self._text(key))

    @cached_property
    def mixtures(self) -> dict[str, Mixture]:
        """Name -> mixture of tasks."""
        return {mixture.name: mixture for mixture in self.recipe.mixtures}

    def shares(self, key: TaskKey) -> dict[str, int]:
        """Returns task -> share of the rows that a task module is trained on."""
        return self.mixtures[key.mixture].shares if key.mixture else {str(key.task): 1}

    def training_of(self, key: TaskKey) -> TaskTraining:
        """Returns how a task module is trained."""
        if key.mixture:
            return self.mixtures[key.mixture].training or self.recipe.task_training
        return self.tasks[str(key.task)].training

    def language_training(self, key: LanguageKey) -> TrainingSettings:
        """Returns how a language module is trained; a starting point may say for how long."""
        training = self.recipe.language_training.of(key.kind)
        start = self.recipe.language_training.start.get(key.language)
        if start is None or start.steps is None:
            return training
        return training.model_copy(update={"steps": start.steps})

    def _text(self, key: LanguageKey) -> dict[str, Any]:
        source = self.recipe.text_of(key.language)
        if source is None:
            raise ConfigError(f"no raw text for {key.language!r}", hint=f"add text.{key.language} to the recipe")
        settings = self.recipe.language_training
        return {
            "objective": _dump(settings.objective),
            "validation_chunks": settings.validation_chunks,
            "text": source_fingerprint(source, key.language),
            "sample": [settings.num_texts, key.seed] if settings.num_texts else None,
        }

    def _language(self, key: LanguageKey) -> dict[str, Any]:
        if not key.trained:
            return {"untrained": list(key), "module": self._module_of(key)}
        start = self.recipe.language_training.start.get(key.language)
        ancestors = [
            [self.of(key._replace(language=language)), factor, part]
            for part in ("weights", "vectors")
            for language, factor in (getattr(start, part) if start else {}).items()
        ]
        return {
            "kind": key.kind,
            "module": self._module_of(key),
            "training": _dump(self.language_training(key)),
            **self._text(key),
            "start": ancestors,
            "language": key.language,
            "seed": key.seed,
        }

    def _module_of(self, key: LanguageKey) -> dict[str, Any]:
        return _dump(getattr(self.recipe.language_training.modules, key.kind))

    def _task(self, key: TaskKey) -> dict[str, Any]:
        configuration = CONFIGURATIONS[key.configuration]
        kind = str(configuration.task)
        training = self.training_of(key)
        languages = languages_of(key.source)
        above = [LanguageKey(configuration.language, each, key.seed) for each in languages if configuration.language]
        return {
            "tasks": [[self._definition(name), share] for name, share in self.shares(key).items()],
            "kind": kind,
            "module": _dump(getattr(training.modules, kind)),
            "training": _dump(training.of(kind)),
            "data": [
                self._data(name, language, split)
                for name in self.shares(key)
                for language in languages
                for split in ("train", "validation")
            ],
            "num_examples": training.num_examples,
            "languages": [self.of(each) for each in above],
            "fusion": self.recipe.fusion,
            "source": key.source,
            "seed": key.seed,
        }

    def _few_shot(self, key: ShotsKey) -> dict[str, Any]:
        module = key.module
        above = language_in(module.configuration, key.policy, source=module.source, target=key.target, seed=module.seed)
        kind = str(CONFIGURATIONS[module.configuration].task)
        has_validation = self.tasks[key.task].find(key.target, "validation") is not None
        return {
            "start": self.of(module),
            "task": self._definition(key.task),
            "training": _dump(self.recipe.few_shot.of(kind)),
            "shots": key.shots,
            "data": self._data(key.task, key.target, "train"),
            "validation": self._data(key.task, key.target, "validation") if has_validation else None,
            "language": self.of(above) if above else None,
            "target": key.target,
        }

    def _cell(self, key: CellKey) -> dict[str, Any]:
        trained = key.few_shot or key.module
        return {
            "task": self._definition(key.task),
            "test": self._data(key.task, key.target, "test"),
            "target": key.target,
            "language": self.of(key.language) if key.language else None,
            "trained": self.of(trained) if trained else None,
            "fusion": self.recipe.fusion,
            "cell": [key.configuration, key.source, key.policy, key.seed],
        }

    def _definition(self, name: str) -> dict[str, Any]:
        task = self.tasks[name]
        return {"name": task.name, "config": task.task.config.model_dump(mode="json", exclude={"name"})}

    def _data(self, name: str, language: str, split: str) -> str:
        place = (name, language, split)
        if place not in self._sources:
            self._sources[place] = source_fingerprint(self.tasks[name].source(language, split), language)
        return self._sources[place]


_CONTENT: dict[type[Any], Callable[[Identities, Any], dict[str, Any]]] = {
    LanguageKey: Identities._language,
    TaskKey: Identities._task,
    ShotsKey: Identities._few_shot,
    CellKey: Identities._cell,
}


def _dump(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude=NOT_RESULT)
