"""A run on a real Ray cluster of this machine: workers and driver are killed, and nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from lingport.errors import ConfigError, LingportError
from lingport.grid.executor import WorkerDiedError, make_executor
from tests.grid.ray_cluster import ROOT, ray_cluster
from tests.grid_runs import GRID, assert_same, run, write_data

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'lingport[ray]'")

# Ray reads its environment when it is imported, and keeps threads: drivers are processes of their own.
_DRIVER = """
import json, sys
from pathlib import Path
from lingport.errors import LingportError
from tests.grid_runs import GRID, WorkerKiller, run
folder, run_dir, address, after, itself = json.loads(sys.argv[1])
killer = WorkerKiller(Path(run_dir), after=after, itself=itself)
try:
    summary, _ = run(Path(folder), Path(run_dir), recorder=killer, on=address, num_workers=2, **GRID)
except LingportError as error:
    sys.exit(str(error))
done = {"done": summary.num_done, "before": summary.num_skipped, "failed": summary.failed, "total": killer.total}
print(json.dumps({**done, "killed": killer.killed}))
"""


@pytest.fixture(scope="module")
def cluster():
    """Environment of a driver, and where the cluster is."""
    # Nobody else on the network may use it meanwhile.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with ray_cluster(num_cpus=3, environment=token) as address:
        yield token, f"ray:{address}"


def drive(cluster, folder, run_dir, *, after, itself=False):
    environment = os.environ | cluster[0] | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    said = json.dumps([str(folder), str(run_dir), cluster[1], after, itself])
    command = [sys.executable, "-c", _DRIVER, said]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_killed_workers_and_a_killed_driver_change_nothing(cluster, tmp_path):
    write_data(tmp_path)
    run_dir = tmp_path / "ray"
    killed = drive(cluster, tmp_path, run_dir, after=3, itself=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = [json.loads(line)["job"] for line in (run_dir / "jobs.jsonl").read_text().splitlines()]
    assert len(done) >= 3
    again = drive(cluster, tmp_path, run_dir, after=5)
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["killed"] and "a worker of Ray died" in again.stderr
    assert told["failed"] == {} and told["done"] + told["before"] == told["total"]
    run(tmp_path, tmp_path / "here", **GRID)
    assert_same(run_dir, tmp_path / "here")


def ending_with(error):
    """An executor whose only worker's call has ended, with an error or without."""
    import ray

    def get(_call):
        if error is not None:
            raise error

    executor = make_executor("ray:auto")
    executor._ray = SimpleNamespace(  # type: ignore[attr-defined]
        wait=lambda calls, timeout: (calls, []), get=get, kill=lambda actor: None, exceptions=ray.exceptions
    )
    executor._calls[0] = executor._actors[0] = "worker"  # type: ignore[attr-defined]
    return executor


def test_how_a_call_ended_is_how_its_worker_did():
    from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

    def raised_in_actor(error):
        return RayTaskError("work", "Traceback ...", error).as_instanceof_cause()

    assert ending_with(None).has_ended(0)
    for lost in (ActorDiedError(), ActorUnavailableError("it does not answer", None)):
        with pytest.raises(WorkerDiedError, match="a worker of Ray died"):
            ending_with(lost).has_ended(0)
    with pytest.raises(ConfigError, match="other data") as caught:
        ending_with(raised_in_actor(ConfigError("other data", hint="share them"))).has_ended(0)
    assert caught.value.hint == "share them"
    with pytest.raises(LingportError, match="a worker failed: no space left"):
        ending_with(raised_in_actor(OSError("no space left"))).has_ended(0)


def test_no_cluster_at_the_address():
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at '127\.0\.0\.1:9'"):
        make_executor("ray:127.0.0.1:9").open(None)  # type: ignore[arg-type]
