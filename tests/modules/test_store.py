"""Module files: whole or not at all, and every broken one is refused with the reason."""

from __future__ import annotations

import json
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingport.errors import InputError, ModuleError
from lingport.modules import store
from lingport.modules.files import sha256
from lingport.modules.store import load_module, read_manifest, save_module
from tests.tiny import module


@pytest.fixture
def saved(backbone, tmp_path):
    save_module(module("adapter", backbone), tmp_path / "deep" / "m")
    return tmp_path / "deep" / "m"


def change(folder, **values):
    manifest = json.loads((folder / "module.json").read_text())
    for key, value in values.items():
        if value is KeyError:
            del manifest[key]
        else:
            manifest[key] = value
    (folder / "module.json").write_text(json.dumps(manifest))


def with_tensors(folder, edit):
    tensors = load_file(folder / "weights.safetensors")
    edit(tensors)
    save_file(tensors, folder / "weights.safetensors")
    change(folder, weights_sha256=sha256(folder / "weights.safetensors"))


def poison(tensors):
    tensors["down_bias"][0, 0] = float("nan")


def infinite(tensors):
    tensors["up_bias"][0, 0] = float("inf")


def reshape(tensors):
    tensors["up_weight"] = tensors["up_weight"][:, :, :1].clone()


def fewer_sites(tensors):
    for name in list(tensors):
        tensors[name] = tensors[name][:2].clone()


def flat(tensors):
    tensors["down_weight"] = tensors["down_weight"].flatten()


def without(tensors):
    del tensors["up_bias"]


def one_more(tensors):
    tensors["extra"] = torch.zeros(2)


def cut(folder):
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[: len(data) // 2])


def flip(folder):
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(data))


def not_safetensors(folder):
    (folder / "weights.safetensors").write_bytes(b"PK\x03\x04 a pickle, perhaps")
    change(folder, weights_sha256=sha256(folder / "weights.safetensors"))


def huge_header(folder):
    header = (b'{"a":' + b" " * 3_000_000 + b"1}").ljust(4_000_000)
    (folder / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    change(folder, weights_sha256=sha256(folder / "weights.safetensors"))


BROKEN = {
    "no manifest": (lambda f: (f / "module.json").unlink(), "module.json is missing"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors is missing"),
    "no JSON": (lambda f: (f / "module.json").write_text('{"format": 1,'), "not valid JSON"),
    "not UTF-8": (lambda f: (f / "module.json").write_bytes(b'{"a": "\xff"}'), "not valid JSON"),
    "a list": (lambda f: (f / "module.json").write_text("[1]"), "no mapping"),
    "nested too deeply": (lambda f: (f / "module.json").write_text('{"a":' * 100_000), "nested too deeply"),
    "a number without end": (lambda f: (f / "module.json").write_text('{"a": ' + "9" * 9000 + "}"), "not valid JSON"),
    "too much JSON": (lambda f: (f / "module.json").write_text(" " * 2_000_000 + "{}"), "bytes of settings"),
    "huge header": (huge_header, "a header of"),
    "missing key": (lambda f: change(f, settings=KeyError), "settings"),
    "extra key": (lambda f: change(f, surplus=1), "surplus"),
    "newer format": (lambda f: change(f, format=2), "format 2, this version reads 1"),
    "unknown kind": (lambda f: change(f, kind="adaptor"), "adaptor"),
    "kind no word": (lambda f: change(f, kind=["adapter"]), "kind"),
    "bad settings": (lambda f: change(f, settings={"reduction": "half"}), "settings or provenance are broken"),
    "extra setting": (lambda f: change(f, settings={"surplus": 1}), "settings or provenance are broken"),
    "bad provenance": (lambda f: change(f, provenance={"surplus": 1}), "settings or provenance are broken"),
    "provenance no mapping": (lambda f: change(f, provenance=3), "settings or provenance are broken"),
    "provenance of wrong type": (
        lambda f: change(f, provenance={"backbone_fingerprint": 3}),
        "settings or provenance are broken",
    ),
    "truncated": (cut, "damaged, truncated or exchanged"),
    "changed byte": (flip, "damaged, truncated or exchanged"),
    "checksum of nothing": (lambda f: change(f, weights_sha256=None), "damaged, truncated or exchanged"),
    "not safetensors": (not_safetensors, "not a safetensors file"),
    "NaN": (lambda f: with_tensors(f, poison), "NaN or infinity"),
    "infinity": (lambda f: with_tensors(f, infinite), "NaN or infinity"),
    "wrong shape": (lambda f: with_tensors(f, reshape), "up_weight"),
    "too few sites": (lambda f: with_tensors(f, fewer_sites), "sublayers"),
    "flat": (lambda f: with_tensors(f, flat), "down_weight"),
    "missing tensor": (lambda f: with_tensors(f, without), "up_bias"),
    "extra tensor": (lambda f: with_tensors(f, one_more), "extra"),
    "another kind": (lambda f: change(f, kind="prompt", settings={}), "'prompt'"),
    "no folder": (shutil.rmtree, "no module here"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_module_is_refused_at_once_and_left_as_it_is(case, backbone, saved):
    spoil, said = BROKEN[case]
    spoil(saved)
    before = {path: path.read_bytes() for path in saved.parent.rglob("*") if path.is_file()}
    start = time.perf_counter()
    with pytest.raises(InputError, match=said) as caught:
        load_module(saved, backbone)
    assert isinstance(caught.value, ModuleError)
    assert time.perf_counter() - start < 2
    assert {path: path.read_bytes() for path in saved.parent.rglob("*") if path.is_file()} == before


def test_only_the_modules_own_tensors_and_a_readable_manifest_are_written(backbone, saved):
    assert sorted(path.name for path in saved.iterdir()) == ["module.json", "weights.safetensors"]
    assert set(load_file(saved / "weights.safetensors")) == {"down_weight", "down_bias", "up_weight", "up_bias"}
    manifest = read_manifest(saved)
    assert manifest["kind"] == "adapter"
    assert manifest["provenance"]["backbone_fingerprint"] == backbone.fingerprint
    assert manifest["num_trained"] == load_module(saved, backbone).num_trained
    assert sorted(path.name for path in saved.parent.iterdir()) == ["m"]


def test_provenance_survives(backbone, tmp_path):
    own = module("prompt", backbone)
    own.provenance.language, own.provenance.above = "sk", {"name": "lp-sk", "weights": "ab"}
    own.provenance.training = {"steps": 3, "final": {"f1": 0.5}}
    save_module(own, tmp_path / "m")
    assert load_module(tmp_path / "m", backbone).provenance == own.provenance


def test_nothing_is_overwritten_without_being_told(backbone, saved, tmp_path):
    before = (saved / "weights.safetensors").read_bytes()
    with pytest.raises(ModuleError, match="something lies there already"):
        save_module(module("adapter", backbone, seed=1), saved)
    assert (saved / "weights.safetensors").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    with pytest.raises(ModuleError, match="something lies there already"):
        save_module(module("adapter", backbone), tmp_path / "mine", replace=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not lose"


def test_replace_puts_the_new_module_in_place_and_leaves_nothing_behind(backbone, saved):
    newer = module("prompt", backbone, seed=1)
    save_module(newer, saved, replace=True)
    assert torch.equal(load_module(saved, backbone).rows(), newer.rows())
    assert [path.name for path in saved.parent.iterdir()] == ["m"]


def test_a_save_that_fails_leaves_the_old_module(backbone, saved, monkeypatch):
    before = (saved / "weights.safetensors").read_bytes()

    def broken(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(store, "save_file", broken)
    with pytest.raises(OSError, match="no space left"):
        save_module(module("adapter", backbone, seed=1), saved, replace=True)
    assert (saved / "weights.safetensors").read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["m"]


def test_a_kill_while_replacing_never_leaves_half_a_module(backbone, saved, monkeypatch):
    """Whatever is under the name is a whole module or nothing, so the old one may not be taken apart in place."""

    def killed(folder, *_args, **_kwargs):
        if folder == saved:
            raise KeyboardInterrupt

    monkeypatch.setattr(store.shutil, "rmtree", killed)
    save_module(module("adapter", backbone, seed=1), saved, replace=True)
    load_module(saved, backbone)
