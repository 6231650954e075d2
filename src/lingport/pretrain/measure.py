"""What a backbone can do on unseen text: span-corruption loss, and exact copying under greedy decoding.

Rows are made once and stay the same through a run. Not here: scores on tasks, which are `lingport.evaluate`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lingport.pretrain.corpus import TokenText
from lingport.pretrain.denoise import DENOISERS, Pieces, Row
from lingport.pretrain.forward import IGNORED, token_losses, token_matches
from lingport.pretrain.mixture import collate
from lingport.pretrain.vocabulary import PAD_ID

ROWS_AT_ONCE = 32


def fixed_rows(name: str, text: TokenText, pieces: Pieces, *, num_rows: int, length: int, seed: int) -> list[Row]:
    """Returns rows of one denoising task, spread evenly over a held-out text."""
    rng = np.random.default_rng(seed)
    latest = max(len(text.ids) - length, 0)
    places = np.linspace(0, latest, num_rows).astype(int)
    return [DENOISERS[name](text.ids[start : start + length].astype(np.int64), pieces, rng) for start in places]


@torch.no_grad()
def mean_loss(model: Any, rows: list[Row]) -> float:
    """Returns the cross entropy per target token, in nats, over all target tokens of the rows."""
    total, count = 0.0, 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        batch = collate(rows[start : start + ROWS_AT_ONCE], pad=PAD_ID)
        losses = token_losses(model, batch.input_ids, batch.input_mask, batch.labels)
        total, count = total + float(losses.sum()), count + len(losses)
    return total / count


@torch.no_grad()
def exact_match(model: Any, rows: list[Row]) -> float:
    """Returns the share (0 to 1) of rows that greedy decoding gives back exactly.

    Decoding is not run: a row is right under greedy decoding just when, fed with the right tokens so far, every
    next token is the likeliest.
    """
    right = 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        batch = collate(rows[start : start + ROWS_AT_ONCE], pad=PAD_ID)
        matches = token_matches(model, batch.input_ids, batch.input_mask, batch.labels)
        right += int((matches | (batch.labels == IGNORED)).all(dim=1).sum())
    return right / len(rows)


def unigram_loss(rows: list[Row], *, counts: np.ndarray) -> float:
    """Returns the cross entropy per target token, in nats, of a unigram distribution: the baseline to beat.

    Args:
        rows: The rows.
        counts: How often every id (V,) is a target token in training rows; one is added to each.
    """
    logarithms = np.log((counts + 1.0) / (counts + 1.0).sum())
    return float(-np.mean(np.concatenate([logarithms[row.target] for row in rows])))
