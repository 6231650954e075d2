"""The only training loop of modules: one forward pass serves the rows of all learners, each steps by itself.

The backbone stays frozen: gradients flow through it, never into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row, collate
from lingport.errors import ConfigError
from lingport.modules.base import TransferModule
from lingport.train.learner import Learner, LearnerState, Listener, TrainResult
from lingport.train.parallel import ALONE, Team

T = TypeVar("T")


def train(
    model: ComposedModel,
    learners: Sequence[Learner],
    *,
    listen: Listener = lambda name, event: None,
    team: Team = ALONE,
) -> list[TrainResult]:
    """Returns the result of each learner; their modules hold the selected weights, frozen.

    Args:
        model: The backbone that the modules act in.
        learners: Trained side by side. A learner's result does not depend on its neighbours, up to float
            rounding; alone it is the same to the bit on every run, resumed or not.
        listen: Told of every event with the learner's name: dictionaries with the key `event` (`train`,
            `evaluate`, `resume`) and `step`.
        team: The processes that train the same learners together; every one calls this. Each computes its share
            of a step's rows, so that the step is that of one process up to float rounding (dropout draws other
            masks). Events and checkpoints are the first process's.

    Raises:
        TrainingError: A loss is not finite, a checkpoint is damaged or of another run, or the processes differ.
        ConfigError: One of several learners cannot share a pass (`shares_pass`).
    """
    for learner in learners if len(learners) > 1 else []:
        if not shares_pass(model.backbone, type(learner.module), learner.settings):
            raise ConfigError(
                "a module that needs backbone dropout or weights of its own cannot be trained in one pass with others",
                where=learner.name,
                hint="set backbone_dropout: 0, or learners_at_once: 1",
            )
    rates = [model.backbone.dropout_rate(learner.settings.backbone_dropout) for learner in learners]
    states = [LearnerState(learner, listen if team.first else _nothing, team) for learner in learners]
    with model.backbone.dropout(max(rates, default=0.0)):
        while going := [state for state in states if not state.done]:
            _step(model, going, team)
            for state in going:
                with model.backbone.dropout(0.0):
                    state.after_step(model)
    return [state.finish() for state in states]


def shares_pass(backbone: Backbone, kind: type[TransferModule], settings: TrainingSettings) -> bool:
    """Returns whether modules of a kind can be trained in one pass with others.

    Dropout would draw masks that depend on the neighbours' rows; one pass has one set of backbone weights.
    """
    return kind.shares_batch and not backbone.dropout_rate(settings.backbone_dropout)


def _nothing(name: str, event: dict[str, Any]) -> None:
    """Is told of what the first process tells."""


def _step(model: ComposedModel, states: Sequence[LearnerState], team: Team) -> None:
    rows = [state.learner.rows(state.result.steps) for state in states]
    num_targets = [max(1, sum(len(row.label_ids) for row in part)) for part in rows]
    acting = [
        state.learner.acting(state.result.steps, num_rows=len(part)) for state, part in zip(states, rows, strict=True)
    ]
    pairs = [list(zip(part, each, strict=True)) for part, each in zip(rows, acting, strict=True)]
    shares = [_part(part, team.rank, team.size) for part in pairs]
    losses = [0.0] * len(states)
    first = states[0]
    torch.manual_seed(_seed(first.learner.seed, first.result.steps, team.rank))
    for micro in range(max(state.settings.micro_batches for state in states)):
        parts = [_part(part, micro, state.settings.micro_batches) for part, state in zip(shares, states, strict=True)]
        if not any(parts):  # more parts than rows
            continue
        row_loss = _row_loss(model, [pair for part in parts for pair in part])
        # Each learner's loss is the mean over its own target tokens in the whole step, so that the number of
        # micro-batches, of processes and of neighbours changes nothing.
        total = row_loss.new_zeros(())
        start = 0
        for index, part in enumerate(parts):
            own = row_loss[start : start + len(part)].sum() / num_targets[index]
            losses[index] += own.item()
            total = total + own
            start += len(part)
        total.backward()
    for state, part, loss in zip(states, rows, team.sum_numbers(losses), strict=True):
        team.sum_gradients(state.parameters)
        state.result.rows += len(part)
        state.result.tokens += sum(len(row.input_ids) for row in part)
        state.apply_gradients(loss)


def _row_loss(model: ComposedModel, pairs: Sequence[tuple[Row, Composition]]) -> Tensor:
    rows, compositions = zip(*pairs, strict=True)
    batch = collate(rows, pad_id=model.backbone.tokenizer.pad_token_id).to(model.backbone.device)
    with model.using(compositions[0] if all(each is compositions[0] for each in compositions) else compositions):
        return model.row_losses(batch.input_ids, batch.attention_mask, batch.labels)


def _part(rows: Sequence[T], index: int, num_parts: int) -> Sequence[T]:
    return rows[len(rows) * index // num_parts : len(rows) * (index + 1) // num_parts] if index < num_parts else []


def _seed(seed: int, step: int, rank: int) -> int:
    text = f"dropout {seed} {step}" + (f" {rank}" if rank else "")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
