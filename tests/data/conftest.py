"""What the tests of the readers share: writing a file, and reading it with settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lingport.config.data import ExampleSource
from lingport.data.intake import Intake
from lingport.data.problems import Problems
from lingport.data.readers import read_examples


@pytest.fixture
def read(tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Returns a function that writes a text to a file and reads its examples: `read(name, text, format=...)`."""

    def write_and_read(name: str, text: str, *, language: str = "sk", **settings: Any) -> list[dict[str, Any]]:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return read_examples(ExampleSource(paths=[str(path)], **settings), language=language)

    return write_and_read


@pytest.fixture
def intake() -> Intake:
    """Returns the intake of a source with default settings."""
    return Intake(ExampleSource(format="table", paths=["a"]), "sk", Problems("a"))
