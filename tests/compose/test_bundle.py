"""Bundles: whole or not at all, used by language, refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from lingport.compose.bundle import Bundle, load_bundle, read_bundle, save_bundle
from lingport.compose.model import ComposedModel
from lingport.errors import InputError, ModuleError, WrongBackboneError
from lingport.modules.store import load_module, save_module, weights_hash
from tests.tiny import module, shared, tiny

TASK = {"name": "topic", "form": "classify", "input": "{text}", "labels": ["a", "b"]}


@pytest.fixture
def backbone():
    return shared("mt5")


@pytest.fixture
def parts(backbone, tmp_path) -> Path:
    """Folders of modules: prompts lp-sk and lp-de, adapter ta."""
    for seed, (name, kind) in enumerate((("lp-sk", "prompt"), ("lp-de", "prompt"), ("ta", "adapter"))):
        save_module(module(kind, backbone, seed=seed), tmp_path / "modules" / name)
    return tmp_path / "modules"


def save(backbone, parts: Path, folder: Path, **changes) -> Path:
    asked = {
        "backbone": {"name": backbone.name, "fingerprint": backbone.fingerprint},
        "configuration": "lp+ta",
        "fusion": "concat",
        "languages": {"sk": parts / "lp-sk", "de": parts / "lp-de"},
        "task": parts / "ta",
        "task_definition": TASK,
        "evidence": {"notes": ["chosen by hand"]},
    }
    return save_bundle(folder, **(asked | changes))


def test_it_gives_the_composition_of_each_language(backbone, parts, tmp_path):
    folder = save(backbone, parts, tmp_path / "deep" / "bundle")
    manifest = read_bundle(folder)
    assert (manifest.languages, manifest.task, manifest.configuration) == (("de", "sk"), TASK, "lp+ta")
    bundle = load_bundle(folder, backbone)
    model, texts = ComposedModel(backbone), ["a cat sat", "tea"]
    for code in ("sk", "de"):
        composition = bundle.composition(code)
        language, task = composition.modules
        assert weights_hash(language) == weights_hash(load_module(parts / f"lp-{code}", backbone))
        assert weights_hash(task) == weights_hash(load_module(parts / "ta", backbone))
        with model.using(composition), torch.no_grad():
            assert model.rank(texts, ["a", "b"]).shape == (2, 2)
    assert bundle.composition("sk").task is bundle.composition("de").task  # one copy for all languages
    with pytest.raises(InputError, match="no module for the language 'se'") as caught:
        bundle.composition("se")
    assert "de, sk" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("configuration", "languages", "task", "kinds"),
    [("none", {}, None, []), ("ta", {}, "ta", ["adapter"]), ("lp+ta", {"sk": "lp-de"}, "ta", ["prompt", "adapter"])],
)
def test_configurations_without_a_part_have_no_folder_for_it(
    backbone, parts, tmp_path, configuration, languages, task, kinds
):
    changes = {"languages": {code: parts / name for code, name in languages.items()}, "task": task and parts / task}
    folder = save(backbone, parts, tmp_path / "b", configuration=configuration, **changes)
    composition = load_bundle(folder, backbone).composition("sk")
    assert [each.kind for each in composition.modules] == kinds
    assert (folder / "task").exists() == (task is not None)


def test_nothing_is_overwritten_and_nothing_half_made_stays(backbone, parts, tmp_path):
    folder = save(backbone, parts, tmp_path / "out" / "b")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ModuleError, match="something lies there already"):
        save(backbone, parts, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (parts / "ta" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModuleError, match="damaged"):
        save(backbone, parts, tmp_path / "out" / "c")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"configuration": "la+ta"}, "kind 'prompt', where the configuration 'la\\+ta' has one of 'adapter'"),
        ({"configuration": "xx"}, "unknown configuration"),
        ({"task": None}, "module.json is missing"),
    ],
)
def test_modules_of_another_configuration_or_backbone_make_no_bundle(backbone, parts, tmp_path, changes, told):
    with pytest.raises(ModuleError, match=told) as caught:
        save(backbone, parts, tmp_path / "out" / "b", **changes)
    assert str(tmp_path / "out" / "b") in (caught.value.where or "")  # not the place that it was put together in
    assert list((tmp_path / "out").iterdir()) == []


def change(folder: Path, **values) -> None:
    file = folder / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


BROKEN = {
    "no manifest": (lambda f: (f / "bundle.json").unlink(), "bundle.json is missing"),
    "no JSON": (lambda f: (f / "bundle.json").write_text("{"), "not valid JSON"),
    "newer format": (lambda f: change(f, format=2), "format"),
    "extra key": (lambda f: change(f, surplus=1), "surplus"),
    "no such configuration": (lambda f: change(f, configuration="lp+xx"), r"lp\+xx"),
    "another kind": (lambda f: change(f, configuration="la+ta"), "kind 'prompt'"),
    "a language too many": (lambda f: change(f, languages=["de", "sk", "fr"]), "module.json is missing"),
    "a path for a code": (lambda f: change(f, languages=["../../modules/lp-sk"]), "is no language code"),
    "no task module": (lambda f: shutil.rmtree(f / "task"), "module.json is missing"),
    "a module cut": (lambda f: (f / "languages/sk/weights.safetensors").write_bytes(b"x"), "damaged"),
    "another backbone's": (lambda f: change(f, backbone={"name": "x", "fingerprint": "y"}), "another backbone"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_bundle_is_refused(case, backbone, parts, tmp_path):
    folder = save(backbone, parts, tmp_path / "b")
    spoil, told = BROKEN[case]
    spoil(folder)
    with pytest.raises(ModuleError, match=told) as caught:
        load_bundle(folder, backbone)
    assert str(folder) in (caught.value.where or "")


def test_a_sibling_backbone_is_refused_unless_allowed(backbone, parts, tmp_path, caplog):
    folder, sibling = save(backbone, parts, tmp_path / "b"), tiny("mt5", seed=7)
    with pytest.raises(WrongBackboneError, match="trained on"):
        load_bundle(folder, sibling)
    bundle: Bundle = load_bundle(folder, sibling, allow_other_backbone=True)
    with ComposedModel(sibling).using(bundle.composition("sk")):
        assert "may do something else here" in caplog.text
