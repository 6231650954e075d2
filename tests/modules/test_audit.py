"""The audit finds what was planted, and lets a usual module pass."""

from __future__ import annotations

import pytest
import torch

from lingport.config.modules import AdapterSettings, FullSettings, PromptSettings
from lingport.modules.audit import audit, nearest_tokens
from lingport.modules.base import KINDS, new_module
from tests.tiny import FAMILIES, module, shared, tiny

ROWS = 12
SENTENCE = "the hen sat on the red bed"


@pytest.fixture
def backbone():
    return shared("mt5")


@pytest.fixture
def prompt(backbone):
    """A prompt as training leaves it: near its text, away from every token."""
    made = new_module("prompt", PromptSettings(num_virtual_tokens=ROWS, init="vocab"), backbone, seed=3)
    noise = torch.randn(ROWS, backbone.layout.width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.prompt.add_(noise)
    return made


@pytest.fixture
def adapter(backbone):
    return new_module("adapter", AdapterSettings(reduction=2, init_std=0.1), backbone, seed=1)


def test_a_usual_prompt_gives_no_warning(prompt, backbone):
    found = audit(prompt, backbone)
    assert found.warnings == []
    assert len(found.virtual_tokens) == ROWS
    row = found.virtual_tokens[4]
    assert row["norm"] == pytest.approx(prompt.prompt[4].norm().item(), rel=1e-5)
    assert row["ratio"] == pytest.approx(row["norm"] / found.vocabulary["median_norm"], rel=1e-5)
    assert [near["cosine"] for near in row["nearest"]] == sorted((n["cosine"] for n in row["nearest"]), reverse=True)


def test_the_nearest_tokens_are_those_of_a_plain_search(prompt, backbone, monkeypatch):
    table = backbone.layout.input_embeddings.weight[: len(backbone.tokenizer)]
    cosines = torch.nn.functional.cosine_similarity(prompt.prompt[:, None], table[None], dim=2)
    expected = cosines.topk(5, dim=1)
    for size in (8192, 7):  # in one piece, and in pieces smaller than what is looked for
        monkeypatch.setattr("lingport.modules.audit._CHUNK", size)
        found, ids = nearest_tokens(prompt.prompt, backbone, num=5)
        assert torch.equal(ids, expected.indices)
        assert torch.allclose(found, expected.values, atol=1e-6)


def test_text_in_the_rows_is_read_out(prompt, backbone):
    ids = backbone.tokenizer(SENTENCE, add_special_tokens=False).input_ids[: ROWS - 3]
    with torch.no_grad():
        prompt.prompt[2 : 2 + len(ids)] = 1.7 * backbone.embed(ids)  # longer, but in the same direction
    (warning,) = [each for each in audit(prompt, backbone).warnings if "read as text" in each]
    assert f"rows 2 to {1 + len(ids)}" in warning
    assert backbone.tokenizer.decode(ids) in warning


def test_the_text_that_a_prompt_says_it_starts_from_is_no_surprise(backbone):
    settings = PromptSettings(num_virtual_tokens=ROWS, init="text", init_text=SENTENCE)
    assert not [each for each in audit(new_module("prompt", settings, backbone), backbone).warnings if "text" in each]


def test_dead_doubled_and_outstanding_rows(prompt, backbone):
    with torch.no_grad():
        prompt.prompt[1] = 0
        prompt.prompt[5] = prompt.prompt[3]
        prompt.prompt[7] *= 20
    found = audit(prompt, backbone)
    odd = {row["row"]: row["odd"] for row in found.virtual_tokens if row["odd"]}
    assert odd == {1: ["dead"], 5: ["same as 3"], 7: ["norm stands out"]}
    assert len(found.warnings) == 3
    assert any("longer than any token" in note for note in found.notes)
    (tensor,) = [each for each in found.tensors if each["name"] == "prompt"]
    assert (tensor["dead_rows"], tensor["duplicate_rows"]) == (1, 1)


def test_fixed_rows_are_audited_too(backbone):
    settings = PromptSettings(num_virtual_tokens=ROWS, init="vocab", fixed_text="the hen")
    made = new_module("prompt", settings, backbone)
    found = audit(made, backbone)
    assert len(found.virtual_tokens) == ROWS
    ids = backbone.tokenizer("the hen", add_special_tokens=False).input_ids
    assert [row["nearest"][0]["id"] for row in found.virtual_tokens[: len(ids)]] == ids
    assert found.virtual_tokens[0]["nearest"][0]["cosine"] == pytest.approx(1, abs=1e-5)


def test_gain_per_block(adapter, backbone):
    found = audit(adapter, backbone)
    assert [each["site"] for each in found.sites] == [site.name for site in backbone.layout.sites("feed_forward")]
    assert found.warnings == []
    assert all(0 < each["gain"] <= each["largest_gain"] for each in found.sites)
    with torch.no_grad():
        adapter.up_weight.mul_(2)
    doubled = audit(adapter, backbone)  # without biases the change is linear in it
    for before, after in zip(found.sites, doubled.sites, strict=True):
        assert after["gain"] == pytest.approx(2 * before["gain"], rel=1e-4)


def test_an_overwriting_block(adapter, backbone):
    with torch.no_grad():
        adapter.up_weight[1] *= 500
    warnings = audit(adapter, backbone).warnings
    assert any("change hidden states by more than their own size: encoder.1.feed_forward" in each for each in warnings)


def test_an_outstanding_block():
    deep = tiny("mt5", num_layers=3, num_decoder_layers=3)
    made = new_module("adapter", AdapterSettings(reduction=2, init_std=0.01), deep, seed=1)
    assert audit(made, deep).warnings == []
    with torch.no_grad():
        made.up_weight[4] *= 30
    (warning,) = audit(made, deep).warnings
    assert "decoder.1.feed_forward" in warning and "stands out" in warning


def test_an_emptied_adapter(adapter, backbone):
    with torch.no_grad():
        adapter.up_weight.zero_()
    found = audit(adapter, backbone)
    assert any("no site changes anything" in each for each in found.warnings)
    assert any("'up_weight' are zero" in each for each in found.notes)


def test_which_weights_were_changed(backbone):
    made = new_module("full", FullSettings(), backbone)
    with torch.no_grad():
        for value in made.parameters():
            value.add_(value.abs().mean() * 0.01)
        made.weights["encoder/block/1/layer/1/DenseReluDense/wo/weight"].mul_(3)
    found = audit(made, backbone)
    (warning,) = found.warnings
    assert "encoder.block.1.layer.1.DenseReluDense.wo.weight" in warning
    assert len(found.weights) == len(list(backbone.model.parameters()))


@pytest.mark.parametrize(("kind", "family"), [(kind, family) for kind in KINDS for family in FAMILIES])
def test_every_kind_in_every_family_the_same_twice_and_the_backbone_untouched(kind, family):
    backbone = shared(family)
    made, before = module(kind, backbone), backbone.weights_hash()
    found = audit(made, backbone)
    assert found == audit(made, backbone)
    assert found.virtual_tokens or found.sites or found.weights
    assert {each["name"] for each in found.tensors} == set(made.state_dict())
    assert backbone.weights_hash() == before
    assert not any(part._forward_hooks for part in backbone.model.modules())
