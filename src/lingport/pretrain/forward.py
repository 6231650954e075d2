"""A lean training pass through an mT5 model: the same numbers as transformers' own, in fewer operations.

Works on the model's own parameters and knows no dropout. What it saves: masks are made once a batch, position
biases once a stack, and the vocabulary is scored only at target tokens that count. Not for generation.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -100  # the label of a place that has no target token

# B rows, S source tokens, T target tokens, H heads, K head width, D model width, V vocabulary


def _norm(layer: Any, hidden: Tensor) -> Tensor:
    return F.rms_norm(hidden, (hidden.shape[-1],), layer.weight, layer.variance_epsilon)


def _heads(projected: Tensor, num_heads: int) -> Tensor:
    return projected.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def _attend(attention: Any, queries: Tensor, memory: Tensor, bias: Tensor) -> Tensor:
    """Attention of mT5: no scaling, an additive bias broadcast to (B, H, T, S)."""
    q = _heads(attention.q(queries), attention.n_heads)
    k = _heads(attention.k(memory), attention.n_heads)
    v = _heads(attention.v(memory), attention.n_heads)
    scores = torch.matmul(q, k.transpose(2, 3)) + bias
    mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
    return attention.o(mixed.transpose(1, 2).flatten(2))


def _feed_forward(layer: Any, hidden: Tensor) -> Tensor:
    dense = layer.DenseReluDense
    normed = _norm(layer.layer_norm, hidden)
    return hidden + dense.wo(F.gelu(dense.wi_0(normed), approximate="tanh") * dense.wi_1(normed))


def encode(model: Any, input_ids: Tensor, input_mask: Tensor) -> Tensor:
    """Returns the encoder's output (B, S, D) for ids (B, S) under a mask (B, S) of 0 and 1."""
    stack = model.encoder
    hidden = F.embedding(input_ids, model.shared.weight)
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(input_ids.shape[1], input_ids.shape[1])
    bias = bias + _blocked(input_mask)
    for block in stack.block:
        attention, feed_forward = block.layer
        normed = _norm(attention.layer_norm, hidden)
        hidden = hidden + _attend(attention.SelfAttention, normed, normed, bias)
        hidden = _feed_forward(feed_forward, hidden)
    return _norm(stack.final_layer_norm, hidden)


def _blocked(mask: Tensor) -> Tensor:
    """A bias (B, 1, 1, S) that shuts out the places whose mask is 0."""
    return ((1 - mask) * -30000.0)[:, None, None, :]


def decode(model: Any, decoder_ids: Tensor, memory: Tensor, input_mask: Tensor) -> Tensor:
    """Returns the decoder's last hidden states (B, T, D) for teacher-forced ids (B, T)."""
    stack = model.decoder
    length = decoder_ids.shape[1]
    hidden = F.embedding(decoder_ids, model.shared.weight)
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(length, length)
    bias = bias + torch.full((length, length), -30000.0).triu(1)
    blocked = _blocked(input_mask)
    for block in stack.block:
        attention, cross, feed_forward = block.layer
        normed = _norm(attention.layer_norm, hidden)
        hidden = hidden + _attend(attention.SelfAttention, normed, normed, bias)
        hidden = hidden + _attend(cross.EncDecAttention, _norm(cross.layer_norm, hidden), memory, blocked)
        hidden = _feed_forward(feed_forward, hidden)
    return _norm(stack.final_layer_norm, hidden)


def token_losses(
    model: Any,
    input_ids: Tensor,
    input_mask: Tensor,
    labels: Tensor,
    *,
    candidates: Tensor | None = None,
    correction: float = 0.0,
) -> Tensor:
    """Returns the cross entropy (N,) in nats of every target token that counts, row by row.

    Equal to transformers' loss before the mean, up to float rounding.

    Args:
        model: An mT5 model for conditional generation, its embeddings tied.
        input_ids: (B, S) int64.
        input_mask: (B, S) float, 1 where there is a token.
        labels: (B, T) int64, `IGNORED` where there is none.
        candidates: Sorted ids (C,) that the softmax runs over, all targets among them; None: the vocabulary.
        correction: Added to the scores of candidates that are no targets of the batch: the logarithm of how many
            vocabulary entries each stands for (importance-weighted sampled softmax).
    """
    memory = encode(model, input_ids, input_mask)
    hidden = decode(model, _shifted(model, labels), memory, input_mask)
    counted = labels != IGNORED
    targets = labels[counted]
    hidden = hidden[counted]
    weight = model.shared.weight
    if candidates is None:
        return F.cross_entropy(F.linear(hidden, weight).float(), targets, reduction="none")
    present = torch.zeros(len(candidates), dtype=torch.bool)
    places = torch.searchsorted(candidates, targets)
    present[places] = True
    logits = F.linear(hidden, weight[candidates]).float() + torch.where(present, 0.0, correction)
    return F.cross_entropy(logits, places, reduction="none")


def token_matches(model: Any, input_ids: Tensor, input_mask: Tensor, labels: Tensor) -> Tensor:
    """Returns where (B, T) the likeliest next token is the label, the decoder being fed the labels so far."""
    memory = encode(model, input_ids, input_mask)
    hidden = decode(model, _shifted(model, labels), memory, input_mask)
    return F.linear(hidden, model.shared.weight).argmax(dim=-1) == labels


def _shifted(model: Any, labels: Tensor) -> Tensor:
    """The decoder's input ids (B, T): the start token, then the labels but the last."""
    start = labels.new_full((len(labels), 1), model.config.decoder_start_token_id)
    return torch.cat([start, labels[:, :-1].clamp(min=model.config.pad_token_id)], dim=1)
