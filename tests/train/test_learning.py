"""Trained modules learn: language modules held-out text, task modules a task that a rule decides."""

from __future__ import annotations

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.data import TextSource
from lingport.config.language import ObjectiveSettings
from lingport.config.modules import AdapterSettings, FullSettings, PromptSettings
from lingport.config.training import TrainingSettings
from lingport.errors import DataError
from lingport.modules.base import new_module
from lingport.tasks.catalogue import load_task
from lingport.train.language import (
    LanguageRows,
    held_out,
    held_out_loss,
    language_data,
    language_module_settings,
)
from lingport.train.learner import Learner
from lingport.train.loop import train
from lingport.train.task import TaskBatches, TaskData, TaskRows, TaskValidation, task_module_settings, task_rows
from tests.grid_runs import write_data
from tests.tiny import shared


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    write_data(folder)
    return TextSource(paths=[str(folder / "en.txt")], validation=0.3)


def data_of(text, **changes):
    usual = {"objective": ObjectiveSettings(max_length=24), "num_validation_chunks": 6}
    return language_data(shared("mt5"), text, "en", **(usual | changes))


@pytest.mark.parametrize(
    ("kind", "settings", "training"),
    [
        ("adapter", AdapterSettings(reduction=2), {"learning_rate": 1e-2}),
        (
            "prompt",
            PromptSettings(num_virtual_tokens=8),
            {"optimizer": "adafactor", "learning_rate": 0.5, "weight_decay": 1e-5},
        ),
    ],
)
def test_a_language_module_lowers_the_loss_of_held_out_text(kind, settings, training, text):
    backbone = shared("mt5")
    model, data = ComposedModel(backbone), data_of(text)
    own = new_module(kind, language_module_settings(kind, settings, "en"), backbone)
    without, before = held_out_loss(model, None, data), held_out_loss(model, own, data)
    known = TrainingSettings(steps=30, batch_size=8, backbone_dropout=0.0, **training)
    train(model, [Learner("l", own, Composition(language=own), LanguageRows(data, batch_size=8, seed=1), known)])
    after = held_out_loss(model, own, data)
    assert after < before - 0.3
    assert after < without - 0.3


def test_training_and_held_out_text_are_apart_and_fixed(text):
    data, again = data_of(text), data_of(text)
    assert data.validation == again.validation and len(data.validation) == 6
    rows = LanguageRows(data, batch_size=4, seed=1)
    assert rows(3) == LanguageRows(again, batch_size=4, seed=1)(3)
    assert rows(3) != LanguageRows(data, batch_size=4, seed=2)(3)
    assert rows(0) != rows(len(data.chunks) // 4 + 1)
    assert all(len(row.input_ids) == 24 for row in [*rows(0), *data.validation])


def test_text_that_names_no_held_out_part_gets_one(text):
    assert held_out(TextSource(paths=["x.txt"])).validation == 0.02
    assert held_out(text).validation == 0.3
    assert held_out(TextSource(paths=["x.txt"], num_validation=5)).validation == 0.0


def test_too_little_text_is_refused_with_its_language(text):
    with pytest.raises(DataError, match="do not fill one chunk") as caught:
        data_of(text.model_copy(update={"limit": 1}), objective=ObjectiveSettings(max_length=250))
    assert "'en'" in (caught.value.where or "")


def test_a_language_prompt_starts_from_the_papers_sentence():
    asked = language_module_settings("prompt", PromptSettings(), "sk")
    assert asked.init_text == "Generate the output in Slovak:"
    own = PromptSettings(init_text="mine")
    assert language_module_settings("prompt", own, "sk") is own
    assert language_module_settings("prompt", PromptSettings(init="random"), "sk").init_text is None
    assert language_module_settings("adapter", AdapterSettings(), "sk") == AdapterSettings()


def examples(count=16):
    return [
        {
            "id": str(i),
            "where": "here",
            "text": f"{'tea' if i % 2 else 'hen'} on the mat",
            "label": "a" if i % 2 else "b",
        }
        for i in range(count)
    ]


def test_full_weights_learn_a_rule_to_a_perfect_score():
    backbone = shared("mt5")
    task = load_task("topic", overrides={"labels": ["a", "b"], "input": "{text}"})
    rows = task_rows(backbone, task, examples(), "en")
    own = new_module("full", FullSettings(), backbone)
    composition = Composition(task=own)
    known = TrainingSettings(
        steps=60, batch_size=8, learning_rate=3e-3, backbone_dropout=0.0, evaluate_every=20, selection="score"
    )
    data = TaskData(task, "en", rows, rows, examples())
    measure = TaskValidation(data, composition)
    before = backbone.weights_hash()
    (result,) = train(
        ComposedModel(backbone),
        [Learner("t", own, composition, TaskBatches([data], batch_size=8, seed=1), known, validate=measure)],
    )
    assert result.scores["accuracy"] == result.scores["score"] == 1.0
    assert result.scores["validation_loss"] < 1.0
    assert backbone.weights_hash() == before
    assert measure(ComposedModel(backbone))["score"] == 1.0


def test_rows_of_a_task_hold_whole_targets_and_count_what_is_cut():
    backbone = shared("mt5")
    task = load_task(
        "topic",
        overrides={"labels": ["a", "a red hen on the mat in bed"], "max_input_tokens": 12, "max_target_tokens": 2},
    )
    given = [
        {"id": "1", "where": "x", "text": "tea", "label": "a red hen on the mat in bed"},
        {"id": "2", "where": "x", "text": "tea " * 30, "label": "a"},
    ]
    found = task_rows(backbone, task, given, "en")
    assert (found.num_examples, found.num_cut, found.num_dropped) == (2, 1, 0)
    assert max(len(row.input_ids) for row in found.rows) <= 12
    assert backbone.tokenizer.decode(found.rows[0].label_ids, skip_special_tokens=True) == "a red hen on the mat in bed"


def test_windows_without_the_answer_are_not_trained_on():
    backbone = shared("mt5")
    task = load_task("qa", overrides={"max_input_tokens": 64, "stride_tokens": 4})
    context = "the cat sat on the mat and the hen was wet in the red bed on the moon with tea and a hat"
    asked = {"id": "1", "where": "x", "question": "a cat", "context": context, "answers": ["moon"]}
    found = task_rows(backbone, task, [asked], "en")
    assert all("moon" in backbone.tokenizer.decode(row.input_ids) for row in found.rows)
    lost = task_rows(backbone, task, [asked, asked | {"answers": ["nowhere"]}], "en")
    assert (lost.num_examples, lost.num_dropped, len(lost.rows)) == (2, 1, len(found.rows))
    with pytest.raises(DataError, match="none of the 1 examples"):
        task_rows(backbone, task, [asked | {"answers": ["nowhere"]}], "en")


def of(task, *languages):
    return [TaskData(task, language, TaskRows([], 0, 0, 0), None) for language in languages]


def test_a_task_prompt_starts_from_the_tasks_text_or_words():
    topic = load_task("topic", overrides={"labels": ["a", "b"]})
    asked = task_module_settings(PromptSettings(), of(topic, "sk"))
    assert asked.init_text == "Determine the topic of the text in Slovak:"
    assert task_module_settings(PromptSettings(init="classes"), of(topic, "sk")).init_words == ("a", "b")
    assert task_module_settings(PromptSettings(init_text="mine"), of(topic, "sk")).init_text == "mine"
    silent = load_task("topic", overrides={"labels": ["a", "b"], "prompt_init": None})
    assert task_module_settings(PromptSettings(), of(silent, "sk")).init == "vocab"
    assert task_module_settings(AdapterSettings(), of(topic, "sk")) == AdapterSettings()


def test_a_task_prompt_for_several_starts_from_the_texts_of_all():
    topic = load_task("topic", overrides={"labels": ["a", "b"]})
    ner = load_task("ner")
    both = task_module_settings(PromptSettings(), of(topic, "sk", "de"))
    assert both.init_text == "Determine the topic of the text in Slovak: Determine the topic of the text in German:"
    mixed = task_module_settings(PromptSettings(), [*of(topic, "sk"), *of(ner, "sk")]).init_text
    assert mixed == f"{topic.prompt_init('sk')} {ner.prompt_init('sk')}"
    words = task_module_settings(PromptSettings(init="classes"), of(topic, "sk", "de")).init_words
    assert words == ("a", "b")


def test_validation_without_decoding_is_the_loss_alone():
    backbone = shared("mt5")
    task = load_task("topic", overrides={"labels": ["a", "b"]})
    rows = task_rows(backbone, task, examples(4), "en")
    measure = TaskValidation(TaskData(task, "en", rows, rows, examples(4)), Composition(), with_score=False)
    with torch.no_grad():
        assert set(measure(ComposedModel(backbone))) == {"validation_loss"}
