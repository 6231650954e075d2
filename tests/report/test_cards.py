"""Model cards: what the hub reads of them, and that nothing is claimed that is not known."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from lingport.errors import InputError
from lingport.modules.ancestry import above
from lingport.modules.store import save_module
from lingport.report.card_scores import Scored, model_index
from lingport.report.cards import card, write_card
from tests.tiny import module, shared

TASK = {"name": "topic", "form": "classify", "input": "{text}", "labels": ["a", "b"]}
COMMIT = "c" * 40


@pytest.fixture
def task_module(tmp_path) -> Path:
    """A task module in the folder of a run that tested it on Slovak."""
    backbone = shared("mt5")
    language = module("prompt", backbone)
    language.provenance.role, language.provenance.language = "language", "de"
    made = module("adapter", backbone)
    source = {"language": "de", "format": "hub", "repository": "someone/topics", "revision": COMMIT, "config": "de"}
    history = made.provenance
    history.role, history.task, history.language, history.backbone = "task", "topic", "de", "bigscience/mt0-base"
    history.above = above({"lp-de": language})
    history.training = {
        "seed": 7,
        "settings": {"batch_size": 4, "optimizer": "adamw", "learning_rate": 1e-3, "schedule": "linear"},
        "steps": 500,
        "tokens": 12345,
        "final": {"score": 0.75, "best_step": 400},
        "data": {"examples": 2000, "inputs_cut": 3},
        "sources": [source],
        "task": TASK,
    }
    return save_module(made, tmp_path / "run" / "modules" / "ta")


@pytest.fixture
def tested(task_module) -> Path:
    run = task_module.parent.parent
    test = {"format": "hub", "name": "someone/topics", "config": "{language}", "split": "test", "revision": "d" * 40}
    recipe = {
        "name": "made",
        "tasks": [{"task": "topic", "name": None, "overrides": TASK, "data": {"default": {"test": test}}}],
    }
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (run / "tasks.json").write_text(json.dumps({"topic": TASK}))
    row = {
        "task": "topic",
        "configuration": "lp+ta",
        "source": "de",
        "target": "sk",
        "policy": "target",
        "seed": 7,
        "status": "done",
        "name": "cell",
        "main_score": "accuracy",
        "scores": {"accuracy": 0.6},
        "counts": {"examples": 40, "unreadable": 2, "inputs_cut": 0},
        "modules": {"language": "lp-sk", "task": "ta"},
    }
    other = {**row, "modules": {"language": "lp-sk", "task": "another"}, "target": "pl", "name": "x"}
    (run / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in (row, other)))
    said = [{"id": str(i), "answer": "a" if i < 24 else "b", "gold": "a"} for i in range(40)]
    (run / "predictions").mkdir()
    (run / "predictions" / "cell.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
    return task_module


def test_the_hub_reads_languages_base_data_and_results(tested):
    data = ModelCard(card(tested, name="me/ta-topic", licence="cc-by-4.0")).data
    assert data.language == ["de", "sk"]
    assert (data.base_model, data.license, data.library_name) == ("bigscience/mt0-base", "cc-by-4.0", "lingport")
    assert data.datasets == ["someone/topics"]
    assert {"bottleneck-adapter", "task-module", "topic"} <= set(data.tags)
    (result,) = data.eval_results
    assert (result.task_type, result.task_name, result.metric_type) == ("text-classification", "topic", "accuracy")
    assert (result.dataset_type, result.dataset_config, result.dataset_split) == ("someone/topics", "sk", "test")
    assert (result.dataset_revision, result.metric_value) == ("d" * 40, 60.0)


def test_it_says_how_it_was_trained_with_what_and_how_sure_the_scores_are(tested):
    text = card(tested, name="me/ta-topic")
    for told in (
        "for the task `topic`, learnt from German (de) examples",
        "- data: someone/topics (de, German (de), commit `" + COMMIT,
        "of these: 2,000 examples, 3 inputs cut",
        "500 steps of 4 rows, 12,345 input tokens; the state of step 400 was kept",
        "- seed 7",
        "trained above the language module `lp-de`, prompt, de",
        "| topic | Slovak (sk) | lp+ta, from de | accuracy | 60.0 [45.0, 75.0] | 40 |",
        "2 of 40 outputs could not be read",
        "Tested in Slovak (sk) only",
        "lp.load_module('me/ta-topic', backbone)",
    ):
        assert told in text, told
    assert "Polish" not in text  # another module's cell


def test_what_is_not_known_is_left_out(tmp_path):
    bare = module("prompt", shared("mt5"))
    bare.provenance.backbone = str(tmp_path / "home" / "me" / "models" / "mine")
    text = card(save_module(bare, tmp_path / "p"))
    head = yaml.safe_load(text.split("---")[1])
    assert set(head) == {"library_name", "tags"}
    assert "None" not in text and "more information" not in text.lower()
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# p", "## Use", "## Training", "## Limits"]
    for heading, after in itertools.pairwise(headings):
        between = text.split(heading + "\n", 1)[1].split(after)[0]
        assert between.strip(), heading
    assert "`mine`" in text and str(tmp_path) not in text  # nobody's folders are told


def test_a_run_without_intervals_or_of_another_version_still_gives_scores(tested):
    run = tested.parent.parent
    shutil.rmtree(run / "predictions")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["tasks"][0]["data"]["default"]["test"]["a_setting_of_another_day"] = 1
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    text = card(tested)
    assert "| accuracy | 60.0 | 40 |" in text and "95 %" not in text
    (result,) = ModelCard(text).data.eval_results
    assert result.dataset_type == "other"


def test_a_card_is_not_overwritten_unseen(task_module):
    file = write_card(task_module)
    file.write_text("my own words")
    with pytest.raises(InputError, match="a card already"):
        write_card(task_module)
    assert file.read_text() == "my own words"
    assert "## Use" in write_card(task_module, replace=True).read_text()
    assert [path.name for path in task_module.iterdir() if path.name.startswith(".")] == []


def test_results_of_every_form_of_task_are_ones_that_the_hub_reads():
    scores = [Scored("t", "f1", "sk", 0.5, form=form) for form in ("classify", "spans", "answer", "one of tomorrow")]
    name, results = model_index_to_eval_results(model_index("m", scores))
    assert name == "m"
    assert [each.task_type for each in results] == [
        "text-classification",
        "token-classification",
        "question-answering",
        "text-generation",
    ]
    assert model_index("m", []) == []
