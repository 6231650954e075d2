"""Rows end to end against padded rows of the model's own code: losses, gradients, and what is grouped."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from lingport.backbones import packing
from lingport.backbones.packing import Groups
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from tests.tiny import TEXTS, batch, module, shared


@pytest.mark.parametrize(("group_cost", "most_pairs"), [(0, 1), (0, 2**18), (3000, 40), (10**9, 2**18)])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", ["mt5", "umt5"])
def test_rows_of_any_lengths_and_modules_are_those_of_the_models_own_code(
    family, side, group_cost, most_pairs, monkeypatch
):
    monkeypatch.setattr(packing, "_GROUP_COST", group_cost)
    monkeypatch.setattr(packing, "_MOST_PAIRS", most_pairs)
    backbone = shared(family)
    prompt, first, second = module("prompt", backbone, rows=3), module("adapter", backbone), module("adapter", backbone)
    rows = [Composition(prompt, first), Composition(), Composition(first, second), Composition(task=prompt)] * 2
    inputs = batch(backbone, TEXTS + TEXTS[::-1], side=side, extra=1)
    inputs["labels"][1, 1:] = -100
    inputs["labels"][2] = -100
    inputs["labels"][4, 0] = -100  # none is asked for here, and some after it are
    parameters = [parameter for own in (prompt, first, second) for parameter in own.requires_grad_(True).parameters()]
    found = []
    model = ComposedModel(backbone)
    for computing in (backbone.plain(), nullcontext()):
        with computing, model.using(rows):
            losses = model.row_losses(**inputs)
            weights = torch.linspace(0.5, 1.5, len(losses))
            found.append((losses.detach(), torch.autograd.grad((losses * weights).sum(), parameters)))
    (losses, gradients), (packed_losses, packed_gradients) = found
    torch.testing.assert_close(packed_losses, losses, rtol=1e-6, atol=1e-5)
    for one, other in zip(gradients, packed_gradients, strict=True):
        assert (one - other).norm() <= 1e-5 * one.norm()


@pytest.mark.parametrize(("cost", "expected"), [(0, [1, 1, 2, 1]), (20, [1, 1, 3]), (10**6, [5])])
def test_rows_of_like_length_attend_together(cost, expected, monkeypatch):
    monkeypatch.setattr(packing, "_GROUP_COST", cost)
    lengths = [9, 5, 4, 4, 1]
    groups = Groups(lengths, lengths, is_causal=False, has_bias=True)
    assert [len(group.queries.lengths) for group in groups.groups] == expected
    assert groups.longest == 9


def test_no_layer_computes_padding():
    backbone = shared("mt5")
    inputs = batch(backbone, extra=3)
    seen = {}
    hooks = [
        stack.block[0]
        .layer[-1]
        .register_forward_hook(lambda _layer, read, _out, name=name: seen.update({name: read[0]}))
        for name, stack in (("source", backbone.model.encoder), ("target", backbone.model.decoder))
    ]
    try:
        ComposedModel(backbone).row_losses(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    assert seen["source"].shape[:2] == (1, int(inputs["attention_mask"].sum()))
    assert seen["target"].shape[:2] == (1, int((inputs["labels"] != -100).sum()))
