"""A module on another backbone than its own: refused, or adopted with a warning where the shapes are the same."""

from __future__ import annotations

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.errors import WrongBackboneError
from lingport.modules.base import KINDS
from lingport.modules.store import load_module, read_manifest, save_module
from tests.tiny import FAMILIES, batch, module, shared, tiny


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_sibling_may_adopt_it_and_it_computes_there(kind, tmp_path, caplog):
    backbone, sibling = shared("mt5"), tiny("mt5", seed=3)
    own = module(kind, backbone)
    save_module(own, tmp_path / "m")
    with pytest.raises(WrongBackboneError, match="trained on 'tiny-mt5-0'") as caught:
        load_module(tmp_path / "m", sibling)
    assert "--allow-other-backbone" in (caught.value.hint or "")
    adopted = load_module(tmp_path / "m", sibling, allow_other_backbone=True)
    assert "may do something else here" in caplog.text
    assert adopted.provenance == own.provenance  # it stays what it was trained on
    inputs = batch(sibling)
    with torch.no_grad():
        plain = ComposedModel(sibling)(**inputs).logits
        with ComposedModel(sibling).using(Composition(task=adopted)) as model:
            assert (model(**inputs).logits - plain).abs().max() > 1e-3
    with pytest.raises(WrongBackboneError), ComposedModel(tiny("mt5", seed=4)).using(Composition(task=adopted)):
        pass  # one sibling was allowed, not all


@pytest.mark.parametrize(
    "other",
    [{"num_layers": 3}, {"d_model": 32}, {"vocab_size": 180}, {"d_ff": 32}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_shape_is_refused_whatever_is_allowed(other, tmp_path, caplog):
    save_module(module("prompt", shared("mt5")), tmp_path / "m")
    with pytest.raises(WrongBackboneError, match="trained on"):
        load_module(tmp_path / "m", tiny("mt5", **other), allow_other_backbone=True)
    assert not caplog.text


def test_another_family_is_refused_whatever_is_allowed(tmp_path):
    save_module(module("adapter", shared("mt5")), tmp_path / "m")
    with pytest.raises(WrongBackboneError, match="trained on"):
        load_module(tmp_path / "m", shared("umt5"), allow_other_backbone=True)


def test_shapes_tell_families_apart_and_siblings_together():
    shapes = {family: shared(family).shape_fingerprint for family in FAMILIES}
    assert len(set(shapes.values())) == len(FAMILIES)
    assert tiny("t5", seed=9).shape_fingerprint == shapes["t5"]
    assert tiny("t5", seed=9).fingerprint != shared("t5").fingerprint


def test_the_module_remembers_shape_and_commit_of_its_backbone(tmp_path):
    backbone = tiny("t5", seed=2)
    backbone.revision = "0123abc"
    save_module(module("prompt", backbone), tmp_path / "m")
    told = read_manifest(tmp_path / "m")["provenance"]
    assert (told["backbone_shape"], told["backbone_revision"]) == (backbone.shape_fingerprint, "0123abc")
