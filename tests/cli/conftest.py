"""What the tests of the command line share: calling it, and a tiny recipe with its data."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lingport.cli.main import app
from tests.conftest import GOLDEN

BACKBONE = str(GOLDEN / "base")
Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls `lingport` in an empty folder; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    # As `main` does for the program; its handler would write to the standard error of the first call.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    # Rich asks for these first; the tests' terminal is none, and 80 columns would fold tables.
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: Any, stdin: str | bytes | None = None, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"exit code {result.exit_code}\n{result.stdout}\n{result.stderr}"
        return result

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with raw text, a task of one's own and its examples."""
    words = ["ten", "red", "cats", "sat", "on", "a", "mat", "and", "no", "dog", "ran"]
    for language in ("en", "sk"):
        lines = (" ".join(words[(index * step) % 11] for step in range(1, 9)) for index in range(1, 200))
        (tmp_path / f"{language}.txt").write_text("\n".join(f"{line} {n}" for n, line in enumerate(lines)))
    rows = (f"{'a red cat' if index % 2 else 'no dog'} {index},{'cat' if index % 2 else 'dog'}" for index in range(12))
    (tmp_path / "animals.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    task = {"form": "classify", "input": "animal: {text}", "labels": ["cat", "dog"], "decoding": "rank"}
    (tmp_path / "animals.yaml").write_text(yaml.safe_dump(task))
    return tmp_path


@pytest.fixture
def recipe(files: Path) -> Path:
    """A recipe of four jobs that takes a second."""
    data = {"format": "table", "path": "animals.csv"}
    training = {"steps": 2, "batch_size": 2, "evaluate_every": 2}
    content = {
        "name": "tiny",
        "backbone": {"name": BACKBONE, "dtype": "float32", "device": "cpu"},
        "configurations": ["ta", "lp+ta"],
        "sources": ["en"],
        "targets": ["en"],
        "text": {"en": {"path": "en.txt", "validation": 0.2}},
        "language_training": {
            "objective": {"max_length": 24},
            "validation_chunks": 4,
            "prompt": {"steps": 2, "batch_size": 2},
            "modules": {"prompt": {"num_virtual_tokens": 3}},
        },
        "task_training": {"adapter": training},
        "tasks": [
            {"task": "animals.yaml", "data": {"default": {"train": data, "validation": data, "test": data}}},
        ],
    }
    path = files / "recipe.yaml"
    path.write_text(json.dumps(content))
    return path
