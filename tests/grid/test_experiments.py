"""What recipes ask for beyond the plain transfer, run end to end on a tiny backbone."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lingport.data.sample import nested_sample
from lingport.grid.ledger import Ledger
from lingport.modules.store import read_manifest
from tests.grid_runs import WORDS, recipe, run, write_data

LENGTH = "language_training.modules.prompt.num_virtual_tokens"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def edited(folder, key, **values):
    return {key: deepcopy(recipe(folder).model_dump(mode="json", exclude_unset=True)[key]) | values}


def module(run_dir, name):
    return load_file(run_dir / "modules" / name / "weights.safetensors")


def provenance(run_dir, name):
    return read_manifest(run_dir / "modules" / name)["provenance"]


def rows_of(run_dir):
    return {row["name"]: row for row in Ledger(run_dir).results().values()}


def jobs_of(run_dir):
    return {row["name"]: row for row in Ledger(run_dir).jobs().values()}


def test_every_control_of_every_configuration(folder, tmp_path):
    """The controls of the method: source, none, wrong, untrained; and full fine-tuning beside them."""
    policies = ["target", "source", "none", "untrained", "wrong:de"]
    summary, _ = run(folder, tmp_path, configurations=["la+ta", "lp+ta", "full"], policies=policies)
    assert summary.failed == {}
    found = {(row["configuration"], row["policy"]): row for row in rows_of(tmp_path).values()}
    assert len(found) == 2 * 5 + 1
    for kind in ("la", "lp"):
        languages = {policy: found[f"{kind}+ta", policy]["modules"]["language"] for policy in policies}
        assert languages == {
            "target": f"{kind}-sk-s1",
            "source": f"{kind}-en-s1",
            "none": None,
            "untrained": "untrained",
            "wrong:de": f"{kind}-de-s1",
        }
    assert {row["modules"]["task"] for row in found.values()} == {
        "la+ta-topic-en-s1",
        "lp+ta-topic-en-s1",
        "full-topic-en-s1",
    }
    assert found["full", "target"]["num_trained"] > 10_000
    # the language slot makes a difference: outputs' likelihoods differ between the policies
    confidences = [
        tuple(row["confidence"] for row in predictions(tmp_path, found["la+ta", policy]["name"])) for policy in policies
    ]
    assert len(set(confidences)) == len(policies)


def predictions(run_dir, name):
    lines = (run_dir / "predictions" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def shots(folder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("shots")
    training = {kind: {"steps": 3, "batch_size": 2} for kind in ("adapter", "prompt")}
    changes = {"configurations": ["none", "lp+ta", "tp"], "shots": [0, 2, 4], "few_shot": training}
    summary, _ = run(folder, run_dir, **changes)
    assert summary.failed == {}
    return run_dir


def test_few_shot_training_starts_from_the_transferred_module(shots):
    transferred = module(shots, "lp+ta-topic-en-s1")
    after = module(shots, "lp+ta-topic-en-s1-2shot-sk")
    change = max((after[name] - value).abs().max() for name, value in transferred.items())
    assert 0 < change < 0.01  # three small steps away
    told = provenance(shots, "lp+ta-topic-en-s1-2shot-sk")
    assert told["above"]["name"] == "lp-sk-s1"
    assert (told["language"], told["training"]["shots"], told["training"]["steps"]) == ("sk", 2, 3)
    assert [each["name"] for each in told["ancestors"]] == ["lp+ta-topic-en-s1"]
    assert told["training"]["data"]["examples"] == 2


def test_few_shot_rows_say_how_many_shots(shots):
    found = {(row["configuration"], row["shots"]) for row in rows_of(shots).values()}
    assert found == {("none", 0), *((name, count) for name in ("lp+ta", "tp") for count in (0, 2, 4))}
    row = rows_of(shots)["lp+ta-topic-en-sk-target-s1-4shot"]
    assert row["modules"] == {"language": "lp-sk-s1", "task": "lp+ta-topic-en-s1-4shot-sk"}
    assert row["settings"] == {}
    # the target has validation data here: the kept state is measured on them, not chosen by them
    assert {"score", "validation_loss", "best_step"} <= set(jobs_of(shots)["tp-topic-en-s1-4shot-sk"]["final"])


def test_all_configurations_see_the_same_nested_examples(folder, tmp_path, monkeypatch):
    from lingport.grid import material

    drawn = []

    def remember(items, size, *, seed, identity, where):
        found = list(nested_sample(items, size, seed=seed, identity=identity, where=where))
        if size:
            drawn.append((size, seed, tuple(identity(item) for item in found)))
        return found

    monkeypatch.setattr(material, "nested_sample", remember)
    training = {kind: {"steps": 1, "batch_size": 2} for kind in ("adapter", "prompt")}
    for number, configuration in enumerate(["ta", "tp"]):
        changes = {"configurations": [configuration], "shots": [2, 4], "seeds": [1, 2], "few_shot": training}
        run(folder, tmp_path / str(number), **changes)
    found = {(size, seed): examples for size, seed, examples in drawn}
    assert len(drawn) == 8 and len(set(drawn)) == 4  # both configurations the same
    for seed in (1, 2):
        assert set(found[2, seed]) < set(found[4, seed])
    assert found[4, 1] != found[4, 2]


def test_one_module_of_several_sources_has_learnt_from_both(folder, tmp_path):
    summary, _ = run(folder, tmp_path, configurations=["lp+ta"], sources=[["sk", "en"]], targets=["de"])
    assert summary.failed == {}
    told = provenance(tmp_path, "lp+ta-topic-en+sk-s1")
    assert (told["language"], told["above"]["name"]) == ("en+sk", "lp-en-s1+lp-sk-s1")
    assert told["training"]["data"]["examples"] == 16
    final = jobs_of(tmp_path)["lp+ta-topic-en+sk-s1"]["final"]
    assert final["score"] == pytest.approx((final["score of topic (en)"] + final["score of topic (sk)"]) / 2)
    assert [row["source"] for row in rows_of(tmp_path).values()] == ["en+sk"]


def test_a_mixture_is_evaluated_on_each_of_its_tasks(folder, tmp_path):
    entry = recipe(folder).model_dump(mode="json", exclude_unset=True)["tasks"][0]
    tasks = [entry, entry | {"name": "two", "overrides": entry["overrides"] | {"input": "which: {text}"}}]
    mixture = {"name": "both", "shares": {"topic": 1, "two": 1}}
    summary, _ = run(folder, tmp_path, configurations=["tp"], tasks=tasks, mixtures=[mixture])
    assert summary.failed == {}
    mixed = {row["task"]: row for row in rows_of(tmp_path).values() if row["settings"]}
    assert {task: row["modules"]["task"] for task, row in mixed.items()} == {
        "topic": "tp-both-en-s1",
        "two": "tp-both-en-s1",
    }
    assert all(row["settings"] == {"mixture": "both"} and row["status"] == "done" for row in mixed.values())
    told = provenance(tmp_path, "tp-both-en-s1")
    assert told["task"] == "topic+two"
    assert {name: task["input"] for name, task in told["training"]["tasks"].items()}["two"] == "which: {text}"
    final = jobs_of(tmp_path)["tp-both-en-s1"]["final"]
    assert final["score"] == pytest.approx((final["score of topic (en)"] + final["score of two (en)"]) / 2)


@pytest.mark.parametrize("kind", ["prompt", "adapter"])
def test_starting_points_are_the_sums_that_the_recipe_says(kind, folder, tmp_path):
    start = {
        "sk": {"weights": {"en": 0.75, "de": 0.25}, "steps": 0},
        "cs": {"vectors": {"de": 2.0, "en": -1.0}, "steps": 0},
        "sl": {"weights": {"en": 1.0}},
    }
    text = recipe(folder).model_dump(mode="json", exclude_unset=True)["text"]
    text |= dict.fromkeys(("cs", "sl"), text["sk"])
    configuration = {"prompt": "lp+ta", "adapter": "la+ta"}[kind]
    summary, _ = run(
        folder,
        tmp_path,
        configurations=[configuration],
        targets=["sk", "cs", "sl"],
        text=text,
        **edited(folder, "language_training", start=start),
    )
    assert summary.failed == {}
    made = {language: module(tmp_path, f"l{kind[0]}-{language}-s1") for language in ("en", "de", "sk", "cs", "sl")}
    fresh = fresh_modules(folder, tmp_path / "fresh", text, configuration, kind)
    for name in made["en"]:
        mean = 0.75 * made["en"][name] + 0.25 * made["de"][name]
        assert torch.allclose(made["sk"][name], mean, atol=1e-6)
        learnt = {language: made[language][name] - fresh[language][name] for language in ("en", "de")}
        assert torch.allclose(made["cs"][name], fresh["cs"][name] + 2 * learnt["de"] - learnt["en"], atol=1e-5)
    trained = [name for name in made["en"] if not torch.equal(made["sl"][name], made["en"][name])]
    assert trained  # it went on from there
    told = provenance(tmp_path, f"l{kind[0]}-cs-s1")["ancestors"]
    assert [(each["name"], each["factor"], each["part"]) for each in told] == [
        (f"l{kind[0]}-de-s1", 2.0, "task vector"),
        (f"l{kind[0]}-en-s1", -1.0, "task vector"),
    ]


def fresh_modules(folder, run_dir, text, configuration, kind):
    """Language modules as they are before any training."""
    training = recipe(folder).model_dump(mode="json", exclude_unset=True)["language_training"]
    training[kind] = training[kind] | {"steps": 0}
    run(
        folder,
        run_dir,
        configurations=[configuration],
        targets=["de", "cs"],
        text=text,
        language_training=training,
    )
    return {language: module(run_dir, f"l{kind[0]}-{language}-s1") for language in ("en", "de", "cs")}


def test_a_failed_start_blocks_what_would_begin_there(folder, tmp_path):
    few = edited(folder, "text")["text"]
    (tmp_path / "short.txt").write_text("too short")
    few["de"] = {"path": str(tmp_path / "short.txt"), "validation": 0.2}
    _, recorder = run(
        folder,
        tmp_path / "run",
        configurations=["lp+ta", "ta"],
        text=few,
        **edited(folder, "language_training", start={"sk": "de"}),
    )
    assert recorder.ended_as["lp-de-s1"] == "failed"
    assert recorder.ended_as["lp-sk-s1"] == recorder.ended_as["lp+ta-topic-en-sk-target-s1"] == "blocked"
    assert recorder.ended_as["ta-topic-en-sk-target-s1"] == "done"


@pytest.mark.parametrize("name", ["prefix_lm", "denoisers"])
def test_other_objectives_train_language_modules(name, folder, tmp_path):
    objective = {"max_length": 16, "name": name}
    summary, _ = run(
        folder,
        tmp_path,
        configurations=["lp+ta"],
        policies=["source"],
        **edited(folder, "language_training", objective=objective),
    )
    assert summary.failed == {}
    told = provenance(tmp_path, "lp-en-s1")["training"]
    assert told["objective"]["name"] == name and told["final"]["validation_loss"] > 0
    assert jobs_of(tmp_path)["lp-en-s1"]["rows"] == 6  # the same rows, so the same text, as any objective


def test_a_sweep_runs_every_point_once_and_says_where_it_is(folder, tmp_path):
    summary, recorder = run(folder, tmp_path, configurations=["none", "lp+ta"], sweep={LENGTH: [2, 3]})
    assert summary.failed == {} and len(recorder.jobs) == len(set(recorder.jobs)) == 9
    lengths = {name: row["settings"].get(LENGTH) for name, row in rows_of(tmp_path).items()}
    assert lengths == {
        "none-topic-en-sk-target-s1": None,
        "lp+ta-topic-en-sk-target-s1": 3,
        "lp+ta-topic-en-sk-target-s1-prompt.num_virtual_tokens=2": 2,
    }
    assert len(module(tmp_path, "lp-sk-s1-prompt.num_virtual_tokens=2")["prompt"]) == 2
    assert len(module(tmp_path, "lp-sk-s1")["prompt"]) == 3


def test_a_sweep_added_to_a_run_does_only_the_new_points(folder, tmp_path):
    run(folder, tmp_path, configurations=["lp+ta"])
    assert rows_of(tmp_path)["lp+ta-topic-en-sk-target-s1"]["settings"] == {}
    before = module(tmp_path, "lp-sk-s1")
    summary, recorder = run(folder, tmp_path, configurations=["lp+ta"], sweep={LENGTH: [3, 5]})
    assert summary.failed == {} and len(recorder.jobs) == 4
    assert all(name.endswith("prompt.num_virtual_tokens=5") for name in recorder.jobs)
    assert {row["settings"][LENGTH] for row in rows_of(tmp_path).values()} == {3, 5}
    assert torch.equal(before["prompt"], module(tmp_path, "lp-sk-s1")["prompt"])
    again, recorder = run(folder, tmp_path, configurations=["lp+ta"], sweep={LENGTH: [3, 5]})
    assert recorder.jobs == [] and again.num_skipped == 8


def test_the_amount_of_text_decides_how_many_chunks_are_seen(folder, tmp_path):
    """An amount larger than the text is refused for that language, and says so."""
    sweep = {"language_training.num_texts": [20, 5000]}
    summary, recorder = run(folder, tmp_path, configurations=["lp+ta"], sweep=sweep)
    assert recorder.ended_as["lp-sk-s1-language_training.num_texts=20"] == "done"
    assert recorder.ended_as["lp-sk-s1-language_training.num_texts=5000"] == "failed"
    assert any("5000 are asked for, but there are only" in reason for reason in summary.failed.values())


def test_labelled_amounts_are_the_rows_that_are_trained_on(folder, tmp_path):
    sweep = {"task_training.num_examples": [2, 6]}
    run(folder, tmp_path, configurations=["ta"], sweep=sweep)
    for size in (2, 6):
        told = provenance(tmp_path, f"ta-topic-en-s1-task_training.num_examples={size}")
        assert told["training"]["data"]["examples"] == size


def test_points_whose_tasks_differ_do_not_share_data(folder, tmp_path):
    """Two points have a task of one name on different data: what one has read is not the other's."""
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "\n".join(f"{word} a,{'a' if at % 2 else 'b'}" for at, word in enumerate(WORDS)))
    key = "tasks.0.data.default.test.paths"
    summary, _ = run(
        folder, tmp_path / "run", configurations=["ta"], sweep={key: [[str(other)], [str(folder / "t.csv")]]}
    )
    assert summary.failed == {}
    assert {row["counts"]["examples"] for row in rows_of(tmp_path / "run").values()} == {8, 12}


def test_a_run_that_asked_for_more_shots_does_only_those(shots, folder, tmp_path):
    run_dir = Path(shutil.copytree(shots, tmp_path / "run"))
    training = {kind: {"steps": 3, "batch_size": 2} for kind in ("adapter", "prompt")}
    changes = {"configurations": ["none", "lp+ta", "tp"], "shots": [0, 2, 4, 6], "few_shot": training}
    _, recorder = run(folder, run_dir, **changes)
    assert sorted(recorder.jobs) == sorted(
        ["lp+ta-topic-en-s1-6shot-sk", "tp-topic-en-s1-6shot-sk"]
        + [f"{name}-topic-en-sk-target-s1-6shot" for name in ("lp+ta", "tp")]
    )
