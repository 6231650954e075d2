"""Backbones of real shapes with random weights: speed and memory depend on no weight, and nothing is downloaded."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoTokenizer, MT5Config, MT5ForConditionalGeneration

from lingport.backbones.base import EMBEDDED, Backbone

_SMALL = {"d_model": 512, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8, "num_heads": 6}
_BASE = {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_decoder_layers": 12, "num_heads": 12}
_WHOLE, _TRIMMED = {"vocab_size": 250_112}, {"vocab_size": 30_000}
#: name -> what makes the shape, as in the published configurations of google/mt5-small and google/mt5-base; trimmed:
#: with the part of the vocabulary that a few languages use (`trim.py`)
SHAPES: dict[str, dict[str, Any]] = {
    "mt5-small": _SMALL | _WHOLE,
    "mt5-base": _BASE | _WHOLE,
    "mt5-small-trimmed": _SMALL | _TRIMMED,
    "mt5-base-trimmed": _BASE | _TRIMMED,
}
HEAD_SIZE = 64
DROPOUT = 0.1
#: standard deviation of the logits over the vocabulary, about that of a trained model
LOGIT_STD = 3.0


def random_backbone(shape: str, *, dtype: torch.dtype, device: str = "cpu") -> Backbone:
    """Returns a backbone of a shape's size; its tokenizer is the nano backbone's and only marks padding."""
    config = MT5Config(
        d_kv=HEAD_SIZE, feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
        dropout_rate=DROPOUT, **SHAPES[shape],
    )  # fmt: skip
    with torch.device("meta"):
        model: Any = MT5ForConditionalGeneration(config)
    model = model.to(dtype).to_empty(device=device)
    for stack in (model.encoder, model.decoder):  # one table for both, as in the real model
        stack.set_input_embeddings(model.shared)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0)
            elif "shared" in name:
                parameter.normal_()
            else:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
                if ".q." in name:  # T5 does not divide attention's scores by the root of the head's size
                    parameter.mul_(HEAD_SIZE**-0.5)
        model.lm_head.weight.mul_(LOGIT_STD)
    return Backbone(model, AutoTokenizer.from_pretrained(EMBEDDED["nano"]), name=f"random {shape}")
