"""Sums of modules: the arithmetic, what may be summed, and the ancestry; for every kind."""

from __future__ import annotations

import pytest
import torch

from lingport.config.modules import PromptSettings
from lingport.errors import ModuleError, WrongBackboneError
from lingport.modules.base import KINDS, new_module
from lingport.modules.merge import Term, copied, merged
from lingport.modules.store import load_module, save_module, weights_hash
from tests.tiny import module, shared, tiny

BACKBONE = "mt5"


@pytest.fixture(params=list(KINDS))
def three(request):
    return [module(request.param, shared(BACKBONE), seed=seed) for seed in (1, 2, 3)]


def values(made):
    return {name: value.detach().clone() for name, value in made.named_parameters()}


def assert_same(made, expected, *, exact=False):
    for name, value in made.named_parameters():
        assert torch.equal(value, expected[name]) if exact else torch.allclose(value, expected[name], atol=1e-6), name


def test_a_weighted_sum_of_several(three):
    before = [values(each) for each in three]
    weights = (0.5, 0.25, -1.0)
    made = merged([Term(each, weight) for each, weight in zip(three, weights, strict=True)])
    expected = {name: sum(w * v[name] for w, v in zip(weights, before, strict=True)) for name in before[0]}
    assert_same(made, expected)
    for each, old in zip(three, before, strict=True):
        assert_same(each, old, exact=True)


def test_a_task_vector_added_and_taken_away_gives_the_module_back(three):
    one, begin, other = three
    added = merged([Term(other, 1.0, minus=begin)], base=one)
    assert_same(added, {name: values(one)[name] + value - values(begin)[name] for name, value in values(other).items()})
    assert_same(merged([Term(other, -1.0, minus=begin)], base=added), values(one))


def test_the_mean_of_equal_modules_is_the_module(three):
    made = merged([Term(three[0], 1 / 3) for _ in range(3)])
    assert_same(made, values(three[0]))
    assert_same(merged([Term(three[0])]), values(three[0]), exact=True)


def test_the_result_is_an_ordinary_module_that_names_its_ancestors(three, tmp_path):
    made = merged([Term(three[0], 0.3, name="la-en"), Term(three[1], 0.7, minus=three[2], name="la-de")])
    folder = save_module(made, tmp_path / "made")
    again = load_module(folder, shared(BACKBONE))
    assert_same(again, values(made), exact=True)
    told = [{key: each[key] for key in ("name", "weights", "factor", "part")} for each in again.provenance.ancestors]
    assert told == [
        {"name": "la-en", "weights": weights_hash(three[0]), "factor": 0.3, "part": "module"},
        {"name": "la-de", "weights": weights_hash(three[1]), "factor": 0.7, "part": "task vector"},
    ]


def test_a_copy_is_apart_and_has_no_history(three):
    three[0].provenance.training = {"steps": 3}
    made = copied(three[0])
    assert weights_hash(made) == weights_hash(three[0])
    assert made.provenance.training == {} and made.provenance.backbone == three[0].provenance.backbone
    with torch.no_grad():
        next(made.parameters()).add_(1.0)
    assert weights_hash(made) != weights_hash(three[0])


def test_only_the_same_kind_and_shape_can_be_summed():
    backbone = shared(BACKBONE)
    with pytest.raises(ModuleError, match="'prompt' cannot be merged with one of 'adapter'"):
        merged([Term(module("adapter", backbone)), Term(module("prompt", backbone))])
    with pytest.raises(ModuleError, match=r"lp-sk: 'prompt' has the shape \(5, 16\), not \(4, 16\)"):
        merged([Term(module("prompt", backbone)), Term(module("prompt", backbone, rows=5), name="lp-sk")])
    with pytest.raises(ModuleError, match="nothing to merge"):
        merged([])


def test_modules_of_another_backbone_are_refused():
    with pytest.raises(WrongBackboneError, match="tiny-mt5-9"):
        merged([Term(module("adapter", shared(BACKBONE))), Term(module("adapter", tiny(BACKBONE, seed=9)))])


def test_fixed_rows_are_kept_and_must_agree():
    backbone = shared(BACKBONE)

    def prompt(text, seed):
        return new_module(
            "prompt", PromptSettings(num_virtual_tokens=8, init="vocab", fixed_text=text), backbone, seed=seed
        )

    made = merged([Term(prompt("a cat", 1), 0.5), Term(prompt("a cat", 2), 0.7)])
    assert torch.equal(made.get_buffer("fixed"), prompt("a cat", 3).get_buffer("fixed"))
    with pytest.raises(ModuleError, match="'fixed', which is not trained, differs"):
        merged([Term(prompt("tea", 1)), Term(prompt("bed", 2))])
