"""From texts to rows of token ids, and from rows to padded batches.

Shapes: B rows, S source tokens, T target tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

IGNORED = -100  # label value that the loss leaves out


@dataclass(frozen=True)
class Row:
    """One row before padding: ids of the input and of the target, both with their end-of-sequence token."""

    input_ids: Sequence[int]
    label_ids: Sequence[int] = ()


@dataclass(frozen=True)
class Batch:
    """Padded rows: `input_ids` and `attention_mask` (B, S), `labels` (B, T) padded with -100."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """Returns the batch on a device."""
        return Batch(self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device))


def tokenize(tokenizer: Any, text: str, max_tokens: int | None = None) -> tuple[list[int], bool]:
    """Returns the token ids of a text with end-of-sequence, and whether it was cut.

    Args:
        tokenizer: The backbone's.
        text: Any text.
        max_tokens: Longest result, end-of-sequence included; None: no limit.
    """
    ids = tokenizer(text, add_special_tokens=False).input_ids
    if max_tokens is None or len(ids) < max_tokens:
        return [*ids, tokenizer.eos_token_id], False
    return [*ids[: max_tokens - 1], tokenizer.eos_token_id], True


def collate(rows: Sequence[Row], *, pad_id: int) -> Batch:
    """Returns the rows padded on the right to the longest of them."""
    input_ids = _pad([row.input_ids for row in rows], pad_id)
    mask = _pad([[1] * len(row.input_ids) for row in rows], 0)
    return Batch(input_ids, mask, _pad([row.label_ids for row in rows], IGNORED))


def by_length(lengths: Sequence[int], *, max_rows: int, max_tokens: int) -> Iterator[list[int]]:
    """Yields indices in batches of similar length, longest first.

    Args:
        lengths: Tokens of each row.
        max_rows: Most rows of a batch.
        max_tokens: Most tokens of a batch, padding included; a longer row is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    start = 0
    while start < len(order):
        fit = max(1, min(max_rows, max_tokens // max(1, lengths[order[start]])))
        yield order[start : start + fit]
        start += fit


def _pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    longest = max((len(row) for row in rows), default=0)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], dtype=torch.long)
