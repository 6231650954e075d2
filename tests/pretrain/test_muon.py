"""Stacked Muon takes the steps of torch's own."""

from __future__ import annotations

import torch

from lingport.pretrain.muon import StackedMuon, orthogonalised


def test_steps_are_those_of_torch():
    torch.manual_seed(0)
    shapes = [(8, 8), (8, 8), (16, 8), (8, 16)]
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    stacked = StackedMuon(ours, lr=1e-2, weight_decay=0.1)
    single = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for left, right in zip(ours, theirs, strict=True):
            left.grad = torch.randn_like(left)
            right.grad = left.grad.clone()
        stacked.step()
        single.step()
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-2, atol=1e-4)


def test_singular_values_come_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(2, 12, 20)).float())
    assert values.min() > 0.5
    assert values.max() < 1.4
