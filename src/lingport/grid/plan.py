"""From a recipe to jobs: language modules, task modules above them, evaluations of both together.

A job's id is a hash of everything that decides its result, so that running again does only what is missing.
Not here: doing the jobs (`local.py`), and what was done (`ledger.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lingport.config.data import ExampleSource, TextSource
from lingport.config.modules import KIND_LETTERS, Configuration, Settings
from lingport.config.schema import Recipe, Splits, TaskEntry, TaskTraining
from lingport.config.training import TrainingSettings
from lingport.errors import ConfigError
from lingport.grid.fingerprint import content_id, source_fingerprint
from lingport.tasks.base import Task
from lingport.tasks.catalogue import load_task

#: raised when a change of the code makes earlier results incomparable
RESULTS_VERSION = 1
#: settings of a training run that change how long it takes, not what comes out
_NOT_RESULT = {"checkpoint_every"}


@dataclass(frozen=True)
class LanguageJob:
    """Train one language module."""

    id: str
    name: str
    language: str
    kind: str
    seed: int
    source: TextSource
    module: Settings
    training: TrainingSettings
    phase: str = "language"


@dataclass(frozen=True)
class TaskJob:
    """Train one task module above the source language's module."""

    id: str
    name: str
    task: PlannedTask
    configuration: Configuration
    source: str
    seed: int
    module: Settings
    training: TrainingSettings
    language: LanguageJob | None
    phase: str = "task"


@dataclass(frozen=True)
class CellJob:
    """Evaluate one cell: a configuration, a source, a target, a task, a policy, a seed."""

    id: str
    name: str
    task: PlannedTask
    configuration: Configuration
    source: str
    target: str
    policy: str
    seed: int
    language: LanguageJob | None
    untrained_language: str | None
    trained: TaskJob | None
    phase: str = "evaluate"


Job = LanguageJob | TaskJob | CellJob


@dataclass(frozen=True)
class PlannedTask:
    """A task of the recipe with its definition loaded."""

    name: str
    task: Task[Any, Any] = field(compare=False)
    entry: TaskEntry = field(compare=False)
    training: TaskTraining = field(compare=False)

    def source(self, language: str, split: str) -> ExampleSource:
        """Returns where the data of a split are."""
        splits = self.entry.splits(language) or Splits()
        source = getattr(splits, split)
        if source is None:
            raise ConfigError(f"the task {self.name!r} has no {split} data for {language!r}")
        return source


@dataclass(frozen=True)
class Plan:
    """All jobs of a recipe; parents come before their dependants."""

    languages: list[LanguageJob]
    tasks: list[TaskJob]
    cells: list[CellJob]

    @property
    def jobs(self) -> list[Job]:
        """All jobs in an order in which they can be done."""
        return [*self.languages, *self.tasks, *self.cells]


def parents(job: Job) -> list[Job]:
    """Returns the jobs whose modules a job needs."""
    found = (getattr(job, "language", None), getattr(job, "trained", None))
    return [each for each in found if isinstance(each, (LanguageJob, TaskJob))]


def load_tasks(recipe: Recipe, *, base: Path | None = None) -> list[PlannedTask]:
    """Returns the recipe's tasks; paths of task files may be relative to the recipe's folder `base`.

    Raises:
        ConfigError: A task does not exist or its file is wrong.
    """
    planned = []
    for entry in recipe.tasks:
        task = load_task(entry.task, overrides=entry.overrides or None, base=base)
        name = entry.name or task.name
        if any(other.name == name for other in planned):  # two files may call themselves alike
            raise ConfigError(f"two tasks are called {name!r}", where=entry.task, hint="give one of them a `name`")
        planned.append(PlannedTask(name, task, entry, entry.training or recipe.task_training))
    return planned


def make_plan(recipe: Recipe, *, fingerprint: str, base: Path | None = None) -> Plan:
    """Returns the jobs of a recipe.

    Args:
        recipe: Data paths resolved.
        fingerprint: The backbone's.
        base: Folder of the recipe, for task files.
    """
    return _Planner(recipe, fingerprint, load_tasks(recipe, base=base)).plan()


class _Planner:
    def __init__(self, recipe: Recipe, fingerprint: str, tasks: list[PlannedTask]) -> None:
        self.recipe = recipe
        self.tasks = tasks
        self.common = {"version": RESULTS_VERSION, "backbone": fingerprint, "dtype": recipe.backbone.dtype}
        self._languages: dict[tuple[str, str, int], LanguageJob] = {}
        self._trained: dict[tuple[str, str, str, int], TaskJob] = {}

    def plan(self) -> Plan:
        cells = []
        for task in self.tasks:
            for configuration in self.recipe.shapes():
                for seed in self._seeds(configuration):
                    for source in self.recipe.sources:
                        for target in self.recipe.targets_of(task.entry):
                            for policy in self._policies(configuration):
                                cells.append(self._cell(task, configuration, source, target, policy, seed))
        return Plan(list(self._languages.values()), list(self._trained.values()), cells)

    def _seeds(self, configuration: Configuration) -> list[int]:
        # Without a trained part there is no chance in it.
        return self.recipe.seeds if configuration.task else self.recipe.seeds[:1]

    def _policies(self, configuration: Configuration) -> list[str]:
        return self.recipe.policies if configuration.language else ["target"]

    def _cell(
        self,
        task: PlannedTask,
        configuration: Configuration,
        source: str,
        target: str,
        policy: str,
        seed: int,
    ) -> CellJob:
        trained = self._task(task, configuration, source, seed) if configuration.task else None
        active = _LANGUAGE_OF_POLICY[policy.split(":")[0]](source, target, policy)
        language = self._language(configuration.language, active, seed) if configuration.language and active else None
        untrained = configuration.language if policy == "untrained" else None
        identity = {
            **self.common,
            "task": _task_identity(task),
            "test": source_fingerprint(task.source(target, "test"), target),
            "target": target,
            "language": language.id if language else None,
            "untrained": [untrained, source, seed, self._module_identity(untrained)] if untrained else None,
            "trained": trained.id if trained else None,
            "fusion": self.recipe.fusion,
            "cell": [configuration.name, source, policy, seed],
        }
        name = f"{configuration.name}-{task.name}-{source}-{target}-{policy.replace(':', '-')}-s{seed}"
        return CellJob(
            content_id(identity),
            name,
            task,
            configuration,
            source,
            target,
            policy,
            seed,
            language,
            untrained,
            trained,
        )

    def _task(self, task: PlannedTask, configuration: Configuration, source: str, seed: int) -> TaskJob:
        key = (task.name, configuration.name, source, seed)
        if key not in self._trained:
            kind = configuration.task
            assert kind is not None
            language = self._language(configuration.language, source, seed) if configuration.language else None
            module, training = getattr(task.training.modules, kind), task.training.of(kind)
            identity = {
                **self.common,
                "task": _task_identity(task),
                "kind": kind,
                "module": module.model_dump(mode="json"),
                "training": training.model_dump(mode="json", exclude=_NOT_RESULT),
                "data": [source_fingerprint(task.source(source, split), source) for split in ("train", "validation")],
                "language": language.id if language else None,
                "fusion": self.recipe.fusion,
                "source": source,
                "seed": seed,
            }
            name = f"{configuration.name}-{task.name}-{source}-s{seed}"
            self._trained[key] = TaskJob(
                content_id(identity), name, task, configuration, source, seed, module, training, language
            )
        return self._trained[key]

    def _language(self, kind: str, language: str, seed: int) -> LanguageJob:
        key = (kind, language, seed)
        if key not in self._languages:
            source = self.recipe.text_of(language)
            if source is None:
                raise ConfigError(f"no raw text for {language!r}", hint=f"add text.{language} to the recipe")
            settings = self.recipe.language_training
            training = settings.of(kind)
            identity = {
                **self.common,
                **self._module_identity(kind),
                "training": training.model_dump(mode="json", exclude=_NOT_RESULT),
                "objective": settings.objective.model_dump(mode="json"),
                "validation_chunks": settings.validation_chunks,
                "text": source_fingerprint(source, language),
                "language": language,
                "seed": seed,
            }
            name = f"l{KIND_LETTERS[kind]}-{language}-s{seed}"
            module = getattr(settings.modules, kind)
            self._languages[key] = LanguageJob(
                content_id(identity), name, language, kind, seed, source, module, training
            )
        return self._languages[key]

    def _module_identity(self, kind: str | None) -> dict[str, Any]:
        if kind is None:
            return {}
        return {
            "kind": kind,
            "module": getattr(self.recipe.language_training.modules, kind).model_dump(mode="json"),
        }


_LANGUAGE_OF_POLICY: dict[str, Callable[[str, str, str], str | None]] = {
    "target": lambda _source, target, _policy: target,
    "source": lambda source, _target, _policy: source,
    "none": lambda _source, _target, _policy: None,
    "untrained": lambda _source, _target, _policy: None,
    "wrong": lambda _source, _target, policy: policy.removeprefix("wrong:"),
}


def _task_identity(task: PlannedTask) -> dict[str, Any]:
    return {"name": task.name, "config": task.task.config.model_dump(mode="json", exclude={"name"})}
