"""Attention of a frozen T5 model: the softmax in place, of rows that are padded or that lie end to end.

The gradient of a bias is never computed: a frozen model's bias needs none. Not here: the other parts (`fused.py`), and
which rows of a packed batch are computed together (`packing.py`). Source: ours.
Shapes: B rows, H heads, Q queries, K keys, d size of a head, N tokens of all rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from lingport.backbones.fused import cached_rows, drop_signs, is_trained, kept_scale, noise, on_gpu
from lingport.backbones.packing import Group

ATTENTION = "lingport"  # name in transformers' registry of attention functions
_ALIGNMENT = 8


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


def _attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, rate: float, drawn: np.random.Generator | None, out: Tensor
) -> Tensor:
    """Writes `dropout(softmax(q k^T + bias)) v` without dropout's scale; returns the probabilities for `_attend_back`.

    A dropped probability is kept with a minus sign, so that no mask is kept.
    """
    scores = q @ k.transpose(-1, -2)
    if bias is not None:
        scores += bias
    shares = kept = torch.softmax(scores, dim=-1, out=scores)
    if drawn is not None:
        kept = torch.copysign(shares, drop_signs(shares.shape, rate, shares, drawn))
        shares = torch.clamp(kept, min=0, out=shares)
    torch.matmul(shares, v, out=out)
    return kept


def _attend_back(
    q: Tensor, k: Tensor, v: Tensor, kept: Tensor, along: Tensor, grad: Tensor, rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of q, k and v.

    Args:
        q: Queries (B, H, Q, d).
        k: Keys (B, H, K, d).
        v: Values (B, H, K, d).
        kept: What `_attend` returned.
        along: (B, H, Q, 1) gradient . output. The softmax's sum over keys of p * dp is the same number, which so is a
            d-th of the work.
        grad: Gradient (B, H, Q, d) of the output.
        rate: Dropout's.
    """
    shares = used = kept
    if rate:
        shares, used, grad = kept.abs(), kept.clamp(min=0), grad * kept_scale(rate)
    of_scores = (grad @ v.transpose(-1, -2)).mul_(used).addcmul_(shares, along, value=-1)
    return of_scores @ k, of_scores.transpose(-1, -2) @ q, used.transpose(-1, -2) @ grad


class _Attention(torch.autograd.Function):
    """Attention of padded rows, a few rows of the batch at a time, so that scores stay in a processor's cache."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, rate: float) -> Tensor:
        shape = torch.Size((*q.shape[:-1], k.shape[-2]))
        wanted = any(ctx.needs_input_grad)
        kept: list[Tensor] = []
        out = torch.empty_like(q)
        drawn = noise() if rate else None
        for rows in cached_rows(shape):
            own = bias if bias is None or len(bias) == 1 else bias[rows]
            found = _attend(q[rows], k[rows], v[rows], own, rate, drawn, out[rows])
            if wanted:
                kept.append(found)
        if rate:
            out.mul_(kept_scale(rate))
        if wanted:
            ctx.save_for_backward(q, k, v, out, *kept)
        ctx.rate = rate
        return out

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, out, *kept = ctx.saved_tensors
        of_q, of_k, of_v = (torch.empty_like(each) for each in (q, k, v))
        shape = torch.Size((*q.shape[:-1], k.shape[-2]))
        for rows, own in zip(cached_rows(shape), kept, strict=True):
            grad = outputs[0][rows]
            along = (grad * out[rows]).sum(-1, keepdim=True)
            parts = _attend_back(q[rows], k[rows], v[rows], own, along, grad, ctx.rate)
            for whole, part in zip((of_q, of_k, of_v), parts, strict=True):
                whole[rows] = part
        return of_q, of_k, of_v, None, None


class _PackedAttention(torch.autograd.Function):
    """Attention of rows that lie end to end: q (N, H, d) of the queries' tokens, k and v of the keys' tokens."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, biases: list[Tensor | None], rate: float, groups: list[Group]
    ) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        kept: list[Tensor] = []
        out = torch.empty_like(q)
        drawn = noise() if rate else None
        for group, bias in zip(groups, biases, strict=True):
            parts = group.queries.padded(q), group.keys.padded(k), group.keys.padded(v)
            own = torch.empty_like(parts[0])
            found = _attend(*parts, bias, rate, drawn, own)
            group.queries.write(own, out)
            if wanted:
                kept.append(found)
        if rate:
            out.mul_(kept_scale(rate))
        if wanted:
            ctx.save_for_backward(q, k, v, out, *kept)
        ctx.rate, ctx.groups = rate, groups
        return out

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        q, k, v, out, *kept = ctx.saved_tensors
        # The row of zeros at the end is read where a group is padded: what is no query has no gradient.
        grad = F.pad(outputs[0], (0, 0, 0, 0, 0, 1))
        along = F.pad((outputs[0] * out).sum(-1, keepdim=True), (0, 0, 0, 0, 0, 1))
        of_q, of_k, of_v = (torch.empty_like(each) for each in (q, k, v))
        for group, own in zip(ctx.groups, kept, strict=True):
            parts = group.queries.padded(q), group.keys.padded(k), group.keys.padded(v)
            zeroed = group.queries.padded(along, zeros=True), group.queries.padded(grad, zeros=True)
            found = _attend_back(*parts, own, *zeroed, ctx.rate)
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
    if on_gpu(query) or (bias is not None and is_trained(bias)):
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout, scale=1.0)
    else:
        out = _Attention.apply(query, key, value, bias, dropout)
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
    if not on_gpu(bias):
        return bias.contiguous()
    num_keys = bias.shape[-1]
    rows = bias.new_zeros(*bias.shape[:-1], num_keys + -num_keys % _ALIGNMENT)
    return rows[..., :num_keys].copy_(bias)
