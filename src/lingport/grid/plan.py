"""From a recipe to jobs: language modules, task modules above them, evaluations of both together.

A job's id is a hash of everything that decides its result (`identity.py`), so that running again does only what is
missing, and points of a sweep share what they have in common. Not here: doing the jobs, and what was done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lingport.config.modules import CONFIGURATIONS, KIND_LETTERS, Configuration
from lingport.config.schema import Recipe, languages_of, resolved
from lingport.config.sweep import at, points, value_at
from lingport.errors import ConfigError
from lingport.grid.fingerprint import content_id
from lingport.grid.identity import CellKey, Identities, Key, LanguageKey, ShotsKey, TaskKey, language_in
from lingport.grid.jobs import (
    Ancestor,
    CellJob,
    LanguageJob,
    Part,
    Plan,
    PlannedTask,
    TaskJob,
    Untrained,
)
from lingport.tasks.catalogue import load_task

# A value of a sweep stands in file names.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.+-]+")
_LONGEST_VALUE = 40


def load_tasks(recipe: Recipe, *, base: Path | None = None) -> dict[str, PlannedTask]:
    """Returns what the recipe calls its tasks -> the tasks; task files may be relative to the recipe's folder `base`.

    Raises:
        ConfigError: A task does not exist or its file is wrong, or two call themselves alike.
    """
    planned: dict[str, PlannedTask] = {}
    for entry in recipe.tasks:
        task = load_task(entry.task, overrides=entry.overrides or None, base=base)
        name = entry.name or task.name
        if any(other.name == name for other in planned.values()):  # two files may call themselves alike
            raise ConfigError(f"two tasks are called {name!r}", where=entry.task, hint="give one of them a `name`")
        identity = content_id([task.config.model_dump(mode="json"), entry.model_dump(mode="json")])
        training = entry.training or recipe.task_training
        planned[entry.name or entry.task] = PlannedTask(name, identity, task, entry, training)
    return planned


def make_plan(recipe: Recipe, *, fingerprint: str, base: Path | None = None) -> Plan:
    """Returns the jobs of a recipe, of all points of its sweep.

    Args:
        recipe: Data paths resolved.
        fingerprint: The backbone's.
        base: Folder of the recipe, for task files.

    Raises:
        ConfigError: A task is wrong, or a swept setting changes nothing.
    """
    sweep = _Sweep(recipe, fingerprint, base)
    planner = _Planner(sweep)
    for settings in points(sweep.values):
        planner.add(settings)
    for key in sweep.values:
        if not any(key in cell.settings for cell in planner.cells.values()):
            raise ConfigError(
                f"the sweep of {key} changes no result of this recipe",
                where=f"sweep.{key}",
                hint="sweep a setting of a module, data set or training that the configurations use",
            )
    return Plan(list(planner.languages.values()), list(planner.tasks.values()), list(planner.cells.values()))


class _Sweep:
    """The points of a recipe, and what sets the jobs of one apart from those of the others."""

    def __init__(self, recipe: Recipe, fingerprint: str, base: Path | None) -> None:
        self._recipe = recipe
        self._backbone = fingerprint
        self._base = base
        self._identities: dict[str, Identities] = {}
        # As the recipe would say them: 1e-3 and "0.001" are one value.
        self.values = {
            key: [value_at(at(recipe, {key: value}), key) for value in values] for key, values in recipe.sweep.items()
        }
        self._own = {key: value_at(recipe, key) for key in self.values}
        short = {key: ".".join(key.split(".")[-2:]) for key in self.values}
        self._label = {key: name if list(short.values()).count(name) == 1 else key for key, name in short.items()}

    def identities(self, settings: dict[str, Any]) -> Identities:
        """Returns the ids at a point."""
        place = json.dumps(settings, sort_keys=True)
        if place not in self._identities:
            recipe = resolved(at(self._recipe, settings), self._base) if settings else self._recipe
            tasks = load_tasks(recipe, base=self._base)
            self._identities[place] = Identities(recipe, tasks, backbone=self._backbone)
        return self._identities[place]

    def deciding(self, settings: dict[str, Any], key: Key) -> dict[str, Any]:
        """Returns those of a point's settings that decide a job: with another value it would be another job."""
        return {
            name: settings[name]
            for name in self.values
            if len({ids.of(key) for ids in self._along(settings, name)}) > 1
        }

    def _along(self, settings: dict[str, Any], name: str) -> Iterator[Identities]:
        """Yields the ids at all values of one setting, and at what the recipe itself says, the others as they are."""
        yield self.identities({key: value for key, value in settings.items() if key != name})
        for value in self.values[name]:
            yield self.identities({**settings, name: value})

    def suffix(self, settings: dict[str, Any]) -> str:
        """Returns what is put after a job's name. What is as in the recipe itself is not said.

        A module keeps its name when a sweep over one of its settings is added to a recipe.
        """
        differing = {name: value for name, value in settings.items() if value != self._own[name]}
        return "".join(f"-{self._label[name]}={_in_name(value)}" for name, value in differing.items())


class _Planner:
    """Makes the jobs of one point after another; jobs that points share are made once."""

    def __init__(self, sweep: _Sweep) -> None:
        self._sweep = sweep
        self._names: dict[str, str] = {}
        self.languages: dict[str, LanguageJob] = {}
        self.tasks: dict[str, TaskJob] = {}
        self.cells: dict[str, CellJob] = {}

    def add(self, settings: dict[str, Any]) -> None:
        """Adds the jobs of a point."""
        self._settings = settings
        self._ids = self._sweep.identities(settings)
        self._recipe = self._ids.recipe
        for key in self._cell_keys():
            self._cell(key)

    def _cell_keys(self) -> Iterator[CellKey]:
        recipe = self._recipe
        learnt = [(name, None) for name in self._ids.tasks]
        learnt += [(name, mixture.name) for mixture in recipe.mixtures for name in mixture.shares]
        for task, mixture in learnt:
            targets = recipe.targets_of(self._ids.tasks[task].entry)
            for shape in recipe.shapes():
                if mixture and not shape.task:
                    continue  # nothing is learnt, so nothing is mixed
                # Without a trained part there is no chance in it, and nothing that few shots could change.
                seeds, shots = (recipe.seeds, recipe.shots) if shape.task else (recipe.seeds[:1], [0])
                for seed in seeds:
                    for source in recipe.sources:
                        for target in targets:
                            for policy in recipe.policies if shape.language else ["target"]:
                                if policy == f"wrong:{target}":
                                    continue  # it is the right one
                                for count in shots:
                                    yield CellKey(task, mixture, shape.name, source, target, policy, seed, count)

    def _cell(self, key: CellKey) -> None:
        job_id = self._ids.of(key)
        if job_id in self.cells:
            return
        task = self._ids.tasks[key.task]
        settings = self._sweep.deciding(self._settings, key)
        label = f"{key.mixture}.{task.name}" if key.mixture else task.name
        name = f"{key.configuration}-{label}-{key.source}-{key.target}-{key.policy.replace(':', '-')}-s{key.seed}"
        name += f"-{key.shots}shot" if key.shots else ""
        trained = self._few_shot(key.few_shot) if key.few_shot else self._task(key.module) if key.module else None
        self.cells[job_id] = CellJob(
            id=job_id,
            name=self._named(name, job_id, settings),
            task=task,
            configuration=CONFIGURATIONS[key.configuration],
            source=key.source,
            target=key.target,
            policy=key.policy,
            seed=key.seed,
            language=self._above(key.language),
            trained=trained,
            fusion=self._recipe.fusion,
            shots=key.shots,
            settings={**settings, **({"mixture": key.mixture} if key.mixture else {})},
        )

    def _few_shot(self, key: ShotsKey) -> TaskJob:
        job_id, module = self._ids.of(key), key.module
        if job_id not in self.tasks:
            configuration, kind = self._shape(module)
            start = self._task(module)
            task = self._ids.tasks[key.task]
            above = language_in(
                module.configuration, key.policy, source=module.source, target=key.target, seed=module.seed
            )
            name = f"{self._task_name(module, task)}-{key.shots}shot-{key.target}"
            name += "" if key.policy == "target" else f"-{key.policy.replace(':', '-')}"
            has_validation = task.find(key.target, "validation") is not None
            part = Part(task, key.target, self._above(above), num_examples=key.shots, validate=has_validation)
            self.tasks[job_id] = TaskJob(
                id=job_id,
                name=self._named(name, job_id, self._sweep.deciding(self._settings, key)),
                parts=(part,),
                configuration=configuration,
                source=module.source,
                seed=module.seed,
                module=start.module,
                training=self._recipe.few_shot.of(kind),
                fusion=self._recipe.fusion,
                start=start,
                shots=key.shots,
            )
        return self.tasks[job_id]

    def _task(self, key: TaskKey) -> TaskJob:
        job_id = self._ids.of(key)
        if job_id not in self.tasks:
            configuration, kind = self._shape(key)
            training = self._ids.training_of(key)
            parts = tuple(
                Part(
                    task=self._ids.tasks[name],
                    language=language,
                    above=self._above(
                        LanguageKey(configuration.language, language, key.seed) if configuration.language else None
                    ),
                    share=share,
                    num_examples=training.num_examples,
                )
                for name, share in self._ids.shares(key).items()
                for language in languages_of(key.source)
            )
            name = self._task_name(key, parts[0].task)
            self.tasks[job_id] = TaskJob(
                id=job_id,
                name=self._named(name, job_id, self._sweep.deciding(self._settings, key)),
                parts=parts,
                configuration=configuration,
                source=key.source,
                seed=key.seed,
                module=getattr(training.modules, kind),
                training=training.of(kind),
                fusion=self._recipe.fusion,
            )
        return self.tasks[job_id]

    def _task_name(self, key: TaskKey, task: PlannedTask) -> str:
        return f"{key.configuration}-{key.mixture or task.name}-{key.source}-s{key.seed}"

    def _shape(self, key: TaskKey) -> tuple[Configuration, str]:
        configuration = CONFIGURATIONS[key.configuration]
        assert configuration.task is not None
        return configuration, configuration.task

    def _above(self, key: LanguageKey | None) -> LanguageJob | Untrained | None:
        if key is None:
            return None
        if not key.trained:
            module = getattr(self._recipe.language_training.modules, key.kind)
            return Untrained(key.kind, module, key.language, key.seed)
        return self._language(key)

    def _language(self, key: LanguageKey) -> LanguageJob:
        job_id = self._ids.of(key)
        if job_id not in self.languages:
            settings = self._recipe.language_training
            source = self._recipe.text_of(key.language)
            assert source is not None  # its id would have said so
            start = settings.start.get(key.language)
            ancestors = tuple(
                Ancestor(self._language(key._replace(language=language)), factor, as_vector=part == "vectors")
                for part in ("weights", "vectors")
                for language, factor in (getattr(start, part) if start else {}).items()
            )
            name = f"l{KIND_LETTERS[key.kind]}-{key.language}-s{key.seed}"
            self.languages[job_id] = LanguageJob(
                id=job_id,
                name=self._named(name, job_id, self._sweep.deciding(self._settings, key)),
                language=key.language,
                kind=key.kind,
                seed=key.seed,
                source=source,
                module=getattr(settings.modules, key.kind),
                training=self._ids.language_training(key),
                objective=settings.objective,
                num_texts=settings.num_texts,
                num_validation_chunks=settings.validation_chunks,
                data_id=self._ids.text_id(key),
                ancestors=ancestors,
            )
        return self.languages[job_id]

    def _named(self, name: str, job_id: str, settings: dict[str, Any]) -> str:
        name += self._sweep.suffix(settings)
        if self._names.setdefault(name, job_id) != job_id:  # long values may be cut to the same
            name = f"{name}-{job_id[:6]}"
            self._names[name] = job_id
        return name


def _in_name(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return _NOT_IN_NAMES.sub("_", text)[:_LONGEST_VALUE]
