"""Loading, dtypes, fingerprints, freezing; every way of asking wrongly."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingport.backbones import base
from lingport.backbones.base import Backbone
from lingport.errors import BackboneError, UnknownNameError
from tests.conftest import GOLDEN
from tests.tiny import FAMILIES, batch, shared, tiny


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(GOLDEN / "base", tmp_path / "base")


def config(folder, **changes):
    values = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(values))


def load(folder, **how):
    return Backbone.load(str(folder), **({"dtype": "float32", "device": "cpu"} | how))


def test_it_is_frozen_and_at_rest(backbone):
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert not any(part.training for part in backbone.model.modules())
    assert backbone.dtype == torch.float32
    assert backbone.device.type == "cpu"


def test_float16_is_refused_with_the_reason():
    with pytest.raises(BackboneError, match=r"overflow float16.*\n.*bfloat16 or float32"):
        load(GOLDEN / "base", dtype="float16")


@pytest.mark.parametrize(("has_bfloat16", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bfloat16_where_the_processor_computes_in_it(monkeypatch, has_bfloat16, expected):
    monkeypatch.setattr(base, "_computes_bfloat16", lambda device: has_bfloat16)
    assert load(GOLDEN / "base", dtype="auto").dtype == expected
    assert load(GOLDEN / "base", dtype="float32").dtype == torch.float32


def test_an_unknown_dtype_names_the_nearest():
    with pytest.raises(BackboneError, match="did you mean 'bfloat16'"):
        load(GOLDEN / "base", dtype="bfloat")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load(GOLDEN / "base", device="auto").device.type == "cpu"
    with pytest.raises(BackboneError, match="no CUDA device"):
        load(GOLDEN / "base", device="cuda:0")
    with pytest.raises(BackboneError, match="unknown device 'gpu'"):
        load(GOLDEN / "base", device="gpu")


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BackboneError, match="cannot load the backbone") as caught:
        load(tmp_path)
    assert "config.json" in (caught.value.hint or "")


def test_an_unknown_family_is_refused(folder):
    config(folder, model_type="bart", architectures=["BartForConditionalGeneration"])
    with pytest.raises(BackboneError, match="'bart' model, a family that is not supported") as caught:
        load(folder)
    assert "mt5" in (caught.value.hint or "")


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors"])
def test_broken_files_are_refused(folder, broken):
    data = (folder / broken).read_bytes()
    (folder / broken).write_bytes(data[: len(data) // 2])
    with pytest.raises(BackboneError, match="cannot load the backbone"):
        load(folder)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_missing_files_are_refused(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(BackboneError, match="cannot load the backbone"):
        load(folder)


def test_missing_weights_are_not_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.block.0.layer.2.DenseReluDense.wo.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"lack 1 weights, decoder.block.0.layer.2"):
        load(folder)


@pytest.mark.parametrize(
    "missing", [["tokenizer.json"], ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]]
)
def test_an_empty_tokenizer_is_not_made_up(folder, missing):
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(BackboneError, match="cannot load the backbone"):
        load(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_loaded_from_files(family, tmp_path):
    own = shared(family)
    own.model.save_pretrained(tmp_path)
    own.tokenizer.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert loaded.fingerprint == own.fingerprint
    assert type(loaded.layout) is type(own.layout)
    assert loaded.special_ids == own.special_ids


def test_the_fingerprint_is_the_same_in_every_dtype(backbone):
    half = load(GOLDEN / "base", dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert half.fingerprint == backbone.fingerprint
    assert half.weights_hash() != backbone.weights_hash()


def test_the_fingerprint_is_of_the_weights_not_of_the_name(folder, backbone):
    assert load(folder).fingerprint == backbone.fingerprint
    config(folder, _name_or_path="elsewhere", transformers_version="1.2.3")
    assert load(folder).fingerprint == backbone.fingerprint


def test_the_fingerprint_changes_with_one_weight_and_with_the_architecture(folder, backbone):
    changed = load(folder)
    with torch.no_grad():
        changed.layout.input_embeddings.weight[7, 3] += 0.25
    assert changed.fingerprint != backbone.fingerprint
    config(folder, relative_attention_max_distance=64)
    assert load(folder).fingerprint != backbone.fingerprint


def test_the_weights_hash_sees_the_last_bit():
    own = tiny("t5")
    before = own.weights_hash()
    with torch.no_grad():
        weight = own.layout.input_embeddings.weight
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))
    assert own.weights_hash() != before


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_acts_within_the_block_and_is_put_back(family):
    own, inputs = shared(family), batch(shared(family))

    def logits(seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            return own.model(**inputs).logits

    plain = logits(0)
    rates = [part.p for part in own.model.modules() if isinstance(part, torch.nn.Dropout)]
    assert set(rates) == {0.1}
    with own.dropout(0.5):
        assert {part.p for part in own.model.modules() if isinstance(part, torch.nn.Dropout)} == {0.5}
        assert not torch.equal(logits(0), logits(1))
        assert torch.equal(logits(0), logits(0))
        with own.dropout(0.0):
            assert torch.equal(logits(0), plain)
        assert own.layout.dropout == 0.5 and own.model.training
    assert [part.p for part in own.model.modules() if isinstance(part, torch.nn.Dropout)] == rates
    assert not any(part.training for part in own.model.modules())
    assert torch.equal(logits(1), plain)


def test_dropout_is_put_back_after_an_error():
    own = shared("t5")
    with pytest.raises(ZeroDivisionError), own.dropout(0.3):
        raise ZeroDivisionError
    assert own.layout.dropout == 0.1 and not own.model.training


def test_dropout_of_none_is_the_backbones_own():
    assert shared("t5").dropout_rate(None) == 0.1
    assert shared("t5").dropout_rate(0.0) == 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_sites_are_the_feed_forward_sublayers_encoder_first(family):
    own = shared(family)
    sites = own.layout.sites("feed_forward")
    assert [site.name for site in sites] == [
        "encoder.0.feed_forward",
        "encoder.1.feed_forward",
        "decoder.0.feed_forward",
    ]
    for site in sites:
        assert "FF" in type(own.model.get_submodule(site.path)).__name__
        assert site.width == own.layout.width
    with pytest.raises(UnknownNameError, match="no place 'feedforward'"):
        own.layout.sites("feedforward")


def test_embed_gives_a_copy(backbone):
    rows = backbone.embed([5, 5, 7])
    assert torch.equal(rows, backbone.layout.input_embeddings.weight[[5, 5, 7]])
    rows.zero_()
    assert backbone.layout.input_embeddings.weight[5].abs().sum() > 0
    assert backbone.embed([]).shape == (0, 32)
