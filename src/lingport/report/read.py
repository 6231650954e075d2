"""Reads a run folder for its report. A run that is under way or partly failed is read as far as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lingport.errors import DataError

Row = dict[str, Any]
_PLACE = ("task", "configuration", "source", "target", "policy", "seed")


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        folder: Where it is.
        recipe: The resolved recipe.
        jobs: Last record of each job, in the order in which jobs first ended.
        results: Last result of each cell, likewise.
        metrics: Name of a training job -> its events.
    """

    folder: Path
    recipe: Row
    jobs: list[Row]
    results: list[Row]
    metrics: dict[str, list[Row]]

    def done(self, phase: str) -> list[Row]:
        """Returns the records of the jobs of a phase (`language`, `task`, `evaluate`) that are done."""
        return [job for job in self.jobs if job["phase"] == phase and job["status"] == "done"]


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
    results = {tuple(row[key] for key in _PLACE): row for row in _rows(folder / "results.jsonl", (*_PLACE, "status"))}
    metrics = {path.stem: list(_rows(path, ("event", "step"))) for path in sorted((folder / "metrics").glob("*.jsonl"))}
    return Run(folder, recipe, list(jobs.values()), list(results.values()), metrics)


def _rows(file: Path, needed: tuple[str, ...]) -> Iterator[Row]:
    if not file.is_file():
        return
    # A line torn in the middle of a character must not hide the lines before it.
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
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
