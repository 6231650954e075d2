"""The contract that every kind of module keeps in every family of backbones.

Parametrised over the registries: a new kind or family is held to it without a change here.
"""

from __future__ import annotations

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.errors import CompositionError, WrongBackboneError
from lingport.modules.base import KINDS
from lingport.modules.store import load_module, save_module, weights_hash
from lingport.train.learner import Learner
from lingport.train.loop import train
from tests.tiny import FAMILIES, batch, module, shared, tiny

matrix = pytest.mark.parametrize(("kind", "family"), [(kind, family) for kind in KINDS for family in FAMILIES])


def logits(backbone, composition, inputs):
    model = ComposedModel(backbone)
    with torch.no_grad(), model.using(composition):
        return model(**inputs).logits


def hooks(backbone):
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in backbone.model.modules())


@matrix
def test_training_changes_the_module_and_no_bit_of_the_backbone(kind, family):
    backbone = shared(family)
    own = module(kind, backbone)
    inputs = batch(backbone)
    before, module_before = backbone.weights_hash(), weights_hash(own)
    rows = [
        Row(ids[: int(mask.sum())].tolist(), [label for label in labels.tolist() if label != -100])
        for ids, mask, labels in zip(inputs["input_ids"], inputs["attention_mask"], inputs["labels"], strict=True)
    ]
    settings = TrainingSettings(steps=2, batch_size=len(rows), learning_rate=1e-2)
    train(ComposedModel(backbone), [Learner("one", own, Composition(task=own), lambda step: rows, settings)])
    assert backbone.weights_hash() == before
    assert weights_hash(own) != module_before
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in backbone.model.parameters())
    assert not any(parameter.requires_grad for parameter in own.parameters())
    assert hooks(backbone) == 0
    assert not backbone.model.training


@matrix
def test_gradients_reach_every_part_of_the_module_and_nothing_else(kind, family):
    backbone = shared(family)
    own = module(kind, backbone)
    model = ComposedModel(backbone)
    with model.using(Composition(language=own)):
        model(**batch(backbone)).loss.backward()
    for name, parameter in own.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert all(parameter.grad is None for parameter in backbone.model.parameters())
    assert all(buffer.grad is None for buffer in own.buffers())


@matrix
def test_saved_and_loaded_it_gives_the_same_logits(kind, family, tmp_path):
    backbone = shared(family)
    own = module(kind, backbone)
    save_module(own, tmp_path / "m")
    loaded = load_module(tmp_path / "m", backbone)
    assert type(loaded) is type(own)
    assert loaded.settings == own.settings
    assert loaded.num_trained == own.num_trained
    assert weights_hash(loaded) == weights_hash(own)
    inputs = batch(backbone)
    assert torch.equal(
        logits(backbone, Composition(task=loaded), inputs), logits(backbone, Composition(task=own), inputs)
    )


@matrix
def test_detaching_restores_the_backbone_exactly(kind, family):
    backbone = shared(family)
    model, inputs = ComposedModel(backbone), batch(backbone)
    with torch.no_grad():
        plain = model(**inputs).logits
        with model.using(Composition(task=module(kind, backbone))):
            changed = model(**inputs).logits
        after = model(**inputs).logits
    assert hooks(backbone) == 0
    assert torch.equal(plain, after)
    assert (changed - plain).abs().max() > 1e-3


@matrix
def test_an_error_inside_the_block_detaches_too(kind, family):
    backbone = shared(family)
    model, inputs = ComposedModel(backbone), batch(backbone)
    with torch.no_grad():
        plain = model(**inputs).logits
        with pytest.raises(ZeroDivisionError), model.using(Composition(task=module(kind, backbone))):
            raise ZeroDivisionError
        assert hooks(backbone) == 0
        assert torch.equal(plain, model(**inputs).logits)


@matrix
@pytest.mark.parametrize(("side", "extra"), [("right", 7), ("left", 0), ("left", 5)])
def test_padding_changes_nothing(kind, family, side, extra):
    backbone = shared(family)
    composition = Composition(language=module(kind, backbone))
    expected = logits(backbone, composition, batch(backbone))
    found = logits(backbone, composition, batch(backbone, side=side, extra=extra))
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


@matrix
def test_cached_generation_is_the_uncached_argmax_loop(kind, family):
    backbone = shared(family)
    model, inputs = ComposedModel(backbone), batch(backbone)
    with torch.no_grad(), model.using(Composition(task=module(kind, backbone))):
        found = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=5)
        for row in range(len(inputs["input_ids"])):
            ids, finished, likelihood = [], False, 0.0
            one = {key: inputs[key][row : row + 1] for key in ("input_ids", "attention_mask")}
            while True:
                labels = torch.tensor([[*ids, 0]])
                step = model(**one, labels=labels).logits[0, -1].log_softmax(-1)
                token = int(step.argmax())
                finished = token == backbone.model.config.eos_token_id
                if not finished and len(ids) == 5:
                    break
                likelihood += step.max().item()
                if finished:
                    break
                ids.append(token)
            assert found.ids[row] == ids
            assert found.finished[row] is finished
            assert abs(found.log_likelihood[row].item() - likelihood) < 1e-4


@matrix
@pytest.mark.parametrize("other", list(KINDS))
def test_composes_with_every_other_kind_where_allowed(kind, family, other):
    backbone = shared(family)
    first, second = module(kind, backbone, seed=1), module(other, backbone, seed=2)
    both = Composition(language=first, task=second)
    if "full" in (kind, other):
        with pytest.raises(CompositionError, match="replaces the backbone's weights"):
            logits(backbone, both, batch(backbone))
        return
    inputs = batch(backbone)
    found = logits(backbone, both, inputs)
    for alone in (Composition(language=first), Composition(task=second)):
        assert (found - logits(backbone, alone, inputs)).abs().max() > 1e-3


@matrix
def test_a_wrong_backbone_is_refused(kind, family, tmp_path):
    backbone, stranger = shared(family), tiny(family, seed=1)
    own = module(kind, backbone)
    save_module(own, tmp_path / "m")
    with pytest.raises(WrongBackboneError, match=stranger.name):
        load_module(tmp_path / "m", stranger)
    with pytest.raises(WrongBackboneError), ComposedModel(stranger).using(Composition(task=own)):
        pass
    assert hooks(stranger) == 0


@matrix
def test_the_same_seed_builds_the_same_module(kind, family):
    backbone = shared(family)
    same, again, other = (module(kind, backbone, seed=seed) for seed in (3, 3, 4))
    assert weights_hash(same) == weights_hash(again)
    assert weights_hash(same) != weights_hash(other)


def test_every_family_of_the_registry_is_in_the_matrix():
    from lingport.backbones.layout import LAYOUTS

    assert set(LAYOUTS) == {shared(family).model.config.model_type for family in FAMILIES}
