"""The public names, used as the README uses them."""

from __future__ import annotations

import json

import torch

import lingport as lp
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.modules.base import new_module
from tests.conftest import GOLDEN


def test_load_compose_run_and_save(tmp_path):
    backbone = lp.Backbone.load(str(GOLDEN / "base"), dtype="float32", device="cpu")
    made = {
        "lp-sk": new_module("prompt", PromptSettings(num_virtual_tokens=4, init="vocab"), backbone, seed=1),
        "ta-ner": new_module("adapter", AdapterSettings(reduction=4), backbone, seed=2),
    }
    for name, module in made.items():
        lp.save_module(module, tmp_path / name)
        assert {file.name for file in (tmp_path / name).iterdir()} == {"module.json", "weights.safetensors"}
    language, task = lp.load_module(tmp_path / "lp-sk", backbone), lp.load_module(tmp_path / "ta-ner", backbone)
    model = lp.ComposedModel(backbone)
    plain = model.rank(["a"], ["b", "c d", "e"])
    with model.using(lp.Composition(language=language, task=task)):
        out = model(
            input_ids=torch.tensor([[5, 6, 7, 1]]),
            attention_mask=torch.ones(1, 4, dtype=torch.long),
            labels=torch.tensor([[8, 9, 1]]),
        )
        texts = model.generate(["tag: Bratislava leží na Dunaji"], max_new_tokens=30)
        scores = model.rank(["a"], ["b", "c d", "e"])
    assert out.logits.shape == (1, 3, len(backbone.layout.input_embeddings.weight))
    assert out.loss is not None and out.loss.ndim == 0
    assert len(texts) == 1 and isinstance(texts[0], str)
    assert scores.shape == (1, 3) and (scores < 0).all() and not torch.equal(scores, plain)
    assert torch.equal(model.rank(["a"], ["b", "c d", "e"]), plain)
    assert json.loads((tmp_path / "ta-ner" / "module.json").read_text())["num_trained"] == made["ta-ner"].num_trained


def test_the_embedded_backbone_loads_and_gives_back_marked_words():
    backbone = lp.Backbone.load("nano", dtype="float32", device="cpu")
    assert backbone.sentinel_ids[:2] == [len(backbone.tokenizer) - 1, len(backbone.tokenizer) - 2]
    texts = ["marked: we live in [ a small house ] near the sea", "marked: dnes je [ pekný deň ] na výlet"]
    assert lp.ComposedModel(backbone).generate(texts, max_new_tokens=12) == ["a small house", "pekný deň"]
