"""Tiny backbones with random weights, one per family, and modules and batches for them.

Not here: the golden backbone, which is a fixture of `conftest.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    ByT5Tokenizer,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from lingport.backbones.base import Backbone
from lingport.config.modules import AdapterSettings, FullSettings, PromptSettings, Settings
from lingport.modules.base import TransferModule, new_module
from tests.conftest import GOLDEN

FAMILIES = ("t5", "mt5", "umt5", "byt5")
WIDTH = 16
TEXTS = ["a cat sat on the mat", "no", "the bed is red and the hen is wet", "tea"]

_SIZE = {
    "d_model": WIDTH,
    "d_kv": 4,
    "d_ff": 24,
    "num_heads": 4,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "dropout_rate": 0.1,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
}


def tiny(family: str, *, seed: int = 0, **changes: Any) -> Backbone:
    """A new backbone of a family; the same seed gives the same weights."""
    size: dict[str, Any] = _SIZE | {"vocab_size": 384 if family == "byt5" else 176} | changes
    torch.manual_seed(seed)
    if family == "umt5":
        model = UMT5ForConditionalGeneration(UMT5Config(feed_forward_proj="gated-gelu", **size))
    elif family == "mt5":
        model = MT5ForConditionalGeneration(
            MT5Config(feed_forward_proj="gated-gelu", tie_word_embeddings=False, **size)
        )
    else:
        gate = "gated-gelu" if family == "byt5" else "relu"
        model = T5ForConditionalGeneration(T5Config(feed_forward_proj=gate, tie_word_embeddings=True, **size))
    with torch.no_grad():  # far enough from zero that modules make a difference
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                scale = 1.0 if name.endswith(("shared.weight", "relative_attention_bias.weight")) else 0.3
                parameter.copy_(torch.randn(parameter.shape) * scale)
    return Backbone(model, _tokenizer(family), name=f"tiny-{family}-{seed}")


@lru_cache(maxsize=8)
def shared(family: str) -> Backbone:
    """A backbone of a family that tests share, because no test may change it."""
    return tiny(family)


@lru_cache(maxsize=4)
def _tokenizer(family: str) -> Any:
    return ByT5Tokenizer() if family == "byt5" else AutoTokenizer.from_pretrained(GOLDEN / "base")


def settings_of(kind: str) -> Settings:
    """Small settings of a kind that start from random numbers."""
    return {
        "prompt": PromptSettings(num_virtual_tokens=4, init="vocab"),
        "adapter": AdapterSettings(reduction=4, init_std=0.3),
        "full": FullSettings(),
    }[kind]


def module(kind: str, backbone: Backbone, *, seed: int = 0, rows: int | None = None) -> TransferModule:
    """A module that changes what the backbone computes."""
    settings = settings_of(kind)
    if rows is not None:
        settings = settings.model_copy(update={"num_virtual_tokens": rows})
    built = new_module(kind, settings, backbone, seed=seed)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed + 1)
        for parameter in built.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return built


def batch(
    backbone: Backbone, texts: list[str] = TEXTS, *, side: str = "right", extra: int = 0
) -> dict[str, torch.Tensor]:
    """Texts as padded ids with labels; `extra` adds columns of padding."""
    tokenizer = backbone.tokenizer
    rows = [[*tokenizer(text, add_special_tokens=False).input_ids, 1] for text in texts]
    longest = max(map(len, rows)) + extra
    ids, mask = [], []
    for row in rows:
        padding = [0] * (longest - len(row))
        ids.append(row + padding if side == "right" else padding + row)
        ones = [1] * len(row)
        mask.append(ones + padding if side == "right" else padding + ones)
    labels = [[*row[: 2 + index], 1, *[-100] * (len(rows) - index)] for index, row in enumerate(rows)]
    width = max(map(len, labels))
    labels = [[*row, *[-100] * (width - len(row))] for row in labels]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), "labels": torch.tensor(labels)}


def row_of(inputs: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    """One row of a batch padded on the right, without its padding."""
    length = int(inputs["attention_mask"][index].sum())
    return {
        "input_ids": inputs["input_ids"][index : index + 1, :length],
        "attention_mask": inputs["attention_mask"][index : index + 1, :length],
        "labels": inputs["labels"][index : index + 1],
    }
