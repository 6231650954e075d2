"""What a job is: train a language module, train a task module, evaluate a cell. Each carries all that it needs.

Not here: which jobs a recipe asks for (`plan.py`), and doing them (`work.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from lingport.config.data import ExampleSource, TextSource
from lingport.config.language import ObjectiveSettings
from lingport.config.modules import Configuration, Settings
from lingport.config.schema import Splits, TaskEntry
from lingport.config.training import TaskTraining, TrainingSettings
from lingport.errors import ConfigError
from lingport.tasks.base import Task

Fusion = Literal["concat", "mean"]


@dataclass(frozen=True)
class PlannedTask:
    """A task of the recipe with its definition loaded.

    Attributes:
        name: Its name in results.
        id: Hash of its definition and data settings: points of a sweep may have tasks of one name that differ.
        task: The definition.
        entry: What the recipe says.
        training: How its modules are trained.
    """

    name: str
    id: str
    task: Task[Any, Any] = field(compare=False)
    entry: TaskEntry = field(compare=False)
    training: TaskTraining = field(compare=False)

    def source(self, language: str, split: str) -> ExampleSource:
        """Returns where the data of a split are.

        Raises:
            ConfigError: The recipe names none.
        """
        source = self.find(language, split)
        if source is None:
            raise ConfigError(f"the task {self.name!r} has no {split} data for {language!r}")
        return source

    def find(self, language: str, split: str) -> ExampleSource | None:
        """Returns where the data of a split are, or None."""
        return getattr(self.entry.splits(language) or Splits(), split)


@dataclass(frozen=True)
class Ancestor:
    """A language module that another starts from.

    Attributes:
        job: The job that trains it.
        factor: What it is multiplied by in the sum.
        as_vector: Whether its task vector (end minus beginning) is taken, not the module itself.
    """

    job: LanguageJob
    factor: float
    as_vector: bool


@dataclass(frozen=True)
class LanguageJob:
    """Train one language module.

    Attributes:
        data_id: Hash of everything that decides its rows: text, sample, objective.
    """

    id: str
    name: str
    language: str
    kind: str
    seed: int
    source: TextSource
    module: Settings
    training: TrainingSettings
    objective: ObjectiveSettings
    num_texts: int | None
    num_validation_chunks: int
    data_id: str
    ancestors: tuple[Ancestor, ...] = ()
    phase: str = "language"


@dataclass(frozen=True)
class Untrained:
    """A language module that was never trained: a control."""

    kind: str
    module: Settings
    language: str
    seed: int
    name: str = "untrained"


@dataclass(frozen=True)
class Part:
    """Labelled data that a task module is trained on: one task in one language.

    Attributes:
        task: The task.
        language: Code of the language of the rows.
        above: The language module that is active on them.
        share: Rows for each round over all parts.
        num_examples: A sample of so many training examples; None: all.
        validate: Whether the language's validation data are read too.
    """

    task: PlannedTask
    language: str
    above: LanguageJob | Untrained | None
    share: int = 1
    num_examples: int | None = None
    validate: bool = True


@dataclass(frozen=True)
class TaskJob:
    """Train one task module above language modules.

    Attributes:
        source: The source languages, `de+en` if there are several.
        parts: What it learns; several take turns.
        start: The job whose module it starts from: few-shot training of a module that was transferred.
        shots: Examples of the target language that it is trained on; 0: it is trained on the source.
    """

    id: str
    name: str
    parts: tuple[Part, ...]
    configuration: Configuration
    source: str
    seed: int
    module: Settings
    training: TrainingSettings
    fusion: Fusion
    start: TaskJob | None = None
    shots: int = 0
    phase: str = "task"


@dataclass(frozen=True)
class CellJob:
    """Evaluate one cell: a configuration, a source, a target, a task, a policy, a seed, shots, a sweep's point.

    Attributes:
        language: The language module that is active.
        trained: The job of the task module.
        settings: Where the cell lies in the sweep: dotted key -> value, only keys that change this cell; and
            `mixture`, the name of the mixture that its task module learnt, if it is one.
    """

    id: str
    name: str
    task: PlannedTask
    configuration: Configuration
    source: str
    target: str
    policy: str
    seed: int
    language: LanguageJob | Untrained | None
    trained: TaskJob | None
    fusion: Fusion
    shots: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    phase: str = "evaluate"


Job = LanguageJob | TaskJob | CellJob


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
    """Returns the jobs whose modules a job needs, each once."""
    found = {parent.id: parent for parent in _needed(job) if isinstance(parent, (LanguageJob, TaskJob))}
    return list(found.values())


def _needed(job: Job) -> Iterator[Job | Untrained | None]:
    if isinstance(job, LanguageJob):
        yield from (ancestor.job for ancestor in job.ancestors)
    elif isinstance(job, TaskJob):
        yield from (part.above for part in job.parts)
        yield job.start
    else:
        yield job.language
        yield job.trained
