"""The mean loss of a composition on given rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.data.batch import IGNORED, Row, by_length, collate


def mean_loss(
    model: ComposedModel,
    composition: Composition,
    rows: Sequence[Row],
    *,
    max_rows: int = 64,
    max_tokens: int = 8192,
) -> float:
    """Returns the negative log-likelihood per target token in nats, over all rows together.

    Args:
        model: The backbone.
        composition: What acts on the rows.
        rows: Inputs and targets.
        max_rows: Most rows of a batch.
        max_tokens: Most input tokens of a batch, padding included.
    """
    total, num_tokens = 0.0, 0
    pad_id = model.backbone.tokenizer.pad_token_id
    with torch.no_grad(), model.using(composition):
        for places in by_length([len(row.input_ids) for row in rows], max_rows=max_rows, max_tokens=max_tokens):
            batch = collate([rows[place] for place in places], pad_id=pad_id)
            total += model.row_losses(batch.input_ids, batch.attention_mask, batch.labels).sum().item()
            num_tokens += int((batch.labels != IGNORED).sum())
    return total / max(1, num_tokens)
