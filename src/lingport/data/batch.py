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
        """Returns the batch on a device; work that a GPU has still to do is not waited for."""
        every = (self.input_ids, self.attention_mask, self.labels)
        return Batch(*(each.to(device, non_blocking=True) for each in every))


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


def parts_by_tokens(rows: Sequence[Row], *, max_tokens: int) -> list[list[int]]:
    """Returns the places of rows in as few parts of about the same number of tokens as there can be, the longest first.

    Args:
        rows: What is to be computed without padding.
        max_tokens: Most tokens of a part, inputs and targets counted; a longer row is a part of its own.
    """
    order = _longest_first(rows)
    sizes = [len(rows[row].input_ids) + len(rows[row].label_ids) for row in order]
    even = sum(sizes) / max(1, -(-sum(sizes) // max_tokens))
    parts: list[list[int]] = []
    tokens = 0
    for row, size in zip(order, sizes, strict=True):
        if not parts or tokens + size > max_tokens or tokens >= even:
            parts.append([])
            tokens = 0
        parts[-1].append(row)
        tokens += size
    return parts


def parts_by_length(rows: Sequence[Row], *, part_cost: int, max_tokens: int | None = None) -> list[list[int]]:
    """Returns the places of rows in parts of similar length, the longest first, so that padding costs least.

    The parts are the best ones there are: no other division of the rows, sorted by length, has fewer tokens, padding
    and the cost of each part counted.

    Args:
        rows: What is to be computed.
        part_cost: What computing one more part costs, in tokens.
        max_tokens: Most tokens of a part, inputs, targets and padding counted; a longer row is a part of its own.
    """
    order = _longest_first(rows)
    best, cut = [0], [0]  # over the first n rows: least cost, and where its last part starts
    for end in range(1, len(order) + 1):
        targets, found = 0, []
        for start in range(end - 1, -1, -1):
            targets = max(targets, len(rows[order[start]].label_ids))
            tokens = (end - start) * (len(rows[order[start]].input_ids) + targets)
            if max_tokens is not None and tokens > max_tokens and start < end - 1:
                break
            found.append((best[start] + tokens + part_cost, start))
        least, start = min(found)
        best.append(least)
        cut.append(start)
    parts, end = [], len(order)
    while end:
        parts.append(order[cut[end] : end])
        end = cut[end]
    return parts[::-1]


def _longest_first(rows: Sequence[Row]) -> list[int]:
    return sorted(range(len(rows)), key=lambda row: (-len(rows[row].input_ids), -len(rows[row].label_ids), row))


def _pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    longest = max((len(row) for row in rows), default=0)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], dtype=torch.long)
