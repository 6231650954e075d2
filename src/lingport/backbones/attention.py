"""Attention of a frozen T5 model, of rows that are padded or that lie end to end.

The gradient of a bias is never computed: a frozen model's bias needs none. Not here: the other parts (`fused.py`), and
which rows of a packed batch are computed together (`packing.py`). Source: ours.
Shapes: B rows, H heads, Q queries, K keys, d size of a head, N tokens of all rows.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from lingport.backbones import loops
from lingport.backbones.fused import in_loops, is_trained
from lingport.backbones.packing import Group

ATTENTION = "lingport"  # name in transformers' registry of attention functions
_ALIGNMENT = 8
_CACHED_SCORES = 2**21  # 4 MiB of bfloat16


def register_attention() -> str:
    """Makes the attention known to transformers; returns the name to set it by."""
    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    return ATTENTION


def seen_tokens(mask_bs: Tensor, device: torch.device) -> Tensor | None:
    """Returns the mask as attention takes it, (B, 1, 1, S), True for text, on a device; None: all is text.

    That all is text is decided where the mask lies: transformers would ask the GPU, which then runs dry.
    """
    return None if bool(mask_bs.all()) else mask_bs.bool()[:, None, None].to(device, non_blocking=True)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, rate: float, seed: int) -> Tensor:
    """Returns `dropout(softmax(q k^T + bias)) v` of a few rows, whose scores stay in a processor's cache."""
    return loops.softmax(q @ k.mT, bias, rate, seed) @ v


def _attend_back(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, grad: Tensor, rate: float, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of q, k and v; the probabilities are computed again, for they are the most to be kept.

    Args:
        q: Queries (B, H, Q, d).
        k: Keys (B, H, K, d).
        v: Values (B, H, K, d).
        bias: As `_attend` got it.
        grad: Gradient (B, H, Q, d) of what `_attend` returned.
        rate: Dropout's.
        seed: As `_attend` got it.
    """
    kept = loops.softmax(q @ k.mT, bias, rate, seed, signed=True)
    of_scores, used = loops.softmax_back(grad @ v.mT, kept, rate)
    return of_scores @ k, of_scores.mT @ q, used.mT @ grad


class _Attention(torch.autograd.Function):
    """Attention of padded rows, a few rows of the batch at a time."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, rate: float) -> Tensor:
        out = torch.empty_like(q)
        seeds = [loops.new_seed() if rate else 0 for _ in _few_rows(q, k)]
        for rows, seed in zip(_few_rows(q, k), seeds, strict=True):
            out[rows] = _attend(q[rows], k[rows], v[rows], _own(bias, rows), rate, seed)
        ctx.save_for_backward(q, k, v, bias)
        ctx.rate, ctx.seeds = rate, seeds
        return out

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, bias = ctx.saved_tensors
        of_q, of_k, of_v = (torch.empty_like(each) for each in (q, k, v))
        for rows, seed in zip(_few_rows(q, k), ctx.seeds, strict=True):
            parts = _attend_back(q[rows], k[rows], v[rows], _own(bias, rows), outputs[0][rows], ctx.rate, seed)
            for whole, part in zip((of_q, of_k, of_v), parts, strict=True):
                whole[rows] = part
        return of_q, of_k, of_v, None, None


def _few_rows(q: Tensor, k: Tensor) -> list[slice]:
    """Returns slices of the batch, each of as many scores as a processor's cache holds."""
    step = max(1, _CACHED_SCORES // (q.shape[1] * q.shape[2] * k.shape[2]))
    return [slice(start, start + step) for start in range(0, len(q), step)]


def _own(bias: Tensor | None, rows: slice) -> Tensor | None:
    return bias if bias is None or len(bias) == 1 else bias[rows]


class _PackedAttention(torch.autograd.Function):
    """Attention of rows that lie end to end: q (N, H, d) of the queries' tokens, k and v of the keys' tokens."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, biases: list[Tensor | None], rate: float, groups: list[Group]
    ) -> Tensor:
        out = torch.empty_like(q)
        seeds = [loops.new_seed() if rate else 0 for _ in groups]
        for group, bias, seed in zip(groups, biases, seeds, strict=True):
            parts = group.queries.padded(q), group.keys.padded(k), group.keys.padded(v)
            group.queries.write(_attend(*parts, bias, rate, seed), out)
        ctx.save_for_backward(q, k, v)
        ctx.rate, ctx.seeds, ctx.groups, ctx.biases = rate, seeds, groups, biases
        return out

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        q, k, v = ctx.saved_tensors
        grad = outputs[0]
        if any(group.queries.is_token_bl is not None for group in ctx.groups):
            grad = F.pad(grad, (0, 0, 0, 0, 0, 1))  # zeros, which padding reads: what is no query has no gradient
        of_q, of_k, of_v = (torch.empty_like(each) for each in (q, k, v))
        for group, bias, seed in zip(ctx.groups, ctx.biases, ctx.seeds, strict=True):
            parts = group.queries.padded(q), group.keys.padded(k), group.keys.padded(v)
            found = _attend_back(*parts, bias, group.queries.padded(grad, zeros=True), ctx.rate, seed)
            for side, part, whole in zip(
                (group.queries, group.keys, group.keys), found, (of_q, of_k, of_v), strict=True
            ):
                side.write(part, whole)
        return of_q, of_k, of_v, None, None, None


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **_others: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers asks for it: q, k, v (B, H, Q or K, d) -> (B, Q, H, d)."""
    query = query if scaling == 1.0 else query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    groups = getattr(module, "lingport_groups", None)
    if groups is not None:
        flat = (each[0].transpose(0, 1).contiguous() for each in (query, key, value))
        return _PackedAttention.apply(*flat, groups.biases(position_bias), dropout, groups.groups)[None], None  # type: ignore[index]
    bias = _whole_bias(module, query, key, attention_mask, position_bias)
    if in_loops(query) and (bias is None or not is_trained(bias)):
        out = _Attention.apply(query, key, value, bias, dropout)
    else:
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout, scale=1.0)
    return out.transpose(1, 2), None  # type: ignore[union-attr]


def _whole_bias(
    module: Any, query: Tensor, key: Tensor, attention_mask: Tensor | None, position_bias: Tensor | None
) -> Tensor | None:
    """Returns what is added to the scores: position bias, padding and the future; made once for all blocks."""
    kept = getattr(position_bias, "lingport_whole", None)
    if kept is not None and kept[0] is attention_mask:
        return kept[1]
    num_queries, num_keys = query.shape[-2], key.shape[-2]
    whole = position_bias
    if attention_mask is None and module.is_causal and num_queries > 1:
        rows = torch.arange(num_keys - num_queries, num_keys, device=query.device)
        seen = rows[:, None] >= torch.arange(num_keys, device=query.device)
    else:
        seen = attention_mask
    if seen is not None and seen.dtype == torch.bool:
        least = torch.finfo(query.dtype).min
        whole = torch.where(seen, query.new_zeros(()) if whole is None else whole, least)
    elif seen is not None:
        whole = seen if whole is None else whole + seen
    whole = None if whole is None else _aligned(whole)
    if position_bias is not None:
        position_bias.lingport_whole = (attention_mask, whole)  # type: ignore[attr-defined]
    return whole


def _aligned(bias: Tensor) -> Tensor:
    """Returns a copy with keys side by side (the table of biases has the heads last).

    On a GPU its rows start at multiples of 8 numbers: fused kernels read no other bias, so that torch would copy it in
    every block (`preprocess_mask` in ATen's attention.cpp).
    """
    if in_loops(bias):
        return bias.contiguous()
    num_keys = bias.shape[-1]
    rows = bias.new_zeros(*bias.shape[:-1], num_keys + -num_keys % _ALIGNMENT)
    return rows[..., :num_keys].copy_(bias)
