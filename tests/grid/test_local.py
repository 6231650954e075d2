"""Several worker processes on one machine: the same as one process, also when one of them is killed."""

from __future__ import annotations

import json

import pytest

from lingport.errors import ConfigError, LingportError
from lingport.grid.executor import make_executor
from lingport.grid.ledger import Ledger
from tests.grid_runs import GRID, WorkerKiller, assert_same, run, write_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.mark.slow
def test_processes_do_what_one_does_and_a_killed_one_is_replaced(folder, tmp_path, caplog):
    run(folder, tmp_path / "one", **GRID)
    killer = WorkerKiller(tmp_path / "many", after=4)
    summary, _ = run(folder, tmp_path / "many", recorder=killer, on="local", num_workers=2, **GRID)
    assert killer.killed and "died with exit code -9; another takes its place" in caplog.text
    assert summary.failed == {} and summary.num_done == len(killer.ended_as)
    assert_same(tmp_path / "many", tmp_path / "one")
    rows = [json.loads(line) for line in (tmp_path / "many" / "jobs.jsonl").read_text().splitlines()]
    assert {row["status"] for row in rows} == {"done", "lost"}
    again, recorder = run(folder, tmp_path / "many", on="local", num_workers=2, **GRID)
    assert (again.num_done, recorder.jobs) == (0, [])


@pytest.mark.slow
def test_a_worker_that_cannot_work_says_why(folder, tmp_path, monkeypatch):
    write = Ledger.write_plan
    monkeypatch.setattr(Ledger, "write_plan", lambda self, rows: write(self, rows[1:]))
    with pytest.raises(LingportError, match="reads other data, or is of another version"):
        run(folder, tmp_path, on="local", num_workers=1)
    assert Ledger(tmp_path).jobs() == {}


def test_local_takes_no_address():
    with pytest.raises(ConfigError, match="local:host"):
        make_executor("local:host")
