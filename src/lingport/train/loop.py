"""The only training loop of modules: one forward pass serves the rows of all learners, each steps by itself.

The backbone stays frozen: gradients flow through it, never into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from lingport.compose.model import ComposedModel
from lingport.data.batch import Row, collate
from lingport.errors import ConfigError
from lingport.train.learner import Learner, LearnerState, Listener, TrainResult


def train(
    model: ComposedModel, learners: Sequence[Learner], *, listen: Listener = lambda name, event: None
) -> list[TrainResult]:
    """Returns the result of each learner; their modules hold the selected weights, frozen.

    Args:
        model: The backbone that the modules act in.
        learners: Trained side by side. A learner's result does not depend on its neighbours, up to float
            rounding; alone it is the same to the bit on every run, resumed or not.
        listen: Told of every event with the learner's name: dictionaries with the key `event` (`train`,
            `evaluate`, `resume`) and `step`.

    Raises:
        TrainingError: A loss is not finite, or a checkpoint is damaged or of another run.
        ConfigError: Several learners with backbone dropout, whose masks would depend on each other's rows.
    """
    rates = [model.backbone.dropout_rate(learner.settings.backbone_dropout) for learner in learners]
    if len(learners) > 1 and any(rates):
        raise ConfigError(
            "several modules cannot be trained in one pass with backbone dropout",
            hint="set backbone_dropout: 0, or learners_at_once: 1",
        )
    states = [LearnerState(learner, listen) for learner in learners]
    with model.backbone.dropout(max(rates, default=0.0)):
        while going := [state for state in states if not state.done]:
            _step(model, going)
            for state in going:
                with model.backbone.dropout(0.0):
                    state.after_step(model)
    return [state.finish() for state in states]


def _step(model: ComposedModel, states: Sequence[LearnerState]) -> None:
    rows = [state.learner.rows(state.result.steps) for state in states]
    num_targets = [max(1, sum(len(row.label_ids) for row in part)) for part in rows]
    losses = [0.0] * len(states)
    first = states[0]
    torch.manual_seed(_seed(first.learner.seed, first.result.steps))
    for micro in range(max(state.settings.micro_batches for state in states)):
        parts = [_part(part, micro, state.settings.micro_batches) for part, state in zip(rows, states, strict=True)]
        if not any(parts):  # more parts than rows
            continue
        row_loss = _row_loss(model, states, parts)
        # Each learner's loss is the mean over its own target tokens in the whole step, so that the number of
        # micro-batches and of neighbours changes nothing.
        total = row_loss.new_zeros(())
        start = 0
        for index, part in enumerate(parts):
            own = row_loss[start : start + len(part)].sum() / num_targets[index]
            losses[index] += own.item()
            total = total + own
            start += len(part)
        total.backward()
    for state, part, loss in zip(states, rows, losses, strict=True):
        state.result.rows += len(part)
        state.result.tokens += sum(len(row.input_ids) for row in part)
        state.apply_gradients(loss)


def _row_loss(model: ComposedModel, states: Sequence[LearnerState], parts: Sequence[Sequence[Row]]) -> Tensor:
    batch = collate([row for part in parts for row in part], pad_id=model.backbone.tokenizer.pad_token_id)
    batch = batch.to(model.backbone.device)
    if len(states) == 1:
        compositions = states[0].learner.composition
    else:
        compositions = [state.learner.composition for state, part in zip(states, parts, strict=True) for _ in part]
    with model.using(compositions):
        return model.row_losses(batch.input_ids, batch.attention_mask, batch.labels)


def _part(rows: Sequence[Row], index: int, num_parts: int) -> Sequence[Row]:
    return rows[len(rows) * index // num_parts : len(rows) * (index + 1) // num_parts] if index < num_parts else []


def _seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"dropout {seed} {step}".encode(), digest_size=7).digest(), "big")
