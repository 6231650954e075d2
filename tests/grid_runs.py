"""A tiny recipe on the golden backbone that tests plan, run, kill and extend; importable by a subprocess."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch

from lingport.config.schema import Recipe
from lingport.grid.follow import RunSummary
from lingport.grid.ledger import Ledger
from lingport.grid.presence import signs
from lingport.grid.run import run_recipe
from tests.conftest import GOLDEN

#: seconds that a killer waits for somebody to kill
_PATIENCE_S = 20.0

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


class WorkerKiller(Recorder):
    """Kills a worker that is at a job when so many jobs have ended, or this process itself."""

    def __init__(self, run_dir: Path, *, after: int, itself: bool = False) -> None:
        super().__init__()
        self.ledger = Ledger(run_dir)
        self.after = after
        self.itself = itself
        self.killed: list[str] = []

    def ended(self, job: Any, record: dict[str, Any]) -> None:
        super().ended(job, record)
        if len(self.ended_as) < self.after or self.killed:
            return
        if self.itself:
            os.kill(os.getpid(), signal.SIGKILL)
        # Workers go on while this one waits: one of them is soon at a job again.
        deadline = time.monotonic() + _PATIENCE_S
        while not self.killed and time.monotonic() < deadline:
            for sign in signs(self.ledger):
                if sign.jobs and sign.pid != os.getpid() and not self.killed:
                    os.kill(sign.pid, signal.SIGKILL)
                    self.killed.append(sign.name)


def run(
    folder: Path,
    run_dir: Path,
    *,
    kill_in: str | None = None,
    recorder: Recorder | None = None,
    on: str | None = None,
    num_workers: int | None = None,
    **changes: Any,
) -> tuple[RunSummary, Recorder]:
    """Runs the recipe, deterministic as one thread is."""
    torch.set_num_threads(1)
    recorder = recorder or Recorder(kill_in=kill_in)
    content = recipe(folder, **changes)
    return run_recipe(content, run_dir, reporter=recorder, on=on, num_workers=num_workers), recorder


#: many small jobs with parents, on which several workers can be at once
GRID: dict[str, Any] = {
    "deterministic": True,
    "seeds": [1, 2, 3],
    "targets": ["sk", "de"],
    "configurations": ["none", "ta", "lp+ta"],
    "policies": ["target", "source", "none", "untrained"],
}


def modules(run_dir: Path) -> dict[str, bytes]:
    """Name of a module -> its weights, to the bit."""
    return {path.parent.name: path.read_bytes() for path in sorted(run_dir.glob("modules/*/weights.safetensors"))}


def results(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Name of a cell -> what was found, without what it cost."""
    found = {}
    for row in Ledger(run_dir).results().values():
        found[row["name"]] = {key: value for key, value in row.items() if key not in ("seconds", "peak_bytes")}
    return found


def predictions(run_dir: Path) -> dict[str, str]:
    """Name of a cell -> its predictions as they were written."""
    return {path.stem: path.read_text(encoding="utf-8") for path in run_dir.glob("predictions/*.jsonl")}


def assert_same(run_dir: Path, other: Path) -> None:
    """Two runs have the same modules, predictions and results, and nothing was done twice or left over."""
    assert modules(run_dir) == modules(other)
    assert predictions(run_dir) == predictions(other)
    assert results(run_dir) == results(other)
    for name, key in (("results.jsonl", "cell"), ("jobs.jsonl", "job")):
        rows = [json.loads(line) for line in (run_dir / name).read_text().splitlines()]
        done = [row[key] for row in rows if row["status"] == "done"]
        assert len(done) == len(set(done))
    assert not list((run_dir / "workers").iterdir())
    assert not list(run_dir.glob("checkpoints/*"))
