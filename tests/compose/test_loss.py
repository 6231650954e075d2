"""The loss at a frozen head against the plain one, value and gradient."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from lingport.compose.composition import Composition
from lingport.compose.loss import frozen_head_loss
from lingport.compose.model import ComposedModel
from tests.conftest import GOLDEN


def test_value_and_gradient_are_those_of_the_plain_loss(monkeypatch):
    monkeypatch.setattr("lingport.compose.loss._SCORES_AT_ONCE", 300)  # several pieces, the last one partial
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(100, 8, generator=generator)
    targets = torch.randint(100, (10,), generator=generator)
    scale = torch.rand(10, generator=generator)
    grads = []
    for loss in (frozen_head_loss, lambda h, w, t: torch.nn.functional.cross_entropy(h @ w.T, t, reduction="none")):
        hidden = torch.randn(10, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
        losses = loss(hidden, weight, targets)
        (losses * scale).sum().backward()
        grads.append((losses.detach(), hidden.grad))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-5)


def test_row_losses_are_those_of_the_forward_pass(backbone, golden_modules):
    inputs = load_file(GOLDEN / "inputs.safetensors")
    inputs["labels"][1, 3:] = -100
    model = ComposedModel(backbone)
    composition = Composition(golden_modules["lp"], golden_modules["ta"])
    found = []
    for way in ("row_losses", "__call__"):
        golden_modules["ta"].requires_grad_(True).zero_grad()
        with model.using(composition):
            out = getattr(model, way)(**inputs)
            losses = out if way == "row_losses" else out.row_loss
            losses.sum().backward()
        found.append((losses.detach(), golden_modules["ta"].get_parameter("up_weight").grad.clone()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)
    assert "forward" not in vars(backbone.model.lm_head)
