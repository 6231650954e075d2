"""Workers through submitit, with its executor for one machine: the jobs of Slurm as processes."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from lingport.errors import ConfigError
from lingport.grid.executor import make_executor
from tests.grid_runs import GRID, WorkerKiller, assert_same, run, write_data

pytestmark = pytest.mark.skipif(find_spec("submitit") is None, reason="needs submitit: pip install 'lingport[slurm]'")


@pytest.mark.slow
def test_submitted_workers_do_what_one_process_does_and_are_submitted_again(tmp_path, caplog):
    write_data(tmp_path)
    grid = GRID | {"seeds": [1, 2], "policies": ["target"]}
    run(tmp_path, tmp_path / "here", **grid)
    killer = WorkerKiller(tmp_path / "slurm", after=3)
    where = "slurm:cluster=local,timeout_min=5"
    summary, _ = run(tmp_path, tmp_path / "slurm", recorder=killer, on=where, num_workers=2, **grid)
    assert killer.killed and "ended before its time" in caplog.text
    assert summary.failed == {}
    assert_same(tmp_path / "slurm", tmp_path / "here")


def test_what_submitit_cannot_do_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not key=value"):
        make_executor("slurm:gpu")
    with pytest.raises(ConfigError, match="no Slurm on this machine"):
        make_executor("slurm:timeout_min=5")
    asked = make_executor("slurm:cluster=local,gpus=1")
    from lingport.grid.worker import Assignment

    with pytest.raises(ConfigError, match="submitit refuses"):
        asked.open(Assignment({}, str(tmp_path), None, "f", 0, None))
