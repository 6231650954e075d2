"""The made-up run, written once for all tests of the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lingport.report.build import Report, build_report
from lingport.report.read import Run, read_run
from lingport.report.scores import Scores
from lingport.report.table import Cell, Table

from .made_run import write_run


@pytest.fixture(scope="session")
def made_dir(tmp_path_factory) -> Path:
    """The folder of the made-up run."""
    return write_run(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def made(made_dir: Path) -> Run:
    """The made-up run as it is read."""
    return read_run(made_dir)


@pytest.fixture(scope="session")
def made_report(made_dir: Path) -> Report:
    """Its report."""
    return build_report(made_dir)


@pytest.fixture(scope="session")
def ner(made_report: Report) -> Scores:
    """Its scores of named entities from English."""
    return next(scores for scores in made_report.scores if scores.name == "ner from en")


@pytest.fixture(scope="session")
def table_called(made_report: Report) -> Callable[[str], Table]:
    """Gives a table of the report by its title."""
    return lambda title: next(table for table in made_report.tables if table.title == title)


@pytest.fixture(scope="session")
def column() -> Callable[[Table, str], dict[str, Cell]]:
    """Gives the cells of a column by their rows' labels."""

    def cells(table: Table, name: str) -> dict[str, Cell]:
        place = table.head.index(name) - 1
        return {label: found[place] for label, found in table.rows}

    return cells
