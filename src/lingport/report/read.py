"""Reads a run folder as it is: a run that is under way or partly failed gives what there is.

Not here: what is made of it (`tables.py`, `plots.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lingport.errors import DataError

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        folder: Where it is.
        recipe: The resolved recipe.
        jobs: Last record of each job, by name.
        results: Last result of each cell.
        metrics: Name of a training job -> its events.
    """

    folder: Path
    recipe: Row
    jobs: list[Row]
    results: list[Row]
    metrics: dict[str, list[Row]]


def read_run(folder: Path) -> Run:
    """Returns the content of a run folder; of several records on one job or cell the last counts.

    Raises:
        DataError: There is no run, or a file is damaged.
    """
    file = folder / "recipe.yaml"
    if not file.is_file():
        raise DataError("no run here: recipe.yaml is missing", where=str(folder), hint="give the folder of a run")
    recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
    jobs = {row["name"]: row for row in _rows(folder / "jobs.jsonl")}
    results = {_place(row): row for row in _rows(folder / "results.jsonl")}
    metrics = {path.stem: list(_rows(path)) for path in sorted((folder / "metrics").glob("*.jsonl"))}
    return Run(folder, recipe, list(jobs.values()), list(results.values()), metrics)


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("task", "configuration", "source", "target", "policy", "seed"))


def _rows(file: Path) -> Iterator[Row]:
    if not file.is_file():
        return
    lines = file.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):  # being written just now
                return
            raise DataError(f"not valid JSON: {error}", where=f"{file}:{number}", hint="remove this line") from error
