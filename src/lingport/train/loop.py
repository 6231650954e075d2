"""The only training loop of modules: one forward pass serves the rows of all learners, each steps by itself.

The backbone stays frozen: gradients flow through it, never into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row, collate, parts_by_length, parts_by_tokens
from lingport.errors import ConfigError
from lingport.modules.base import TransferModule
from lingport.train.learner import Learner, LearnerState, Listener, TrainResult
from lingport.train.parallel import ALONE, Team

#: what one more part of a step costs where rows are padded, in tokens computed in the same time: calls, and the head's
#: weights read again
_PART_COST = {"cpu": 128}
_PART_COST_ON_ACCELERATOR = 8192
#: tokens of a part where rows lie end to end: larger products are no faster, and take more memory
TOKENS_END_TO_END = 2560


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
            step(model, going, team)
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


@dataclass(frozen=True)
class _Work:
    """A row of a step: whose it is, what acts on it."""

    row: Row
    composition: Composition
    learner: int


def step(model: ComposedModel, states: Sequence[LearnerState], team: Team = ALONE) -> None:
    """Makes one step of every learner; see `train`."""
    steps = [state.learner.rows(state.result.steps) for state in states]
    num_targets = [max(1, sum(len(row.label_ids) for row in rows)) for rows in steps]
    work: list[_Work] = []
    for index, (state, rows) in enumerate(zip(states, steps, strict=True)):
        acting = state.learner.acting(state.result.steps, num_rows=len(rows))
        every = [_Work(row, composition, index) for row, composition in zip(rows, acting, strict=True)]
        work.extend(every[len(every) * team.rank // team.size : len(every) * (team.rank + 1) // team.size])
    means: list[tuple[int, Tensor]] = []
    first = states[0]
    torch.manual_seed(_seed(first.learner.seed, first.result.steps, team.rank))
    for places in _parts(model.backbone, [each.row for each in work], states):
        part = [work[place] for place in places]
        with _attached(model, part, states):
            row_loss = _row_loss(model, part, [states[each.learner].settings.label_smoothing for each in part])
            # Each learner's loss is the mean over its own target tokens in the whole step, so that the number of
            # parts, of processes and of neighbours changes nothing.
            total = row_loss.new_zeros(())
            for index in dict.fromkeys(each.learner for each in part):
                own = torch.tensor([place for place, each in enumerate(part) if each.learner == index])
                mean = row_loss.index_select(0, own.to(row_loss.device, non_blocking=True)).sum() / num_targets[index]
                means.append((index, mean.detach()))
                total = total + mean
            total.backward()
    losses = [0.0] * len(states)
    if means:  # asked for at the end, so that a GPU has the whole step before it is waited for
        for (index, _), value in zip(means, torch.stack([mean for _, mean in means]).tolist(), strict=True):
            losses[index] += value
    for state, rows, loss in zip(states, steps, team.sum_numbers(losses), strict=True):
        team.sum_gradients(state.parameters)
        state.result.rows += len(rows)
        state.result.tokens += sum(len(row.input_ids) for row in rows)
        state.apply_gradients(loss)


def _parts(backbone: Backbone, rows: Sequence[Row], states: Sequence[LearnerState]) -> list[list[int]]:
    known: list[int] = []
    for state in states:
        limit = state.settings.tokens_at_once
        if limit is not None:
            known.append(backbone.tokens_that_fit() if limit == "auto" else limit)
    if backbone.layout.packs:
        return parts_by_tokens(rows, max_tokens=min(known, default=TOKENS_END_TO_END))
    part_cost = _PART_COST.get(backbone.device.type, _PART_COST_ON_ACCELERATOR)
    return parts_by_length(rows, part_cost=part_cost, max_tokens=min(known, default=None))


@contextmanager
def _attached(model: ComposedModel, part: Sequence[_Work], states: Sequence[LearnerState]) -> Iterator[None]:
    """Attaches the modules of a part's rows, for its backward pass too: blocks that are computed again need them."""
    compositions = [each.composition for each in part]
    alike = all(each is compositions[0] for each in compositions)
    again = any(state.settings.gradient_checkpointing for state in states)
    if again and not all(model.footprint(each).shares_batches for each in set(compositions)):
        raise ConfigError(
            "a module that replaces the backbone's weights cannot be trained with gradient checkpointing",
            hint="set gradient_checkpointing: false",
        )
    with model.using(compositions[0] if alike else compositions), model.backbone.gradient_checkpointing(again):
        yield


def _row_loss(model: ComposedModel, part: Sequence[_Work], smoothing: Sequence[float]) -> Tensor:
    batch = collate([each.row for each in part], pad_id=model.backbone.tokenizer.pad_token_id)
    shares = torch.tensor(smoothing) if any(smoothing) else None
    return model.row_losses(batch.input_ids, batch.attention_mask, batch.labels, smoothing=shares)


def _seed(seed: int, step: int, rank: int) -> int:
    text = f"dropout {seed} {step}" + (f" {rank}" if rank else "")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
