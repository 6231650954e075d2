"""Cross-attention heads that look evenly at the whole input, all through training.

Heads that learn to copy look at one place each. What a text is about lies in all of it, and a module that is trained
above a frozen decoder has no other way to it. Source: ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import MT5ForConditionalGeneration

from lingport.pretrain.corpus import TokenText

NUM_TEXTS = 1600
TEXT_LENGTH = 32  # pieces
TEXTS_AT_ONCE = 32
_FAINT = 1e-4  # of the first component's size: less is rounding


def hold_even_heads(model: MT5ForConditionalGeneration, num_heads: int) -> None:
    """Makes the last heads of every cross-attention even, and keeps them so: their keys are 0 and get no gradient."""
    for attention, even in _heads(model, num_heads):
        with torch.no_grad():
            attention.k.weight[even] = 0.0
        attention.k.weight.register_hook(lambda gradient, even=even: _without_rows(gradient, even))


@torch.no_grad()
def carry_summaries(
    model: MT5ForConditionalGeneration,
    corpus: dict[str, TokenText],
    num_heads: int,
    *,
    share: float,
    seed: int,
    within: Tensor | None = None,
) -> None:
    """Makes even heads carry what the encoder says of a whole text, in place of what they carried.

    The mean of the encoder's states over a text, over many texts of all languages, is taken apart into principal
    components beside its own mean; every block's even heads carry the next ones, each with variance 1 and together
    of a size to be seen, into the decoder's state.

    Args:
        model: Its even heads are held; see `hold_even_heads`.
        corpus: Language -> text; all languages count alike.
        num_heads: Even heads per block.
        share: Size of what the heads of a block add, over the size of the decoder's state there.
        seed: Of the choice of texts.
        within: Orthonormal directions (D, K) of the encoder's states: only these are carried; None: all.
    """
    means, sizes = _whole_texts(model, corpus, seed=seed)
    centred = means - means.mean(0)
    usual = torch.nn.functional.normalize(means.mean(0), dim=0)
    centred = centred - (centred @ usual)[:, None] * usual
    if within is not None:
        centred = centred @ within @ within.T
    _, spread, directions = torch.linalg.svd(centred, full_matrices=False)
    known = spread > _FAINT * spread[0]
    directions, spread = directions[known], spread[known] / len(means) ** 0.5
    first = 0
    for (attention, even), size in zip(_heads(model, num_heads), sizes, strict=True):
        own = slice(first, first + even.stop - even.start)
        if own.stop > len(directions):
            return  # all that there is to say is carried
        values = directions[own] / spread[own, None]
        outputs = directions[own].T * (share * size / len(values) ** 0.5)
        balance = (values.norm() / outputs.norm()) ** 0.5
        attention.v.weight[even] = values / balance
        attention.o.weight[:, even] = outputs * balance
        first = own.stop


def _whole_texts(
    model: MT5ForConditionalGeneration, corpus: dict[str, TokenText], *, seed: int
) -> tuple[Tensor, list[float]]:
    """The mean encoder states (T, D) of texts, and the size of the decoder's first state after every block."""
    rng = np.random.default_rng(seed)
    each = max(NUM_TEXTS // len(corpus), 1)
    chunks = [text.chunk(TEXT_LENGTH, rng=rng) for text in corpus.values() for _ in range(each)]
    chunks = [chunk for chunk in chunks if len(chunk) == TEXT_LENGTH]
    means, sizes = [], []
    for start in range(0, len(chunks), TEXTS_AT_ONCE):
        ids = torch.from_numpy(np.stack(chunks[start : start + TEXTS_AT_ONCE]).astype(np.int64))
        begin = torch.full((len(ids), 1), cast(int, model.config.decoder_start_token_id))
        found = model(input_ids=ids, decoder_input_ids=begin, output_hidden_states=True)
        means.append(found.encoder_last_hidden_state.mean(1))
        sizes.append([float(state[:, 0].norm(dim=-1).mean()) for state in found.decoder_hidden_states[1:]])
    return torch.cat(means), np.mean(sizes, axis=0).tolist()


def _heads(model: MT5ForConditionalGeneration, num_heads: int) -> Iterator[tuple[Any, slice]]:
    """Every block's cross-attention, and the rows of its last heads."""
    for block in model.decoder.block:
        attention = cast(Any, block).layer[1].EncDecAttention
        yield attention, slice(attention.inner_dim - num_heads * attention.key_value_proj_dim, attention.inner_dim)


def _without_rows(gradient: Tensor, rows: slice) -> Tensor:
    gradient = gradient.clone()
    gradient[rows] = 0.0
    return gradient
