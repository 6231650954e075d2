"""A tiny recipe on the golden backbone that tests plan, run, kill and extend; importable by a subprocess."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch

from lingport.config.schema import Recipe
from lingport.grid.local import RunSummary, run_recipe
from tests.conftest import GOLDEN

WORDS = ("cat", "mat", "hen", "bed", "tea", "win", "moon", "red", "wet", "on", "the", "in")


def write_data(folder: Path) -> None:
    """Text of three languages and one table of labelled examples."""
    folder.mkdir(parents=True, exist_ok=True)
    for shift, language in enumerate(("en", "sk", "de")):
        lines = (" ".join(WORDS[(row * step + shift) % 12] for step in range(1, 8)) for row in range(60))
        (folder / f"{language}.txt").write_text("\n".join(f"{line} {row}" for row, line in enumerate(lines)))
    rows = (f"{WORDS[row % 12]} {'a' if row % 2 else 'b'} {row},{'a' if row % 2 else 'b'}" for row in range(8))
    (folder / "t.csv").write_text("text,label\n" + "\n".join(rows) + "\n")


def recipe(folder: Path, **changes: Any) -> Recipe:
    """The recipe over the data of `write_data`; a change replaces a whole key."""
    table = {"format": "table", "path": str(folder / "t.csv")}
    task = {"steps": 4, "batch_size": 2, "evaluate_every": 2, "checkpoint_every": 2}
    language = {"steps": 3, "batch_size": 2, "checkpoint_every": 2}
    usual = {
        "name": "tiny",
        "backbone": {"name": str(GOLDEN / "base"), "dtype": "float32", "device": "cpu"},
        "configurations": ["none", "lp+ta"],
        "sources": ["en"],
        "targets": ["sk"],
        "text": {code: {"path": str(folder / f"{code}.txt"), "validation": 0.2} for code in ("en", "sk", "de")},
        "language_training": {
            "objective": {"max_length": 16},
            "validation_chunks": 2,
            "adapter": {**language, "learning_rate": 1e-3},
            "prompt": language,
            "modules": {"prompt": {"num_virtual_tokens": 3}},
        },
        "task_training": {
            "adapter": {**task, "learning_rate": 1e-3},
            "prompt": task,
            "full": task,
            "modules": {"prompt": {"num_virtual_tokens": 3}},
        },
        "tasks": [
            {
                "task": "topic",
                "overrides": {"labels": ["a", "b"], "decoding": "rank"},
                "data": {"default": {"train": table, "validation": table, "test": table}},
            }
        ],
    }
    return Recipe.model_validate(usual | changes)


class Recorder:
    """A reporter that remembers the names of jobs, and may kill the process in the middle of one."""

    def __init__(self, *, kill_in: str | None = None) -> None:
        self.jobs: list[str] = []
        self.ended_as: dict[str, str] = {}
        self.kill_in = kill_in

    def plan(self, total: int, done: int) -> None:
        self.total, self.done = total, done

    def started(self, job: Any) -> None:
        self.jobs.append(job.name)

    def progress(self, job: Any, done: int, total: int, message: str) -> None:
        if job.name == self.kill_in and done == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    def ended(self, job: Any, record: dict[str, Any]) -> None:
        self.ended_as[job.name] = record["status"]


def run(folder: Path, run_dir: Path, *, kill_in: str | None = None, **changes: Any) -> tuple[RunSummary, Recorder]:
    """Runs the recipe, deterministic as one thread is."""
    torch.set_num_threads(1)
    recorder = Recorder(kill_in=kill_in)
    return run_recipe(recipe(folder, **changes), run_dir, reporter=recorder), recorder
