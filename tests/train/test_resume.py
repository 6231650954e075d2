"""Killed and started again, a run ends in the same bits; a checkpoint that does not belong to it is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lingport.compose.model import ComposedModel
from lingport.errors import TrainingError
from lingport.modules.store import weights_hash
from lingport.train.loop import train
from tests.tiny import shared
from tests.train_runs import CASES, case

ROOT = Path(__file__).resolve().parents[2]


def run(own, listen=lambda name, event: None):
    return train(ComposedModel(shared("mt5")), [own], listen=listen)[0]


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("stop", [3, 5])
def test_interrupted_anywhere_it_ends_in_the_same_bits(name, stop, tmp_path):
    whole = case(name, None)
    expected = run(whole)

    def interrupt(_name, event):
        if event["event"] == "train" and event["step"] == stop:
            raise KeyboardInterrupt

    file = tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(case(name, file), interrupt)
    assert file.exists()
    again, events = case(name, file), []
    result = run(again, lambda _name, event: events.append(event))
    assert events[0] == {"event": "resume", "step": 2 * ((stop - 1) // 2)}
    assert result == expected
    assert weights_hash(again.module) == weights_hash(whole.module)


@pytest.mark.slow
def test_killed_by_the_system_it_ends_in_the_same_bits(tmp_path):
    file = tmp_path / "c.safetensors"
    # Sums over other numbers of threads round otherwise; the same machine starts with the same number.
    threads = f"import torch; torch.set_num_threads({torch.get_num_threads()})"
    code = f"{threads}; from tests.train_runs import until_killed; until_killed({str(file)!r})"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert process.returncode == -signal.SIGKILL
    assert file.exists()
    whole, again = case("adamw-score", None), case("adamw-score", file)
    assert run(again) == run(whole)
    assert weights_hash(again.module) == weights_hash(whole.module)


def unfinished(tmp_path):
    file = tmp_path / "c.safetensors"

    def interrupt(_name, event):
        if event["event"] == "train" and event["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(case("adamw-score", file), interrupt)
    return file


def test_a_checkpoint_of_another_identity_is_refused(tmp_path):
    file = unfinished(tmp_path)
    with pytest.raises(TrainingError, match="belongs to other settings") as caught:
        run(case("adamw-score", file, identity="another run"))
    assert caught.value.where == str(file)
    assert file.exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "foreign"])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    file = unfinished(tmp_path)
    data = file.read_bytes()
    if damage == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(2)}, file)
    else:
        file.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "noise": os.urandom(200)}[damage])
    with pytest.raises(TrainingError, match="cannot be read"):
        run(case("adamw-score", file))


def test_a_write_that_fails_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    from lingport.train import checkpoint

    file = tmp_path / "c.safetensors"
    checkpoint.save_checkpoint(file, tensors={"a": torch.ones(3)}, state={"n": 1})

    def broken(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint, "save_file", broken)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save_checkpoint(file, tensors={"a": torch.zeros(3)}, state={"n": 2})
    tensors, state = checkpoint.load_checkpoint(file)
    assert torch.equal(tensors["a"], torch.ones(3)) and state == {"n": 1}


def test_checkpoints_hold_the_state_of_an_even_step_only(tmp_path):
    from lingport.train.checkpoint import load_checkpoint

    tensors, state = load_checkpoint(unfinished(tmp_path))
    assert state["result"]["steps"] == 2
    assert {name.split(".")[0] for name in tensors} == {"module", "best", "optimizer"}
