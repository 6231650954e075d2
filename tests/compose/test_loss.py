"""The loss at a frozen head against the plain one, value and gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from lingport.compose.composition import Composition
from lingport.compose.loss import frozen_head_loss, most_likely
from lingport.compose.model import ComposedModel
from tests.conftest import GOLDEN


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_and_gradient_are_those_of_the_plain_loss(monkeypatch, smoothing):
    monkeypatch.setattr("lingport.compose.loss._SCORES_ON_CPU", 300)  # several tiles, the last one partial
    generator = torch.Generator().manual_seed(0)
    weight = 3 * torch.randn(100, 8, generator=generator)
    hidden = torch.randn(10, 8, generator=generator)
    targets = torch.randint(100, (10,), generator=generator)
    scale = torch.rand(10, generator=generator)
    found = _value_and_gradient(
        lambda h: frozen_head_loss(h, weight, targets, smoothing_n=torch.full((10,), smoothing)), hidden, scale
    )
    expected = _value_and_gradient(
        lambda h: F.cross_entropy(h @ weight.double().T, targets, reduction="none", label_smoothing=smoothing),
        hidden.double(),
        scale.double(),
    )
    torch.testing.assert_close(found, tuple(each.float() for each in expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shift", [-300.0, -60.0, 60.0, 300.0])
@pytest.mark.parametrize("of_targets", [False, True])
def test_scores_beyond_what_powers_of_e_can_hold(monkeypatch, shift, of_targets):
    monkeypatch.setattr("lingport.compose.loss._SCORES_ON_CPU", 300)
    generator = torch.Generator().manual_seed(0)
    weight = torch.cat([torch.randn(100, 8, generator=generator), torch.zeros(100, 1)], 1)
    hidden = torch.cat([torch.randn(10, 8, generator=generator), torch.ones(10, 1)], 1)
    targets = torch.arange(10)
    weight[:, -1] = shift  # of all scores: the loss is the same
    if not of_targets:
        weight[:10, -1] = 0.0  # the targets' own are usual
    expected = F.cross_entropy(hidden.double() @ weight.double().T, targets, reduction="none")
    found, grads = _value_and_gradient(lambda h: frozen_head_loss(h, weight, targets), hidden, torch.ones(10))
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-4)
    _, wanted = _value_and_gradient(
        lambda h: F.cross_entropy(h @ weight.double().T, targets, reduction="none"), hidden.double(), torch.ones(10)
    )
    torch.testing.assert_close(grads, wanted.float(), rtol=1e-4, atol=1e-4)


def test_in_bfloat16_it_is_as_near_to_the_truth_as_the_plain_loss(monkeypatch):
    monkeypatch.setattr("lingport.compose.loss._SCORES_ON_CPU", 2**14)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3000, 32, generator=generator) / 2
    targets = torch.randint(3000, (60,), generator=generator)
    hidden = torch.randn(60, 32, generator=generator) + weight[targets]
    truth = F.cross_entropy(hidden.double() @ weight.double().T, targets, reduction="none").float()
    low, head = hidden.bfloat16(), weight.bfloat16()
    ours = frozen_head_loss(low, head, targets) - truth
    plain = F.cross_entropy((low @ head.T).float(), targets, reduction="none") - truth
    assert ours.abs().mean() < 1.5 * plain.abs().mean()
    assert (ours.mean() - plain.mean()).abs() < 0.3 * plain.abs().mean()


def _value_and_gradient(loss, hidden, scale):
    hidden = hidden.clone().requires_grad_()
    losses = loss(hidden)
    (losses * scale).sum().backward()
    return losses.detach(), hidden.grad


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_most_likely_token_is_that_of_all_scores(monkeypatch, dtype):
    monkeypatch.setattr("lingport.compose.loss._SCORES_ON_CPU", 300)  # several tiles, the last one partial
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(100, 8, generator=generator).to(dtype)
    hidden = torch.randn(10, 8, generator=generator).to(dtype)
    token, likelihood = most_likely(hidden, weight)
    scores = (hidden @ weight.T).float().log_softmax(-1)
    assert token.tolist() == scores.argmax(-1).tolist()
    assert len(set((token // 30).tolist())) > 2, "tokens of several tiles"
    torch.testing.assert_close(likelihood, scores.max(-1).values, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.02)
