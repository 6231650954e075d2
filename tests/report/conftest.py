"""The made-up run, written once for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingport.report.build import Report, build_report
from lingport.report.read import Run, read_run

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
