"""`status`: what is done, running, failed and waiting, from the folder alone."""

from __future__ import annotations

import json

import pytest

from lingport.grid.ledger import Ledger
from lingport.grid.presence import Presence


@pytest.fixture
def folder(tmp_path):
    """A run of seven jobs, part of it done, part of it failed."""
    ledger = Ledger(tmp_path / "run")
    plan = (("l1", []), ("l2", []), ("l3", []), ("t1", ["l1"]), ("t2", ["l2"]), ("c1", ["l1", "t1"]), ("c2", ["t2"]))
    ledger.write_plan(
        [{"job": f"id-{name}", "phase": "p", "name": name, "needs": [f"id-{n}" for n in needs]} for name, needs in plan]
    )
    ended = (
        ("l1", "done", None),
        ("l2", "failed", "the loss\nis not finite"),
        ("t2", "blocked", "l2 failed"),
        ("c2", "blocked", "t2 failed"),
    )
    ledger.add_jobs(*({"job": f"id-{n}", "phase": "p", "name": n, "status": s, "error": e} for n, s, e in ended))
    return ledger.run_dir


def test_states_and_their_reasons(call, folder):
    with Presence(Ledger(folder), "w") as own:
        with own._ledger.lock():
            own.hold([("id-t1", "t1")])
            own.progress("id-t1", 500, 1000, "loss 1.250")
            own.hold([])
        found = json.loads(call("status", folder, "--json").stdout)
        shown = call("status", folder).stdout
    states = {job["name"]: (job["state"], job["reason"]) for job in found["jobs"]}
    assert states.pop("t1") == ("running", f"500 of 1,000, loss 1.250, on {own.sign.host} (w)")
    assert states == {
        "l1": ("done", ""),
        "l2": ("failed", "the loss\nis not finite"),
        "l3": ("waiting", "for a worker"),
        "t2": ("blocked", "needs l2, which failed"),
        "c1": ("waiting", "needs t1 (running)"),
        "c2": ("blocked", "needs t2, which is blocked"),
    }
    assert found["counts"] == {"running": 1, "failed": 1, "blocked": 2, "waiting": 2, "done": 1}
    assert [(worker["name"], worker["jobs"]) for worker in found["workers"]] == [("w", 1)]
    assert "7 jobs: 1 running, 1 failed, 2 blocked, 2 waiting, 1 done; 1 workers on" in shown
    assert "the loss is not finite" in shown and "l1" not in shown


def test_a_job_that_was_interrupted(call, folder):
    ledger = Ledger(folder)
    ledger.checkpoint("id-l3").parent.mkdir()
    ledger.checkpoint("id-l3").touch()
    ledger.add_jobs({"job": "id-t1", "phase": "p", "name": "t1", "status": "lost", "error": "its worker w on h died"})
    states = {job["name"]: job["reason"] for job in json.loads(call("status", folder, "--json").stdout)["jobs"]}
    assert states["l3"] == "was interrupted; goes on from its checkpoint"
    assert states["t1"] == "its worker w on h died; will be done again"
    assert "nobody is at work" in call("status", folder).stdout


def test_of_a_whole_run(call, recipe):
    call("run", recipe)
    assert call("status", "runs/tiny").stdout == "5 jobs: 5 done\n"
    listed = call("status", "runs/tiny", "--all").stdout
    assert listed.count("done") == 6 and "lp+ta-animals-en-en-target-s1" in listed


def test_of_no_run(call, tmp_path):
    assert "no run here" in call("status", tmp_path, code=2).stderr
