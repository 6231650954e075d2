"""Runs: nothing twice, failures kept to themselves, and the same bits after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lingport.config.load import read_yaml, validated
from lingport.config.schema import Recipe
from lingport.grid.ledger import Ledger
from lingport.modules.store import read_manifest
from tests.grid_runs import modules, recipe, results, run, write_data

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """An uninterrupted run of the usual recipe."""
    run_dir = tmp_path_factory.mktemp("whole")
    return run_dir, *run(folder, run_dir)


ALL = ["lp-sk-s1", "lp-en-s1", "lp+ta-topic-en-s1", "none-topic-en-sk-target-s1", "lp+ta-topic-en-sk-target-s1"]


def test_a_run_leaves_what_the_contract_says(folder, whole):
    run_dir, summary, recorder = whole
    assert sorted(recorder.jobs) == sorted(ALL)
    assert (summary.num_done, summary.num_skipped, summary.failed) == (5, 0, {})
    assert {path.name for path in run_dir.iterdir()} >= {
        "recipe.yaml",
        "modules",
        "jobs.jsonl",
        "results.jsonl",
        "metrics",
        "predictions",
    }
    assert not list(run_dir.glob("checkpoints/*"))
    jobs = {row["name"]: row for row in Ledger(run_dir).jobs().values()}
    language, task = jobs["lp-sk-s1"], jobs["lp+ta-topic-en-s1"]
    assert (language["phase"], language["status"], language["error"], language["num_trained"]) == (
        "language",
        "done",
        None,
        96,
    )
    assert (language["steps"], language["rows"]) == (3, 6)
    assert set(language["initial"]) == {"validation_loss"} and language["final"]["validation_loss"] > 0
    assert (task["phase"], task["steps"]) == ("task", 4)
    assert {"accuracy", "best_step", "validation_loss"} <= set(task["final"])
    row = results(run_dir)["lp+ta-topic-en-sk-target-s1"]
    assert row["modules"] == {"language": "lp-sk-s1", "task": "lp+ta-topic-en-s1"}
    assert (row["configuration"], row["source"], row["target"], row["policy"], row["seed"]) == (
        "lp+ta",
        "en",
        "sk",
        "target",
        1,
    )
    assert row["main_score"] == "accuracy" and 0 <= row["scores"]["accuracy"] <= 1
    assert row["counts"]["examples"] == 8 and row["majority"] == 0.5
    events = [json.loads(line) for line in (run_dir / "metrics" / "lp+ta-topic-en-s1.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "train"] == [1, 2, 3, 4]
    assert [event["step"] for event in events if event["event"] == "evaluate"] == [2, 4]
    predictions = (run_dir / "predictions" / "none-topic-en-sk-target-s1.jsonl").read_text().splitlines()
    assert len(predictions) == 8
    manifest = read_manifest(run_dir / "modules" / "lp+ta-topic-en-s1")["provenance"]
    assert (manifest["role"], manifest["language"], manifest["task"], manifest["above"]["name"]) == (
        "task",
        "en",
        "topic",
        "lp-en-s1",
    )


def test_the_resolved_recipe_is_a_recipe(folder, whole):
    again = validated(Recipe, read_yaml(whole[0] / "recipe.yaml"))
    assert again == recipe(folder)


def test_a_second_run_does_nothing(folder, whole):
    run_dir = whole[0]
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    summary, recorder = run(folder, run_dir)
    assert (summary.num_done, summary.num_skipped, recorder.jobs) == (0, 5, [])
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_the_same_recipe_elsewhere_gives_the_same_bits(folder, whole, tmp_path):
    run(folder, tmp_path / "again")
    assert modules(tmp_path / "again") == modules(whole[0])
    assert results(tmp_path / "again") == results(whole[0])


def copy_of(run_dir, target):
    import shutil

    return Path(shutil.copytree(run_dir, target))


def test_extending_does_only_what_is_new(folder, whole, tmp_path):
    run_dir = copy_of(whole[0], tmp_path / "run")
    before = modules(run_dir)
    _, recorder = run(folder, run_dir, targets=["sk", "de"])
    assert recorder.jobs == ["lp-de-s1", "none-topic-en-de-target-s1", "lp+ta-topic-en-de-target-s1"]
    _, recorder = run(folder, run_dir, targets=["sk", "de"], seeds=[1, 2], configurations=["none", "lp+ta"])
    assert sorted(recorder.jobs) == sorted(
        [
            "lp-sk-s2",
            "lp-en-s2",
            "lp-de-s2",
            "lp+ta-topic-en-s2",
            "lp+ta-topic-en-sk-target-s2",
            "lp+ta-topic-en-de-target-s2",
        ]
    )
    assert before.items() <= modules(run_dir).items()


def test_a_lost_module_or_result_is_made_again(folder, whole, tmp_path):
    import shutil

    run_dir = copy_of(whole[0], tmp_path / "run")
    shutil.rmtree(run_dir / "modules" / "lp-sk-s1")
    (run_dir / "results.jsonl").unlink()
    _, recorder = run(folder, run_dir)
    assert sorted(recorder.jobs) == ["lp+ta-topic-en-sk-target-s1", "lp-sk-s1", "none-topic-en-sk-target-s1"]
    assert modules(run_dir) == modules(whole[0])
    assert results(run_dir) == results(whole[0])


def test_a_torn_last_result_is_made_again(folder, whole, tmp_path):
    run_dir = copy_of(whole[0], tmp_path / "run")
    file = run_dir / "results.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    _, recorder = run(folder, run_dir)
    assert len(recorder.jobs) == 1
    assert results(run_dir) == results(whole[0])
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_a_module_of_other_settings_steps_aside_and_back(folder, whole, tmp_path):
    run_dir = copy_of(whole[0], tmp_path / "run")
    longer = recipe(folder).language_training.model_dump(mode="json")
    longer["prompt"]["steps"] = 2
    for _ in range(2):
        summary, _ = run(folder, run_dir, language_training=longer)
        assert summary.failed == {}
        assert modules(run_dir)["lp-en-s1"] != modules(whole[0])["lp-en-s1"]
        summary, _ = run(folder, run_dir)
        assert summary.failed == {}
        assert modules(whole[0]).items() <= modules(run_dir).items()


def failing(monkeypatch, name):
    """Makes the training of one module fail as a broken loss would."""
    from lingport.grid import work

    real = work.train

    def train(model, learners, **rest):
        if any(learner.name == name for learner in learners):
            raise ZeroDivisionError("on purpose")
        return real(model, learners, **rest)

    monkeypatch.setattr(work, "train", train)


@pytest.mark.parametrize("learners_at_once", [1, 3])
def test_a_failure_blocks_what_needs_it_and_nothing_else(folder, whole, tmp_path, monkeypatch, learners_at_once):
    how = {"learners_at_once": learners_at_once, **without_dropout(folder)}
    with monkeypatch.context() as patch:
        failing(patch, "lp-sk-s1")
        summary, recorder = run(folder, tmp_path, **how)
    assert set(summary.failed) == {"lp-sk-s1", "lp+ta-topic-en-sk-target-s1"}
    assert summary.num_done == 3
    assert recorder.ended_as["lp-sk-s1"] == "failed"
    assert recorder.ended_as["lp+ta-topic-en-sk-target-s1"] == "blocked"
    jobs = {row["name"]: row for row in Ledger(tmp_path).jobs().values()}
    assert "ZeroDivisionError: on purpose" in jobs["lp-sk-s1"]["error"]
    assert "Traceback" in jobs["lp-sk-s1"]["traceback"]
    assert results(tmp_path)["lp+ta-topic-en-sk-target-s1"]["status"] == "failed"
    assert results(tmp_path)["none-topic-en-sk-target-s1"]["status"] == "done"
    summary, recorder = run(folder, tmp_path, **how)
    assert sorted(recorder.jobs) == ["lp+ta-topic-en-sk-target-s1", "lp-sk-s1"]
    assert summary.failed == {} and results(tmp_path)["lp+ta-topic-en-sk-target-s1"]["status"] == "done"


def test_a_failed_task_module_blocks_its_cells_only(folder, tmp_path, monkeypatch):
    failing(monkeypatch, "ta-topic-en-s1")
    summary, _ = run(folder, tmp_path, configurations=["ta", "tp"])
    assert set(summary.failed) == {"ta-topic-en-s1", "ta-topic-en-sk-target-s1"}
    assert summary.num_done == 2


@pytest.mark.slow
@pytest.mark.parametrize("kill_in", ["lp-en-s1", "lp+ta-topic-en-s1"])
def test_killed_and_run_again_it_ends_in_the_same_bits(folder, whole, tmp_path, kill_in):
    code = (
        "from pathlib import Path; from tests.grid_runs import run; "
        f"run(Path({str(folder)!r}), Path({str(tmp_path)!r}), kill_in={kill_in!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("checkpoints/*.safetensors"))) == 1
    summary, recorder = run(folder, tmp_path)
    assert recorder.jobs[0] == kill_in and summary.failed == {}
    assert modules(tmp_path) == modules(whole[0])
    assert results(tmp_path) == results(whole[0])
    for name in ("lp-en-s1", "lp+ta-topic-en-s1"):
        assert steps(tmp_path, name) == steps(whole[0], name)


def steps(run_dir, name):
    rows = (json.loads(line) for line in (run_dir / "metrics" / f"{name}.jsonl").read_text().splitlines())
    return [(row["event"], row["step"], row.get("loss"), row.get("scores")) for row in rows]


def without_dropout(folder):
    """The two trainings without dropout, as several learners in one pass need it."""
    found = {}
    for key in ("language_training", "task_training"):
        training = recipe(folder).model_dump(mode="json", exclude_unset=True)[key]
        for kind in {"adapter", "prompt", "full"} & set(training):
            training[kind]["backbone_dropout"] = 0.0
        found[key] = training
    return found


def test_learners_at_once_give_the_same_up_to_rounding(folder, tmp_path):
    how = {"configurations": ["lp+ta", "ta", "tp", "full"], "seeds": [1, 2], **without_dropout(folder)}
    one, _ = run(folder, tmp_path / "one", **how)
    many, _ = run(folder, tmp_path / "many", learners_at_once=3, **how)
    assert one.failed == many.failed == {}
    ones, others = tmp_path / "one" / "modules", tmp_path / "many" / "modules"
    assert sorted(path.name for path in ones.iterdir()) == sorted(path.name for path in others.iterdir())
    for path in ones.iterdir():
        theirs = load_file(others / path.name / "weights.safetensors")
        for name, value in load_file(path / "weights.safetensors").items():
            assert torch.allclose(value, theirs[name], atol=2e-3, rtol=1e-3), (path.name, name)


def test_the_backbone_files_are_not_touched(whole):
    from lingport.backbones.base import Backbone
    from tests.conftest import GOLDEN

    before = Backbone.load(str(GOLDEN / "base"), dtype="float32", device="cpu")
    manifest = read_manifest(whole[0] / "modules" / "lp-sk-s1")
    assert manifest["provenance"]["backbone_fingerprint"] == before.fingerprint


def test_each_policy_puts_its_own_module_in_the_language_slot(folder, tmp_path):
    policies = ["target", "source", "none", "untrained", "wrong:de"]
    summary, _ = run(folder, tmp_path, configurations=["lp+ta"], policies=policies)
    assert summary.failed == {}
    found = {row["policy"]: row["modules"]["language"] for row in results(tmp_path).values()}
    assert found == {
        "target": "lp-sk-s1",
        "source": "lp-en-s1",
        "none": None,
        "untrained": "untrained",
        "wrong:de": "lp-de-s1",
    }
