"""Reads a run folder for its report. A run that is under way or partly failed is read as far as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lingport.errors import ConfigError, DataError
from lingport.tasks.base import Task
from lingport.tasks.catalogue import load_task, task_from_text

Row = dict[str, Any]
_PLACE = ("task", "configuration", "source", "target", "policy", "seed")
#: training events read of one job; of longer ones an even choice of the steps
MAX_EVENTS = 6000


class Point(NamedTuple):
    """What cells that differ in nothing but their seed have in common.

    Attributes:
        task: Its name.
        source: Source language, or several joined by `+`.
        shots: Examples of the target language that were trained on.
        settings: The sweep's point: JSON of dotted recipe key -> value; `{}` without a sweep.
        configuration: Its name.
        policy: Which language module is active at test time.
        target: Language tested.
    """

    task: str
    source: str
    shots: int
    settings: str
    configuration: str
    policy: str
    target: str


def point_of(row: Row) -> Point:
    """Returns the point of a result; older runs have no shots and settings."""
    return Point(
        row["task"],
        row["source"],
        row.get("shots") or 0,
        json.dumps(row.get("settings") or {}, sort_keys=True, ensure_ascii=False),
        row["configuration"],
        row["policy"],
        row["target"],
    )


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        folder: Where it is.
        recipe: The resolved recipe.
        jobs: Last record of each job, in the plan's order; without a plan, in the order in which jobs first ended.
        results: Last result of each cell, likewise.
        asked: The cells that the run was last asked for; empty in runs that do not say.
        metrics: Name of a training job -> the file of its events.
    """

    folder: Path
    recipe: Row
    jobs: list[Row]
    results: list[Row]
    asked: list[Row] = field(default_factory=list)
    metrics: dict[str, Path] = field(default_factory=dict)

    def done(self, phase: str) -> list[Row]:
        """Returns the records of the jobs of a phase (`language`, `task`, `evaluate`) that are done."""
        return [job for job in self.jobs if job["phase"] == phase and job["status"] == "done"]

    def events(self, name: str) -> list[Row]:
        """Returns what happened while a module was trained: all validations, and steps evenly chosen."""
        if name not in self.metrics:
            return []
        lines = self.metrics[name].read_text(encoding="utf-8", errors="replace").count("\n")
        every = max(1, lines // MAX_EVENTS)
        return list(_rows(self.metrics[name], ("event", "step"), every=every))

    def predictions(self, row: Row) -> list[Row] | None:
        """Returns the outputs of a cell with their gold answers; None where they are not kept."""
        file = self.folder / "predictions" / f"{row.get('name')}.jsonl"
        if not file.is_file():
            return None
        # The file appears whole or not at all; one call of the parser is three times as fast as one a line.
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
        try:
            return json.loads(f"[{','.join(lines)}]")
        except json.JSONDecodeError as error:
            raise DataError(f"not valid JSON: {error.msg}", where=str(file), hint="evaluate this cell again") from error

    def definition(self, name: str) -> Task[Any, Any] | None:
        """Returns a task as it was when the run was made; None where it is known no more."""
        file = self.folder / "tasks.json"
        if file.is_file():
            known = json.loads(file.read_text(encoding="utf-8"))
            if name in known:
                return task_from_text(json.dumps(known[name]), name=name)
        for entry in self.recipe["tasks"]:
            try:
                task = load_task(entry["task"], overrides=entry.get("overrides") or None)
            except ConfigError:  # a file that is not where it was
                continue
            if name == (entry.get("name") or task.name):
                return task
        return None


def read_run(folder: Path) -> Run:
    """Returns the content of a run folder; of several records on one job or cell the last counts.

    Raises:
        DataError: There is no run, or a file is damaged.
    """
    file = folder / "recipe.yaml"
    if not file.is_file():
        raise DataError("no run here: recipe.yaml is missing", where=str(folder), hint="give the folder of a run")
    recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(recipe, dict):
        raise DataError("this is not a recipe", where=str(file), hint="run the recipe again to restore it")
    jobs = {row["name"]: row for row in _rows(folder / "jobs.jsonl", ("name", "phase", "status"))}
    results = {(point_of(row), row["seed"]): row for row in _rows(folder / "results.jsonl", (*_PLACE, "status"))}
    planned = list(_rows(folder / "plan.jsonl", ("phase", "name")))
    asked = [row for row in planned if row["phase"] == "evaluate" and all(key in row for key in _PLACE)]
    metrics = {path.stem: path for path in sorted((folder / "metrics").glob("*.jsonl"))}
    # In the plan's order: which job ends first is chance where several workers share a run.
    order = {row["name"]: place for place, row in enumerate(planned)}
    jobs, results = (
        sorted(rows.values(), key=lambda row: order.get(row.get("name", ""), len(order))) for rows in (jobs, results)
    )
    return Run(folder, recipe, jobs, results, asked, metrics)


def _rows(file: Path, needed: tuple[str, ...], *, every: int = 1) -> Iterator[Row]:
    if not file.is_file():
        return
    # A line torn in the middle of a character must not hide the lines before it.
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line or (every > 1 and number % every and '"evaluate"' not in line):
            continue
        where = f"{file}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):  # being written just now
                return
            raise DataError(f"not valid JSON: {error}", where=where, hint="remove this line") from error
        missing = [key for key in needed if key not in row] if isinstance(row, dict) else list(needed)
        if missing:
            raise DataError(f"a record without {', '.join(missing)}", where=where, hint="remove this line")
        yield row
