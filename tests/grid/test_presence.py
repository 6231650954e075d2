"""Who is at work: signs of life, the dead, and those who were only thought dead."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from lingport.grid import presence
from lingport.grid.ledger import Ledger
from lingport.grid.presence import Presence, SupersededError, Watch, signs


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def test_a_worker_is_there_as_long_as_it_works(ledger):
    with Presence(ledger, "w", beat_s=0.02) as own:
        with ledger.lock():
            own.hold([("id1", "one"), ("id2", "two")])
        own.progress("id1", 3, 10, "loss 1.000")
        deadline = time.monotonic() + 5
        while signs(ledger)[0].jobs["id1"]["done"] != 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        (sign,) = signs(ledger)
        assert (sign.name, sign.pid) == ("w", own.sign.pid)
        assert sign.jobs["id1"] == {"name": "one", "done": 3, "total": 10, "message": "loss 1.000"}
        own.release(["id1"])
        while "id1" in signs(ledger)[0].jobs and time.monotonic() < deadline:
            time.sleep(0.01)
        assert set(signs(ledger)[0].jobs) == {"id2"}
    assert signs(ledger) == []


def test_who_comes_under_a_name_takes_its_place(ledger):
    with Presence(ledger, "w") as first, Presence(ledger, "w") as second, ledger.lock():
        second.hold([("id", "job")])
        with pytest.raises(SupersededError, match="given to others"):
            first.hold([("id", "job")])
        with pytest.raises(SupersededError):
            first.insist()
    assert signs(ledger) == []


def test_one_who_was_superseded_does_not_come_back(ledger):
    with Presence(ledger, "w", beat_s=0.01) as own:
        with ledger.lock():
            Watch(ledger).forget(own.sign)
        time.sleep(0.1)
        assert signs(ledger) == []
        assert not own.is_mine()


def killed_worker(ledger):
    code = (
        "import os, sys; from pathlib import Path; from lingport.grid.ledger import Ledger; "
        "from lingport.grid.presence import Presence; own = Presence(Ledger(Path(sys.argv[1])), 'gone').__enter__(); "
        "own.hold([('id', 'job')]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(ledger.run_dir)], check=False)


def test_a_process_that_is_gone_is_dead_at_once(ledger):
    killed_worker(ledger)
    with Presence(ledger, "here"):
        living, dead = Watch(ledger).workers()
    assert [sign.name for sign in living] == ["here"]
    assert [(sign.name, list(sign.jobs)) for sign in dead] == [("gone", ["id"])]
    with ledger.lock():
        Watch(ledger).forget(dead[0])
    assert signs(ledger) == []


def test_on_another_machine_only_silence_tells(ledger, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(presence.time, "monotonic", lambda: now[0])
    own = Presence(ledger, "far")
    own.sign.machine = "elsewhere"
    own.sign.time = 0.0  # its clock is of no account
    own._write()
    watch = Watch(ledger, silent_s=60.0)
    assert len(watch.workers()[0]) == 1
    now[0] += 59
    assert len(watch.workers()[0]) == 1
    own._write()
    now[0] += 59
    assert len(watch.workers()[0]) == 1
    now[0] += 62
    assert len(watch.workers()[1]) == 1
