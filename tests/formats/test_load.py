"""Which format a folder has, what is asked of the hub, and which backbones are taken."""

from __future__ import annotations

import pickle
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch

import lingport as lp
from lingport.compose.composition import Composition
from lingport.errors import ModuleError, WrongBackboneError
from lingport.formats import load
from lingport.formats.load import load_module, stated_backbone
from lingport.formats.pickled import read_pickled
from lingport.modules.store import load_module as load_own
from lingport.modules.store import save_module, weights_hash
from tests.conftest import GOLDEN
from tests.formats.conftest import FOLDERS, change, logits
from tests.tiny import module, shared, tiny


def test_the_public_name_reads_every_format(backbone):
    assert lp.load_module is load_module
    for folder in FOLDERS.values():
        assert lp.load_module(folder, backbone).num_trained > 0
        assert lp.load_module(str(folder), backbone).num_trained > 0


def test_our_own_format_goes_first_and_keeps_its_rules(backbone, tmp_path):
    own = module("adapter", backbone)
    save_module(own, tmp_path / "m")
    shutil.copytree(FOLDERS["peft"], tmp_path / "m", dirs_exist_ok=True)
    assert weights_hash(load_module(tmp_path / "m", backbone)) == weights_hash(own)
    with pytest.raises(WrongBackboneError, match="fingerprint"):
        load_module(tmp_path / "m", tiny("mt5"))


def test_an_own_module_of_a_sibling_is_taken_where_that_is_said(tmp_path):
    save_module(module("adapter", shared("mt5")), tmp_path / "m")
    sibling = tiny("mt5", seed=1)
    own = load_module(tmp_path / "m", sibling, allow_other_backbone=True)
    assert weights_hash(own) == weights_hash(load_own(tmp_path / "m", shared("mt5")))


@pytest.mark.parametrize("place", ["nowhere", "./a/b", "a/b/c", "", "a b/c", "https://huggingface.co/a/b", "a\0/b"])
def test_a_place_that_is_none_is_named(place, backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleError) as caught:
        load_module(place, backbone)
    assert "user/name" in str(caught.value) or "no module of a known format" in str(caught.value)


def test_a_file_and_a_folder_of_something_else_are_named(backbone, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModuleError, match=r"adapter\.safetensors"):
        load_module(tmp_path, backbone)
    with pytest.raises(ModuleError, match="no such folder"):
        load_module(tmp_path / "notes.txt", backbone)


def test_a_bundle_is_not_a_module(backbone, tmp_path):
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(ModuleError, match="a whole bundle"):
        load_module(tmp_path, backbone)


def test_a_folder_has_no_revision(backbone):
    with pytest.raises(ModuleError, match="no revisions"):
        load_module(FOLDERS["peft"], backbone, revision="main")


def test_the_hub_is_asked_for_a_name_and_its_commit_is_kept(backbone, monkeypatch):
    asked = []

    def fetch(repo_id, *, revision=None):
        asked.append((repo_id, revision))
        return FOLDERS["paper"]

    fake = SimpleNamespace(fetch=fetch, origin_of=lambda repo_id, _folder: {"repository": repo_id, "commit": "c0ffee"})
    monkeypatch.setitem(sys.modules, "lingport.hub", fake)
    monkeypatch.setattr(lp, "hub", fake, raising=False)
    prompt = load_module("ivykopal/slovak_prompt_100k", backbone, revision="v1")
    assert asked == [("ivykopal/slovak_prompt_100k", "v1")]
    assert prompt.provenance.origin is not None
    assert prompt.provenance.origin["repository"] == "ivykopal/slovak_prompt_100k"
    assert prompt.provenance.origin["commit"] == "c0ffee"
    assert prompt.provenance.origin["format"] == "paper"


@pytest.mark.parametrize(("form", "key"), [("adapterhub", "model_name"), ("paper", "base_model_name_or_path")])
def test_a_backbone_of_another_name_on_the_hub_is_refused(form, key, backbone, copy, monkeypatch, caplog):
    folder = copy(form)
    monkeypatch.setattr(backbone, "name", "bigscience/mt0-base")
    change(folder, **{key: "bigscience/mt0-base"})
    load_module(folder, backbone)
    change(folder, **{key: "google/mt5-base"})
    with pytest.raises(WrongBackboneError, match=r"'google/mt5-base'.*not on 'bigscience/mt0-base'"):
        load_module(folder, backbone)
    module = load_module(folder, backbone, allow_other_backbone=True)
    assert "google/mt5-base" in caplog.text
    assert module.provenance.origin is not None and module.provenance.origin["model_name"] == "google/mt5-base"


def test_what_a_folder_says_of_its_backbone():
    assert stated_backbone(FOLDERS["adapterhub pickled"]) == "google/mt5-base"
    assert stated_backbone(FOLDERS["paper"]) == "bigscience/mt0-base"
    assert stated_backbone(GOLDEN) is None


def test_a_foreign_module_composes_with_ours_and_saves_as_ours(backbone, inputs, tmp_path):
    foreign, own = load_module(FOLDERS["adapterhub"], backbone), module("prompt", backbone)
    save_module(foreign, tmp_path / "m")
    again = load_module(tmp_path / "m", backbone)
    assert again.provenance == foreign.provenance
    model = lp.ComposedModel(backbone)
    with torch.no_grad(), model.using(Composition(foreign, own)):
        model(**inputs)
    assert torch.equal(logits(backbone, again, inputs), logits(backbone, foreign, inputs))


def test_a_file_that_may_not_be_read_is_named(backbone, copy, monkeypatch):
    folder = copy("adapterhub")

    def refuse(*_args):
        raise PermissionError(13, "Permission denied", str(folder / "adapter.safetensors"))

    monkeypatch.setattr("lingport.formats.adapterhub.read_weights", refuse)
    with pytest.raises(ModuleError, match="cannot be read: Permission denied") as caught:
        load_module(folder, backbone)
    assert caught.value.where == str(folder / "adapter.safetensors")


@pytest.mark.parametrize("wrap", [torch.nn.Parameter, lambda value: value], ids=["parameters", "tensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_ordinary_pickled_tensors_are_read_to_the_bit(wrap, dtype, tmp_path):
    tensors = {"a": torch.randn(3, 4, dtype=dtype), "b": torch.randn(2, dtype=dtype), "c": torch.randn(0, 4).to(dtype)}
    torch.save({name: wrap(value) for name, value in tensors.items()}, tmp_path / "x.bin")
    found = read_pickled(tmp_path / "x.bin")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert not any(value.requires_grad for value in found.values())


def test_a_transposed_tensor_is_read_as_it_is_seen(tmp_path):
    turned = torch.randn(3, 5).T
    torch.save({"a": turned}, tmp_path / "x.bin")
    found = read_pickled(tmp_path / "x.bin")["a"]
    assert torch.equal(found, turned) and found.is_contiguous()


def test_a_slice_does_not_drag_its_whole_along(tmp_path):
    whole = torch.randn(1000, 4)
    torch.save({"prompt_embeddings": whole[:5]}, tmp_path / "x.bin")
    assert read_pickled(tmp_path / "x.bin")["prompt_embeddings"].untyped_storage().nbytes() == 5 * 4 * 4


def test_pickled_files_of_every_protocol_that_torch_offers(tmp_path):
    """Protocol 2 is what torch.save writes; the others name things in ways that are refused."""
    torch.save({"a": torch.zeros(2)}, tmp_path / "x.bin", pickle_protocol=2)
    read_pickled(tmp_path / "x.bin")
    torch.save({"a": torch.zeros(2)}, tmp_path / "x.bin", pickle_protocol=pickle.HIGHEST_PROTOCOL)
    with pytest.raises(ModuleError, match="STACK_GLOBAL"):
        read_pickled(tmp_path / "x.bin")


def test_every_writer_is_of_a_format_that_is_read():
    assert set(load.WRITERS) <= {reader.NAME for reader in load.READERS}


def test_loading_and_attaching_copies_nothing_of_the_backbone(backbone, inputs):
    places = {name: value.data_ptr() for name, value in backbone.model.named_parameters()}
    theirs = set(places.values())
    model = lp.ComposedModel(backbone)
    for folder in FOLDERS.values():
        loaded = load_module(folder, backbone)
        with torch.no_grad(), model.using(Composition(task=loaded)):
            model(**inputs)
            assert {name: value.data_ptr() for name, value in backbone.model.named_parameters()} == places
        tensors = loaded.state_dict().values()
        assert sum(value.untyped_storage().nbytes() for value in tensors) == sum(value.nbytes for value in tensors)
        assert not theirs & {value.data_ptr() for value in tensors if value.numel()}
