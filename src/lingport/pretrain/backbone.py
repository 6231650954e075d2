"""The untrained mT5 model of a recipe: its configuration and how its weights start.

Differences from mT5's own start: see `ModelShape`. Training it is `loop.py`'s job.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, MT5Config, MT5ForConditionalGeneration

from lingport.errors import ConfigError
from lingport.pretrain.recipe import ModelShape
from lingport.pretrain.vocabulary import END_ID, PAD_ID

_BOTH_WAYS_HALF = 16  # of 32 buckets: from here on the offsets to the right


def new_backbone(shape: ModelShape, *, vocab_size: int, seed: int) -> MT5ForConditionalGeneration:
    """Returns a model in float32 without dropout, its weights drawn under `seed`. Source: ours, on mT5's.

    Three differences from mT5's start, each found to let copying appear earlier. Embeddings start small, since
    the tied output scores with them unscaled. The projections into the residual stream start near 0, so that
    the stream first carries the tokens themselves. Some heads start looking at neighbours, because
    cross-attention knows no positions and finds the next token to copy by its left neighbour.
    """
    config = MT5Config(
        vocab_size=vocab_size,
        d_model=shape.d_model,
        d_kv=shape.d_kv,
        d_ff=shape.d_ff,
        num_layers=shape.num_layers,
        num_decoder_layers=shape.num_decoder_layers,
        num_heads=shape.num_heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        pad_token_id=PAD_ID,
        eos_token_id=END_ID,
        decoder_start_token_id=PAD_ID,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MT5ForConditionalGeneration(config)
        torch.nn.init.normal_(model.shared.weight, std=shape.embedding_std)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".o.weight", ".wo.weight")):
                parameter.mul_(shape.output_scale)
        _look_at_neighbours(model, shape.neighbour_bias)
    model.generation_config = GenerationConfig(
        pad_token_id=PAD_ID, eos_token_id=END_ID, decoder_start_token_id=PAD_ID, max_new_tokens=64
    )
    return model


def read_backbone(folder: str, shape: ModelShape) -> MT5ForConditionalGeneration:
    """Returns the model in a folder in float32, to go on from.

    Raises:
        ConfigError: The folder holds no model, or one of another shape.
    """
    try:
        model = MT5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    except OSError as error:
        raise ConfigError(
            f"there is no backbone: {error}", where="start", hint="give a folder that pretrain wrote"
        ) from error
    for name, wanted in shape.model_dump().items():
        found = getattr(model.config, name, wanted)
        if found != wanted:
            raise ConfigError(f"{folder} has {name} {found}", where=f"model.{name}", hint=f"say {found} there")
    return model


@torch.no_grad()
def start_from_text(model: MT5ForConditionalGeneration, vectors: np.ndarray) -> None:
    """Makes half of the embeddings' variance that of text-made vectors (V, D) of length 1; rows of zeros stay.

    The random half keeps pieces of like meaning apart, which copying needs. Source: ours.
    """
    embeddings = model.shared.weight
    given = torch.from_numpy(vectors).to(embeddings) * embeddings.std() * vectors.shape[1] ** 0.5
    has_one = given.any(dim=1, keepdim=True)
    embeddings.copy_(torch.where(has_one, (embeddings + given) * 0.5**0.5, embeddings))


def _look_at_neighbours(model: Any, bias: float) -> None:
    """Starts position biases: a bucket's number is the distance to the left, to the right 16 more."""
    if not bias:
        return
    encoder = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    decoder = model.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    for head, bucket in enumerate((1, _BOTH_WAYS_HALF + 1, 2)):
        if head < encoder.shape[1]:
            encoder[bucket, head] = bias
    decoder[1, 0] = bias
