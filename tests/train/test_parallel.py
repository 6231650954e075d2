"""Several processes train what one trains: same losses, same weights; one that dies ends them all, to be resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from lingport.compose.model import ComposedModel
from lingport.errors import ConfigError, DataError, TrainingError
from lingport.train.checkpoint import load_checkpoint
from lingport.train.launch import launch
from lingport.train.loop import train
from lingport.train.parallel import joined
from tests.team_runs import CASES, case, in_team, train_cases
from tests.team_talk import tell
from tests.tiny import shared

ROOT = Path(__file__).resolve().parents[2]


def near(one, other):
    # AdamW divides by the gradient's size, so that rounding near zero shows more than in the gradient.
    return all(torch.allclose(one[key], other[key], rtol=0, atol=2e-4) for key in other)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of what two processes trained, and one of what one trained."""
    both, one = tmp_path_factory.mktemp("both"), tmp_path_factory.mktemp("one")
    launch(in_team, processes=2, folder=both)
    train_cases(one)
    return both, one


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_train_what_one_trains(name, trained):
    both, one = trained
    (weights, state), (second, second_state), (expected, alone) = (
        load_checkpoint(folder / f"{name} {rank}.safetensors") for folder, rank in ((both, 0), (both, 1), (one, 0))
    )
    assert state["result"] == alone["result"]
    assert state["losses"] == pytest.approx(alone["losses"], abs=2e-5)
    assert second_state["losses"] == []  # the first tells for both
    assert state["hash"] == second_state["hash"]
    assert near(weights, expected)
    assert all(torch.equal(weights[key], second[key]) for key in weights)


@pytest.mark.slow
def test_processes_that_begin_otherwise_are_refused(trained):
    said = [(trained[0] / f"refused {rank}.txt").read_text() for rank in (0, 1)]
    assert all("the processes do not begin alike" in each for each in said)


@pytest.mark.slow
def test_what_the_first_makes_and_what_all_sum(tmp_path):
    launch(tell, processes=2, folder=tmp_path)
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [each["of_first"] for each in told] == [{"rank": 0, "value": 0.1}] * 2
    assert [each["sums"] for each in told] == [[2.0, 1.0]] * 2
    assert [each["threads"] for each in told] == [max(1, torch.get_num_threads() // 2)] * 2


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_which_can_be_resumed(tmp_path):
    with pytest.raises(TrainingError, match=r"process 2 of 2 was killed \(SIGKILL") as caught:
        launch(in_team, processes=2, folder=tmp_path, dies=True)
    assert "goes on from the last checkpoint" in (caught.value.hint or "")
    events: list[dict] = []
    resumed, whole = case("adapter", checkpoint=tmp_path / "c.safetensors"), case("adapter")
    model = ComposedModel(shared("mt5"))
    (result,) = train(model, [resumed], listen=lambda _name, event: events.append(event))
    assert events[0] == {"event": "resume", "step": 2}
    assert result.steps == train(model, [whole])[0].steps == 4
    assert near(resumed.module.state_dict(), whole.module.state_dict())


@pytest.mark.slow
def test_an_error_of_one_process_is_the_error_of_all(tmp_path):
    with pytest.raises(DataError, match="a bad row") as caught:
        launch(tell, processes=2, folder=tmp_path, fails=1)
    assert (caught.value.where, caught.value.hint) == ("rows.csv:3", "mend it")


@pytest.mark.slow
def test_torchrun_may_start_them(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(f"from pathlib import Path; from tests.team_talk import tell; tell(Path({str(tmp_path)!r}))")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "1.json").read_text())["of_first"]["rank"] == 0


def test_a_process_alone_keeps_its_device(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cuda:1") as (team, device):
        assert (team.rank, team.size, team.first, device) == (0, 1, True, "cuda:1")
        assert team.sum_numbers([0.5]) == [0.5]
        assert team.of_first(lambda: 3) == 3
        team.check_same(lambda: pytest.fail("nobody to compare with"))


@pytest.mark.parametrize(
    ("device", "place", "told"), [("cuda:0", "0", "need one each"), ("cuda", "3", "process 4 of this machine")]
)
def test_a_device_that_cannot_be_shared_out(device, place, told, monkeypatch):
    for key, value in {"WORLD_SIZE": "4", "RANK": place, "LOCAL_RANK": place}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=told), joined(device):
        pass


def test_processes_that_do_not_come_are_not_waited_for_for_ever(monkeypatch):
    from lingport.train import parallel

    variables = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(parallel, "_ARRIVAL", timedelta(seconds=0.5))
    with pytest.raises(TrainingError, match="do not find each other") as caught, joined("cpu"):
        pass
    assert "unset WORLD_SIZE" in (caught.value.hint or "")
    monkeypatch.delenv("MASTER_PORT")
    with pytest.raises(TrainingError, match="MASTER_PORT"), joined("cpu"):
        pass
