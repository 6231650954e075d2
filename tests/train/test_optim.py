"""Optimisers and schedule against their references."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.optimization import Adafactor as Reference

from lingport.config.training import (
    LanguageAdapterTraining,
    LanguagePromptTraining,
    TaskAdapterTraining,
    TaskPromptTraining,
    TrainingSettings,
)
from lingport.errors import UnknownNameError
from lingport.train.checkpoint import load_optimizer_tensors, optimizer_tensors
from lingport.train.optim import OPTIMIZERS, Adafactor, rate_at

SHAPES = [(7,), (5, 3), (2, 4, 3)]


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def steps(optimizer, own, *, first=0, last=20):
    for step in range(first, last):
        generator = torch.Generator().manual_seed(100 + step)
        for parameter in own:
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 10 ** (step % 4 - 2)
        optimizer.step()
    return own


@pytest.mark.parametrize("weight_decay", [0.0, 1e-5, 0.1])
@pytest.mark.parametrize("lr", [0.5, 1e-3])
def test_adafactor_is_that_of_transformers_to_the_bit(lr, weight_decay):
    ours, theirs = parameters(), parameters()
    steps(Adafactor(ours, lr=lr, weight_decay=weight_decay), ours)
    how = {"scale_parameter": False, "relative_step": False, "warmup_init": False, "clip_threshold": 1.0}
    steps(Reference(theirs, lr=lr, weight_decay=weight_decay, **how), theirs)
    for one, other, start in zip(ours, theirs, parameters(), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, start)


def test_adafactor_is_not_that_of_torch():
    ours, theirs = parameters(), parameters()
    steps(Adafactor(ours, lr=0.5, weight_decay=1e-5), ours)
    steps(torch.optim.Adafactor(theirs, lr=0.5, weight_decay=1e-5), theirs)
    assert all((one - other).abs().max() > 0.1 for one, other in zip(ours, theirs, strict=True))


def test_a_parameter_without_gradient_stays():
    own = parameters()
    before = own[1].detach().clone()
    own[0].grad = torch.ones_like(own[0])
    Adafactor(own, lr=0.5, weight_decay=0.1).step()
    assert torch.equal(own[1], before)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_state_is_carried_over_to_the_bit(name):
    settings = TrainingSettings(optimizer=name, learning_rate=0.1, weight_decay=0.01)
    whole = parameters()
    steps(OPTIMIZERS.get(name)(whole, settings), whole)
    halves = parameters()
    first = OPTIMIZERS.get(name)(halves, settings)
    steps(first, halves, last=9)
    saved = {key: value.clone() for key, value in optimizer_tensors(first).items()}
    second = OPTIMIZERS.get(name)(halves, settings)
    load_optimizer_tensors(second, saved)
    steps(second, halves, first=9)
    assert all(torch.equal(one, other) for one, other in zip(whole, halves, strict=True))


def test_adamw_is_torchs_with_the_settings():
    settings = TrainingSettings(learning_rate=0.01, weight_decay=0.2)
    ours, theirs = parameters(), parameters()
    steps(OPTIMIZERS.get("adamw")(ours, settings), ours)
    steps(torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.2), theirs)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_an_unknown_optimiser():
    with pytest.raises(UnknownNameError, match="unknown optimizer 'adam'"):
        OPTIMIZERS.get("adam")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"steps": 4}, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        ({"steps": 4, "schedule": "constant"}, [1.0] * 6),
        ({"steps": 6, "warmup_steps": 2}, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]),
        ({"steps": 4, "warmup_steps": 2, "schedule": "constant"}, [0.0, 0.5, 1.0, 1.0]),
        ({"steps": 2, "warmup_steps": 4}, [0.0, 0.25, 0.5, 0.75]),
    ],
)
def test_rates(settings, expected):
    known = TrainingSettings(learning_rate=0.5, **settings)
    assert [rate_at(step, known) for step in range(len(expected))] == pytest.approx([0.5 * e for e in expected])


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (LanguageAdapterTraining, ("adamw", 5e-5, 0.0, 100_000, "last")),
        (LanguagePromptTraining, ("adafactor", 0.5, 1e-5, 100_000, "last")),
        (TaskAdapterTraining, ("adamw", 5e-5, 0.0, 50_000, "score")),
        (TaskPromptTraining, ("adafactor", 0.5, 1e-5, 50_000, "score")),
    ],
)
def test_the_papers_settings(model, values):
    found = model()
    assert (found.optimizer, found.learning_rate, found.weight_decay, found.steps, found.selection) == values
    assert (found.batch_size, found.schedule, found.warmup_steps, found.evaluate_every) == (32, "linear", 0, 1000)
