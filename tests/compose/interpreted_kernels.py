"""The Triton kernel of the loss through Triton's interpreter, which `test_kernels.py` starts: without a GPU, slowly."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lingport.compose import kernels, loss

VOCABULARY = 2 * kernels._BLOCK + 77  # several blocks, the last one partial


@pytest.fixture(autouse=True)
def by_kernel(monkeypatch):
    monkeypatch.setattr(loss, "_kernel", lambda _device, _dtype: kernels.head_loss)
    monkeypatch.setattr(kernels, "SCORES_AT_ONCE", 3 * VOCABULARY)  # of seven rows: chunks of three, three and one


def drawn(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(VOCABULARY, 8, generator=generator).to(dtype)
    targets = torch.tensor([0, kernels._BLOCK - 1, kernels._BLOCK, VOCABULARY - 1, 5, 6, 7])
    hidden = (torch.randn(7, 8, generator=generator) + 0.3 * weight[targets].float()).to(dtype)
    return hidden.requires_grad_(), weight, targets, torch.rand(7, generator=generator)


@pytest.mark.parametrize("smoothing", [None, [0.0, 0.1, 0.2, 0.9, 0.0, 0.1, 0.5]])
def test_value_and_gradient_are_those_of_the_plain_loss(smoothing):
    hidden, weight, targets, scale = drawn()
    shares = torch.zeros(7) if smoothing is None else torch.tensor(smoothing)
    losses = loss.frozen_head_loss(hidden, weight, targets, smoothing_n=None if smoothing is None else shares)
    (found,) = torch.autograd.grad((losses * scale).sum(), hidden)
    scores = (hidden.double() @ weight.double().T).log_softmax(-1)
    expected = -(1 - shares) * scores[torch.arange(7), targets] - shares * scores.mean(-1)
    (wanted,) = torch.autograd.grad((expected * scale).sum(), hidden)
    torch.testing.assert_close(losses, expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, wanted.float(), rtol=1e-5, atol=1e-5)


def test_in_bfloat16_it_is_as_near_to_the_truth_as_the_plain_loss():
    hidden, weight, targets, _ = drawn(torch.bfloat16)
    truth = F.cross_entropy(hidden.double() @ weight.double().T, targets, reduction="none")
    (wanted,) = torch.autograd.grad(truth.sum(), hidden)
    plain = F.cross_entropy((hidden @ weight.T).float(), targets, reduction="none")
    (by_torch,) = torch.autograd.grad(plain.sum(), hidden)
    losses = loss.frozen_head_loss(hidden, weight, targets)
    (found,) = torch.autograd.grad(losses.sum(), hidden)
    assert (losses - truth).abs().mean() < 1.5 * (plain - truth).abs().mean()
    assert (found - wanted).norm() < 1.5 * (by_torch - wanted).norm()


def test_without_a_gradient_and_without_rows():
    hidden, weight, targets, _ = drawn()
    with torch.no_grad():
        losses = loss.frozen_head_loss(hidden, weight, targets)
        expected = F.cross_entropy(hidden @ weight.T, targets, reduction="none")
        torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-5)
    assert loss.frozen_head_loss(hidden[:0], weight, targets[:0]).shape == (0,)


def test_the_check_tells_right_numbers_from_wrong_ones():
    def wrong(*args, **others):
        losses, grads = kernels.head_loss(*args, **others)
        return losses, grads * 1.1

    for dtype in (torch.float32, torch.bfloat16):
        loss.check_kernel(kernels.head_loss, torch.device("cpu"), dtype)
        with pytest.raises(RuntimeError, match="not those of torch"):
            loss.check_kernel(wrong, torch.device("cpu"), dtype)
