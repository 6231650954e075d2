"""Batches of a stage: which task next, how long, and rows of like lengths put together under a token budget.

Batches come in pools; a pool depends on the seed, the stage, its number and the moment in the stage, so that a
stopped run goes on with the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lingport.pretrain.denoise import Row
from lingport.pretrain.forward import IGNORED
from lingport.pretrain.recipe import Point, Stage

POOL_STEPS = 16

RowMaker = Callable[[str, int, np.random.Generator], Row]


@dataclass(frozen=True)
class TokenBatch:
    """Padded rows: `input_ids` (B, S), `input_mask` (B, S) float, `labels` (B, T), `targets` sorted distinct ids."""

    input_ids: Tensor
    input_mask: Tensor
    labels: Tensor
    targets: np.ndarray

    @property
    def num_tokens(self) -> int:
        """Source and target tokens that are no padding."""
        return int(self.input_mask.sum()) + int((self.labels != IGNORED).sum())


def moment(stage: Stage, fraction: float) -> Point:
    """Returns the mixture and length at a fraction (0 to 1) of a stage, interpolated between its points."""
    points = stage.curriculum
    after = next((index for index, point in enumerate(points) if point.at > fraction), len(points))
    left, right = points[after - 1], points[min(after, len(points) - 1)]
    share = (fraction - left.at) / (right.at - left.at) if right.at > left.at else 0.0
    names = dict.fromkeys([*left.mixture, *right.mixture])
    mixture = {name: (1 - share) * left.mixture.get(name, 0.0) + share * right.mixture.get(name, 0.0) for name in names}
    return Point(at=fraction, mixture=mixture, length=round((1 - share) * left.length + share * right.length))


def collate(rows: list[Row], *, pad: int) -> TokenBatch:
    """Returns rows as one padded batch."""
    longest_source = max(len(row.source) for row in rows)
    longest_target = max(len(row.target) for row in rows)
    source = np.full((len(rows), longest_source), pad, dtype=np.int64)
    target = np.full((len(rows), longest_target), IGNORED, dtype=np.int64)
    mask = np.zeros((len(rows), longest_source), dtype=np.float32)
    for index, row in enumerate(rows):
        source[index, : len(row.source)] = row.source
        mask[index, : len(row.source)] = 1.0
        target[index, : len(row.target)] = row.target
    targets = np.unique(target)
    return TokenBatch(torch.from_numpy(source), torch.from_numpy(mask), torch.from_numpy(target), targets[targets >= 0])


def pack(rows: list[Row], *, batch_tokens: int, pad: int, rng: np.random.Generator) -> list[TokenBatch]:
    """Returns rows of like lengths in batches of at most `batch_tokens` padded places, in random order."""
    ordered = sorted(rows, key=lambda row: (len(row.source) // 6, len(row.target)))
    groups: list[list[Row]] = [[]]
    source = target = 0
    for row in ordered:
        source, target = max(source, len(row.source)), max(target, len(row.target))
        if groups[-1] and (source + target) * (len(groups[-1]) + 1) > batch_tokens:
            groups.append([])
            source, target = len(row.source), len(row.target)
        groups[-1].append(row)
    return [collate(groups[index], pad=pad) for index in rng.permutation(len(groups))]


def pool(
    make_row: RowMaker,
    stage: Stage,
    *,
    fraction: float,
    seed: tuple[int, ...],
    pad: int,
) -> list[TokenBatch]:
    """Returns about `POOL_STEPS` batches of the mixture at a moment of a stage.

    Args:
        make_row: Gives a row of a task: its name, the longest chunk, a generator.
        stage: The stage.
        fraction: The moment in the stage, 0 to 1.
        seed: What the rows depend on; the same seed and fraction give the same batches.
        pad: Id of the padding token.
    """
    rng = np.random.default_rng(seed)
    now = moment(stage, fraction)
    names = list(now.mixture)
    weights = np.asarray([now.mixture[name] for name in names])
    weights = weights / weights.sum()
    rows: list[Row] = []
    for name in _endless_draws(names, weights, rng):
        rows.append(make_row(name, now.length, rng))
        if _full(rows, stage.batch_tokens):
            break
    return pack(rows, batch_tokens=stage.batch_tokens, pad=pad, rng=rng)


def sum_places(rows: list[Row]) -> int:
    """Returns the number of source and target tokens of rows."""
    return sum(len(row.source) + len(row.target) for row in rows)


def _full(rows: list[Row], batch_tokens: int) -> bool:
    return len(rows) % 64 == 0 and sum_places(rows) >= POOL_STEPS * batch_tokens


def _endless_draws(names: list[str], weights: np.ndarray, rng: np.random.Generator) -> Iterator[str]:
    while True:
        yield from (names[index] for index in rng.choice(len(names), size=256, p=weights))
