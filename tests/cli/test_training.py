"""What train-language and train-task share: options, metrics, cost, trackers, several processes."""

from __future__ import annotations

import inspect
import json

import pytest

from lingport.cli.train_language import train_language
from lingport.cli.train_task import train_task
from lingport.cli.training import TrainingOptions
from lingport.modules.store import load_module
from tests.cli.conftest import BACKBONE
from tests.cli.test_single import LANGUAGE, PROMPT, TASK

COMMAND = [*LANGUAGE, *PROMPT, "--language", "sk", "steps=4", "evaluate_every=2"]


def metrics(folder, name):
    rows = [json.loads(line) for line in (folder / "metrics" / f"{name}.jsonl").read_text().splitlines()]
    return [(row["event"], row["step"]) for row in rows]


@pytest.mark.parametrize("verb", [train_language, train_task])
def test_both_verbs_have_the_same_options_besides_their_own(verb):
    shared = inspect.signature(TrainingOptions).parameters
    listed = inspect.signature(verb).parameters
    assert list(listed)[-len(shared) :] == list(shared)
    assert "common" not in listed
    assert {name: listed[name].default for name in shared} == {name: shared[name].default for name in shared}


def test_the_metrics_lie_beside_the_module(call, files):
    told = json.loads(call(*COMMAND, "--out", "modules/lp", "--json").stdout)
    expected = [("train", 1), ("train", 2), ("evaluate", 2), ("train", 3), ("train", 4), ("evaluate", 4)]
    assert metrics(files / "modules", "lp") == expected
    assert told["metrics"] == "modules/metrics/lp.jsonl"
    assert (told["processes"], told["resumed_at"]) == (1, 0)
    assert told["seconds"] >= 0 and (told["peak_bytes"] is None or told["peak_bytes"] > 0)
    line = next(line for line in call(*COMMAND, "--out", "modules/lp").stdout.splitlines() if "every step" in line)
    assert line.startswith("4 steps in 0:0") and line.endswith("modules/metrics/lp.jsonl")
    call(*TASK, "--out", "modules/ta")
    assert metrics(files / "modules", "ta") == [("train", 1), ("train", 2), ("evaluate", 2)]


def test_a_resumed_training_records_every_step_once(call, files, monkeypatch):
    command = [*COMMAND, "--out", "modules/lp", "checkpoint_every=3"]

    def killed(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lingport.cli.single.keep", killed)
        call(*command, code=130)
    told = json.loads(call(*command, "--json").stdout)
    assert [step for event, step in metrics(files / "modules", "lp") if event == "train"] == [1, 2, 3, 4]
    assert told["resumed_at"] == 3
    assert "\n1 step in" in call(*command).stdout


def test_trackers_are_off_and_on(call, files):
    pytest.importorskip("tensorboard", reason="needs pip install tensorboard")
    call(*COMMAND, "--out", "modules/off")
    assert not (files / "modules/tensorboard").exists()
    call(*COMMAND, "--out", "modules/on", "--track", "tensorboard")
    assert list((files / "modules/tensorboard/on").iterdir())
    wrong = call(*COMMAND, "--out", "modules/x", "--track", "tensorbord", code=2)
    assert "did you mean 'tensorboard'" in wrong.stderr


@pytest.mark.slow
def test_two_processes_make_the_module_that_one_makes(call, files):
    from lingport.backbones.base import Backbone

    command = [*COMMAND, "--dtype", "float32", "--device", "cpu", "backbone_dropout=0"]
    one = json.loads(call(*command, "--out", "modules/one", "--json").stdout)
    two = json.loads(call(*command, "--out", "modules/two", "--json", "--processes", 2).stdout)
    assert two["processes"] == 2
    assert two["validation_loss"] == pytest.approx(one["validation_loss"], abs=1e-4)
    assert metrics(files / "modules", "two") == metrics(files / "modules", "one")
    backbone = Backbone.load(BACKBONE, dtype="float32", device="cpu")
    first, second = (load_module(files / "modules" / name, backbone).state_dict() for name in ("one", "two"))
    # Adafactor at a rate of 0.5 takes steps of about 0.5 wherever a gradient points.
    assert all(((first[name] - second[name]).abs() <= 1e-3).all() for name in first)


def test_processes_within_processes_are_refused(call, files, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    told = call(*COMMAND, "--out", "modules/x", "--processes", 2, code=2).stderr
    assert "one of several processes already" in told
