"""Rows that lie end to end in place of padded ones: which tokens are whose, and which rows attend together.

A row's tokens follow those of the row before it, so that linear layers, norms and losses compute no padding; only
attention looks at rows, in groups of similar length that are padded for as long as it takes.
Shapes: B rows of a group, H heads, L tokens of its longest row, d size of a head, N tokens of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

_MOST_PAIRS = 2**19  # of query and key in a group: 6 MiB of bfloat16 with six heads
_GROUP_COST = 40000  # what one more group costs, in pairs computed in the same time


class Side:
    """The tokens of a group's rows, as queries or as keys.

    Args:
        lengths: Tokens of each row.
        start: Place of the first among all N tokens.
    """

    def __init__(self, lengths: Sequence[int], start: int) -> None:
        self.lengths = torch.tensor(lengths)
        self.longest = max(lengths)
        self.start, self.stop = start, start + sum(lengths)
        self._is_token_bl = torch.arange(self.longest) < self.lengths[:, None]
        self._places: dict[tuple[int, int], Tensor] = {}

    @property
    def is_token_bl(self) -> Tensor | None:
        """(B, L) whether there is a token; None: everywhere."""
        return None if self._is_token_bl.all() else self._is_token_bl

    def padded(self, x_nhd: Tensor, *, zeros: bool = False) -> Tensor:
        """Returns the group's tokens (B, H, L, d).

        Args:
            x_nhd: Of all tokens.
            zeros: Whether padding reads the last row of `x_nhd`, which is no token; else it reads some token.
        """
        _, heads, size = x_nhd.shape
        found = x_nhd.view(-1, size).index_select(0, self._read(heads, len(x_nhd) - 1 if zeros else self.start))
        return found.view(len(self.lengths), heads, self.longest, size)

    def write(self, x_bhld: Tensor, out_nhd: Tensor) -> None:
        """Writes a group's tokens to their places among all tokens."""
        num_heads, size = x_bhld.shape[1], x_bhld.shape[-1]
        own = out_nhd[self.start : self.stop].view(-1, size)
        torch.index_select(x_bhld.reshape(-1, size), 0, self._back(num_heads), out=own)

    def _read(self, num_heads: int, padding: int) -> Tensor:
        key = (num_heads, padding)
        if key not in self._places:
            token_bl = torch.full(self._is_token_bl.shape, padding)
            token_bl[self._is_token_bl] = torch.arange(self.start, self.stop)
            self._places[key] = (token_bl[:, None] * num_heads + torch.arange(num_heads)[:, None]).flatten()
        return self._places[key]

    def _back(self, num_heads: int) -> Tensor:
        key = (num_heads, -1)
        if key not in self._places:
            rows, columns = self._is_token_bl.nonzero(as_tuple=True)
            first = rows * num_heads * self.longest + columns
            self._places[key] = (first[:, None] + torch.arange(num_heads) * self.longest).flatten()
        return self._places[key]


@dataclass(frozen=True)
class Group:
    """Rows that attend together."""

    queries: Side
    keys: Side
    is_causal: bool

    def bias(self, position_bias: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Returns what is added to the scores (B, H, Q, K): position bias, padding and the future.

        Args:
            position_bias: (1, H, Q, K) for at least as many queries and keys; None: none.
            dtype: Of the scores.
        """
        num_queries, num_keys = self.queries.longest, self.keys.longest
        bias = torch.zeros((), dtype=dtype) if position_bias is None else position_bias[:, :, :num_queries, :num_keys]
        seen = self.keys.is_token_bl
        seen = None if seen is None else seen[:, None, None]
        if self.is_causal:
            past = torch.ones(num_queries, num_keys, dtype=torch.bool).tril()
            seen = past if seen is None else seen & past
        if seen is not None:
            return torch.where(seen, bias, torch.finfo(dtype).min)
        return None if position_bias is None else bias.contiguous()


class Groups:
    """All groups of an attention.

    Args:
        queries: Queries of each row.
        keys: Keys of each row.
        is_causal: Whether a token sees none that comes later.
        has_bias: Whether positions count.
    """

    def __init__(self, queries: Sequence[int], keys: Sequence[int], *, is_causal: bool, has_bias: bool) -> None:
        self._queries, self._keys, self._is_causal = queries, keys, is_causal
        self.has_bias = has_bias
        self._kept: tuple[Tensor | None, list[Tensor | None]] | None = None

    @cached_property
    def groups(self) -> list[Group]:
        """The groups, found when they are first asked for: the encoder alone never asks for those of targets."""
        first_query, first_key = [0, *accumulate(self._queries)], [0, *accumulate(self._keys)]
        return [
            Group(Side(self._queries[a:b], first_query[a]), Side(self._keys[a:b], first_key[a]), self._is_causal)
            for a, b in _divided(self._queries, self._keys)
        ]

    @property
    def longest(self) -> int:
        """Most queries or keys of a row."""
        return max(*self._queries, *self._keys)

    def biases(self, position_bias: Tensor) -> list[Tensor | None]:
        """Returns the bias of each group, made once for all blocks that share the position bias."""
        shared = position_bias if self.has_bias else None
        if self._kept is None or self._kept[0] is not shared:
            self._kept = shared, [group.bias(shared, position_bias.dtype) for group in self.groups]
        return self._kept[1]


class Packing:
    """Rows that lie end to end, sources in one sequence and targets in another.

    Args:
        sources: Source tokens of each row, at least 1.
        targets: Target tokens of each target, at least 1; a row's targets follow each other.
        acting: What its maker wants to find again where the rows are computed.
        targets_per_row: How many targets each row has. They do not see each other, and look at their source together,
            so that its keys and values are computed once.
    """

    def __init__(
        self, sources: Sequence[int], targets: Sequence[int], *, acting: Any, targets_per_row: int = 1
    ) -> None:
        self.acting = acting
        starts = range(0, len(targets), targets_per_row)
        of_row = [sum(targets[start : start + targets_per_row]) for start in starts]
        self.groups = {
            "source": Groups(sources, sources, is_causal=False, has_bias=True),
            "target": Groups(targets, targets, is_causal=True, has_bias=True),
            "cross": Groups(of_row, sources, is_causal=False, has_bias=False),
        }


def _divided(queries: Sequence[int], keys: Sequence[int]) -> list[tuple[int, int]]:
    """Returns where groups of neighbouring rows start and end, so that padding and groups cost least."""
    best, cut = [0], [0]
    for end in range(1, len(queries) + 1):
        found, most_queries, most_keys = [], 0, 0
        for start in range(end - 1, -1, -1):
            most_queries, most_keys = max(most_queries, queries[start]), max(most_keys, keys[start])
            pairs = (end - start) * most_queries * most_keys
            if pairs > _MOST_PAIRS and start < end - 1:
                break
            found.append((best[start] + pairs + _GROUP_COST, start))
        least, start = min(found)
        best.append(least)
        cut.append(start)
    parts, end = [], len(queries)
    while end:
        parts.append((cut[end], end))
        end = cut[end]
    return parts[::-1]
