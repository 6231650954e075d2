"""Ours -> theirs -> ours, and theirs -> ours -> theirs, to the bit; and what happens to the history on the way."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.errors import ModuleError, UnknownNameError, WrongBackboneError
from lingport.formats.load import export_module, load_module
from lingport.modules.base import new_module
from lingport.modules.store import save_module, weights_hash
from tests.conftest import GOLDEN
from tests.formats.conftest import FOLDERS, VARIANTS
from tests.tiny import FAMILIES, module, shared, tiny

ADAPTERS = {
    "as in the paper": {},
    "everywhere": {"places": ("feed_forward", "self_attention", "cross_attention"), "reads": "branch"},
    "parallel": {"reads": "input", "scaling": "channel", "non_linearity": "leaky_relu"},
    "uneven": {"layer_reductions": {1: 2, 2: 8}, "leave_out": (0,), "scaling": "learned"},
    "invertible": {"coupling_reduction": 2, "scaling": 0.25, "non_linearity": "gelu_new"},
}
PROMPTS = {"free": {}, "partly fixed": {"fixed_text": "a cat"}}


def exported(own, folder, backbone, to):
    own.provenance.role, own.provenance.language = "language", "sk"
    own.provenance.training = {"steps": 7, "final": {"score": 0.25}}
    own.provenance.above = {"name": "lp-en", "weights": "ab"}
    return export_module(own, folder, backbone, to=to, name="sk")


def assert_same(back, own):
    assert weights_hash(back) == weights_hash(own)
    assert back.settings == own.settings
    assert back.provenance == own.provenance
    assert back.num_trained == own.num_trained


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("settings", ADAPTERS.values(), ids=ADAPTERS)
def test_an_adapter_comes_back_as_it_left(settings, family, tmp_path):
    backbone = shared(family)
    own = new_module("adapter", AdapterSettings(reduction=4, init_std=0.3, **settings), backbone, seed=3)
    with torch.no_grad():
        for bias in (own.down_bias, own.up_bias):
            bias.copy_(torch.randn(bias.shape))
        for site, bottleneck in enumerate(own.bottlenecks):
            own.down_bias[site, bottleneck:] = 0
    exported(own, tmp_path / "theirs", backbone, "adapterhub")
    assert_same(load_module(tmp_path / "theirs", backbone), own)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("settings", PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_comes_back_as_it_left(settings, family, tmp_path):
    backbone = shared(family)
    own = new_module("prompt", PromptSettings(num_virtual_tokens=9, init="vocab", **settings), backbone, seed=3)
    exported(own, tmp_path / "theirs", backbone, "peft")
    assert len(load_file(tmp_path / "theirs" / "adapter_model.safetensors")["prompt_embeddings"]) == 9
    assert_same(load_module(tmp_path / "theirs", backbone), own)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_shorter_numbers_come_back_as_they_left(dtype, backbone, tmp_path):
    own = module("adapter", backbone).to(dtype)
    export_module(own, tmp_path / "theirs", backbone, to="adapterhub")
    assert weights_hash(load_module(tmp_path / "theirs", backbone)) == weights_hash(own)


@pytest.mark.parametrize("folder", VARIANTS, ids=lambda folder: folder.name)
def test_theirs_goes_back_as_it_came(folder, backbone, tmp_path):
    own = load_module(folder, backbone)
    save_module(own, tmp_path / "ours")
    export_module(load_module(tmp_path / "ours", backbone), tmp_path / "theirs", backbone, to="adapterhub", name="sk")
    before, after = (load_file(place / "adapter.safetensors") for place in (folder, tmp_path / "theirs"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((tmp_path / "theirs" / "adapter_config.json").read_text())
    theirs = json.loads((folder / "adapter_config.json").read_text())
    assert set(config) <= set(theirs)
    assert {key: config[key] for key in ("hidden_size", "model_class", "model_type", "name", "version")} == {
        key: theirs[key] for key in ("hidden_size", "model_class", "model_type", "name", "version")
    }


def test_without_its_history_it_is_a_foreign_module_of_the_same_bits(backbone, tmp_path):
    own = module("prompt", backbone)
    exported(own, tmp_path / "theirs", backbone, "peft")
    (tmp_path / "theirs" / "lingport.json").unlink()
    back = load_module(tmp_path / "theirs", backbone)
    assert weights_hash(back) == weights_hash(own)
    assert (back.provenance.role, back.provenance.origin["format"]) == ("", "peft")


def test_the_history_of_other_weights_is_left_out(backbone, tmp_path, caplog):
    own = module("prompt", backbone)
    folder = exported(own, tmp_path / "theirs", backbone, "peft")
    rows = load_file(folder / "adapter_model.safetensors")["prompt_embeddings"] + 1
    save_file({"prompt_embeddings": rows}, folder / "adapter_model.safetensors")
    back = load_module(folder, backbone)
    assert torch.equal(back.rows(), rows)
    assert back.provenance.role == ""
    assert "the history is left out" in caplog.text


def test_a_history_that_says_another_module_is_refused(backbone, tmp_path):
    folder = exported(module("adapter", backbone), tmp_path / "theirs", backbone, "adapterhub")
    history = json.loads((folder / "lingport.json").read_text())
    history["settings"]["non_linearity"] = "gelu"
    (folder / "lingport.json").write_text(json.dumps(history))
    with pytest.raises(ModuleError, match=r"differ in non_linearity"):
        load_module(folder, backbone)


def test_the_history_knows_the_backbone(tmp_path):
    backbone, sibling, stranger = shared("mt5"), tiny("mt5", seed=1), shared("umt5")
    folder = exported(module("adapter", backbone), tmp_path / "theirs", backbone, "adapterhub")
    with pytest.raises(WrongBackboneError, match="fingerprint"):
        load_module(folder, sibling)
    adopted = load_module(folder, sibling, allow_other_backbone=True)
    assert adopted.provenance.backbone_fingerprint == backbone.fingerprint
    for allowed in (False, True):
        with pytest.raises(WrongBackboneError):
            load_module(folder, stranger, allow_other_backbone=allowed)


@pytest.mark.parametrize(("kind", "to", "other"), [("prompt", "adapterhub", "peft"), ("adapter", "peft", "adapterhub")])
def test_a_format_refuses_what_it_cannot_hold(kind, to, other, backbone, tmp_path):
    with pytest.raises(ModuleError, match=kind) as caught:
        export_module(module(kind, backbone), tmp_path / "theirs", backbone, to=to)
    assert other in (caught.value.hint or "")
    with pytest.raises(ModuleError, match="full"):
        export_module(module("full", backbone), tmp_path / "theirs", backbone, to=to)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a.b", "/root", "", "a\nb", "a\\b"])
def test_a_name_that_adapters_would_not_take_is_refused(name, backbone, tmp_path):
    with pytest.raises(ModuleError, match="name"):
        export_module(module("adapter", backbone), tmp_path / "th.eirs", backbone, to="adapterhub", name=name)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_is_left_half_done(backbone, tmp_path, monkeypatch):
    own = module("adapter", backbone)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    with pytest.raises(ModuleError, match="something lies there already"):
        export_module(own, tmp_path / "mine", backbone, to="adapterhub")
    with pytest.raises(UnknownNameError, match="peftt"):
        export_module(own, tmp_path / "other", backbone, to="peftt")

    def full(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("lingport.formats.foreign.save_file", full)
    with pytest.raises(OSError, match="no space left"):
        export_module(own, tmp_path / "other", backbone, to="adapterhub")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_no_pickle_is_written_and_only_the_modules_tensors(backbone, tmp_path):
    for form, to, weights in (
        ("adapterhub pickled", "adapterhub", "adapter.safetensors"),
        ("paper", "peft", "adapter_model.safetensors"),
    ):
        own = load_module(FOLDERS[form], backbone)
        export_module(own, tmp_path / to, backbone, to=to)
        assert sorted(path.name for path in (tmp_path / to).iterdir()) == sorted(
            [weights, "adapter_config.json", "lingport.json"]
        )
        assert sum(value.numel() for value in load_file(tmp_path / to / weights).values()) == own.num_trained


def test_what_is_trained_on_the_golden_backbone_says_its_class(backbone, tmp_path):
    export_module(module("adapter", backbone), tmp_path / "t", backbone, to="adapterhub")
    config = json.loads((tmp_path / "t" / "adapter_config.json").read_text())
    assert config["model_name"] == str(GOLDEN / "base")
    assert config["model_class"] == "MT5ForConditionalGeneration"
