"""Pretraining end to end on a tiny recipe: it learns, stops and goes on, and what it writes loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from lingport.errors import ConfigError, DataError, TrainingError
from lingport.pretrain import loop
from lingport.pretrain.evaluate import evaluate_backbone
from lingport.pretrain.loop import pretrain, rate_factor
from lingport.pretrain.recipe import Point, Stage, read_recipe


class StopHereError(Exception):
    """Stands for a kill."""


def test_a_run_gives_a_backbone_that_transformers_loads(tiny_recipe, tmp_path):
    seen: list[dict[str, Any]] = []
    folder = pretrain(tiny_recipe, tmp_path / "run", seen.append)
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == len(tokenizer) == 420
    assert model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr()
    assert [line["event"] for line in seen] == ["start", "train", "train"]
    lines = (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == seen
    assert seen[-1]["step"] == 4
    assert (tmp_path / "run" / "snapshot" / "model.safetensors").exists()
    table = evaluate_backbone(folder, read_recipe(tiny_recipe))
    assert set(table["languages"]["en"]) >= {"loss", "unigram", "marked", "marked_5"}


def test_a_stopped_run_ends_in_the_same_weights(tiny_recipe, tmp_path, monkeypatch):
    whole = pretrain(tiny_recipe, tmp_path / "whole")
    tiny_recipe["vocabulary"]["path"] = str(tmp_path / "whole" / "vocabulary")
    tiny_recipe["checkpoint_minutes"] = 1e-9
    take_step = loop._step

    def stopping(run, stage, batch):
        if run.clock.total_steps == 3:
            raise StopHereError
        return take_step(run, stage, batch)

    monkeypatch.setattr(loop, "_step", stopping)
    with pytest.raises(StopHereError):
        pretrain(tiny_recipe, tmp_path / "stopped")
    monkeypatch.undo()
    stopped = pretrain(tiny_recipe, tmp_path / "stopped")
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, stopped))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_more_steps_lower_the_loss(tiny_recipe, tmp_path):
    tiny_recipe["stages"] = [{**tiny_recipe["stages"][0], "steps": 25, "candidates": 0}]
    seen: list[dict[str, Any]] = []
    tiny_recipe["validation"]["every_minutes"] = 1e-9
    pretrain(tiny_recipe, tmp_path / "run", seen.append)
    losses = [line["loss"] for line in seen if line["event"] == "train"]
    assert losses[-1] < losses[0] - 0.5


def test_a_run_goes_on_from_a_backbone_and_says_what_texts_are_about(tiny_recipe, tmp_path):
    first = pretrain(tiny_recipe, tmp_path / "first")
    (tmp_path / "en").mkdir()
    symbols = {"C": {"tts": ["cat"]}, "H": {"tts": ["house"], "default": ["tree"]}}
    (tmp_path / "en" / "annotations.json").write_text(json.dumps({"annotations": {"annotations": symbols}}))
    tiny_recipe |= {"start": str(first), "annotations": str(tmp_path),
                    "stages": [{**tiny_recipe["stages"][0], "steps": 4, "learning_rate": 1e-9,
                                "embedding_rate": 1e-9, "meaning": 2.0}]}  # fmt: skip
    seen: list[dict[str, Any]] = []
    second = pretrain(tiny_recipe, tmp_path / "second", seen.append)
    assert 0 < seen[-1]["meaning_loss"] < 2
    before, after = (load_file(folder / "model.safetensors") for folder in (first, second))
    for name in before:
        torch.testing.assert_close(before[name], after[name], atol=1e-3, rtol=1e-2)
    tokenizers = [AutoTokenizer.from_pretrained(folder).get_vocab() for folder in (first, second)]
    assert tokenizers[0] == tokenizers[1]
    tiny_recipe["model"]["num_layers"] = 2
    with pytest.raises(ConfigError, match=r"num_layers 1"):
        pretrain(tiny_recipe, tmp_path / "third")
    tiny_recipe["start"] = str(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no backbone"):
        pretrain(tiny_recipe, tmp_path / "third")


def test_a_folder_of_another_recipe_is_refused(tiny_recipe, tmp_path):
    tiny_recipe["stages"] = tiny_recipe["stages"][:1]
    pretrain(tiny_recipe, tmp_path)
    tiny_recipe["seed"] = 2
    with pytest.raises(TrainingError, match="another recipe"):
        pretrain(tiny_recipe, tmp_path)


def test_annotations_that_are_not_there_are_refused_before_anything_is_made(tiny_recipe, tmp_path):
    tiny_recipe["annotations"] = str(tmp_path / "cldr")
    with pytest.raises(DataError, match="no annotations"):
        pretrain(tiny_recipe, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_unknown_keys_and_values_are_refused_together(tiny_recipe, tmp_path):
    tiny_recipe["modle"] = 1
    tiny_recipe["stages"][0]["hours"] = 1.0
    with pytest.raises(ConfigError) as caught:
        read_recipe(tiny_recipe)
    assert "modle" in str(caught.value)
    assert "stages.0" in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml")


def test_the_shipped_recipe_is_valid():
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / "nano.yaml")
    assert len(recipe.languages) == 16
    known = {name for stage in recipe.stages for point in stage.curriculum for name in point.mixture}
    from lingport.pretrain.denoise import DENOISERS
    from lingport.pretrain.fact_tasks import FACT_TASKS
    from lingport.pretrain.topics import TOPIC_TASKS
    from lingport.pretrain.word_tasks import WORD_TASKS

    assert known <= {*DENOISERS, *WORD_TASKS, *FACT_TASKS, *TOPIC_TASKS}


def test_the_rate_rises_stays_and_falls():
    stage = Stage(
        name="x", steps=10, warmup=0.2, decay=0.4, end_factor=0.1,
        curriculum=[Point(at=0, mixture={"copy": 1.0}, length=8)],
    )  # fmt: skip
    factors = [rate_factor(stage, fraction) for fraction in (0.1, 0.2, 0.6, 0.8, 1.0)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 0.55, 0.1])
