"""The T5 family: T5, mT5 (and mT0, Aya-101), ByT5 and umT5.

Module numbering is that of transformers 5 (`modeling_t5.py`, `modeling_mt5.py`, `modeling_umt5.py`): a block's
feed-forward sublayer, residual addition included, is `layer[1]` in the encoder and `layer[2]` in the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any, ClassVar

from torch import nn
from torch.utils.checkpoint import checkpoint

from lingport.backbones import loops
from lingport.backbones.attention import register_attention
from lingport.backbones.fused import faster_parts
from lingport.backbones.layout import Layout, Site
from lingport.backbones.packing import Packing
from lingport.errors import BackboneError, UnknownNameError, nearest

#: place -> stack -> number of the sublayer in a block
SUBLAYERS = {
    "self_attention": {"encoder": 0, "decoder": 0},
    "cross_attention": {"decoder": 1},
    "feed_forward": {"encoder": 1, "decoder": 2},
}
NUM_SENTINELS = 100
BYT5_FIRST_SENTINEL = 258  # ByT5 was pretrained with its last bytes as sentinels, not with its <extra_id_*> names


class T5Layout(Layout):
    """Sites of T5, mT5, mT0 and ByT5."""

    refused_dtypes: ClassVar[dict[str, str]] = {
        "float16": "T5 models were trained in bfloat16; their activations overflow float16 and the loss becomes NaN"
    }
    sentinels_end_vocabulary: ClassVar[bool] = True

    @property
    def width(self) -> int:
        """Size D of the hidden states."""
        return self.model.config.d_model

    @property
    def dropout(self) -> float:
        """The rate that is set now; see `Layout.dropout`."""
        return self.model.encoder.dropout.p

    def set_dropout(self, rate: float) -> None:
        """Sets the rate of every dropout: of the dropout layers, and of attention, which keeps it as a number."""
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = rate
            elif isinstance(getattr(module, "dropout", None), float):
                module.dropout = rate

    @property
    def bytes_per_token(self) -> int:
        """Ten vectors of the width, five of the inner width and the probabilities of 512 keys per block."""
        config = self.model.config
        blocks = len(self.model.encoder.block) + len(self.model.decoder.block)
        numbers = 10 * config.d_model + 5 * config.d_ff + 2 * 512 * config.num_heads
        return blocks * numbers * self.input_embeddings.weight.element_size()

    def compute_fused(self, fused: bool) -> None:
        """Computes with `fused.py`'s parts, or with transformers' own; see `Layout.compute_fused`."""
        self.packs = fused and self.input_embeddings.weight.device.type == "cpu"
        if self.packs:
            loops.compile_elsewhere()  # not in the first step, by which the time that is left is guessed
        self.model.set_attn_implementation(register_attention() if fused else "sdpa")
        for module, forward in faster_parts(self.model):
            module.__dict__.pop("forward", None)
            if fused:
                module.forward = forward

    def recompute_blocks(self, on: bool) -> None:
        """Computes blocks again in the backward pass; see `Layout.recompute_blocks`."""
        for block in (*self.model.encoder.block, *self.model.decoder.block):
            block.__dict__.pop("forward", None)
            if on:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=self._again)

    def _again(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Returns what surrounds a block now, and when it is computed again."""
        return nullcontext(), nullcontext() if self.packing is None else self.packed(self.packing)

    @contextmanager
    def packed(self, packing: Packing) -> Iterator[None]:
        """Computes rows that lie end to end; see `Layout.packed`."""
        self.packing = packing
        for name, module in self._attentions:
            module.lingport_groups = groups = packing.groups[name]
            if module.has_relative_attention_bias:  # of the longest row, for that of all tokens would be huge
                module.compute_bias = partial(_bias_of, type(module), module, groups.longest)
        try:
            yield
        finally:
            self.packing = None
            for _, module in self._attentions:
                del module.lingport_groups
                module.__dict__.pop("compute_bias", None)

    @cached_property
    def _attentions(self) -> list[tuple[str, Any]]:
        names = {
            "encoder.SelfAttention": "source",
            "decoder.SelfAttention": "target",
            "decoder.EncDecAttention": "cross",
        }
        found = [
            (names.get(f"{path.split('.')[0]}.{path.split('.')[-1]}"), path) for path, _ in self.model.named_modules()
        ]
        return [(name, self.model.get_submodule(path)) for name, path in found if name is not None]

    def is_of_targets(self, path: str) -> bool:
        """Returns whether a submodule reads target tokens; see `Layout.is_of_targets`."""
        return path.startswith("decoder.")

    @contextmanager
    def without_head(self) -> Iterator[None]:
        """Gives hidden states in place of logits; see `Layout.without_head`.

        The families scale the decoder's output each in their own way before the head, so the head alone steps aside.
        """
        head = self.model.lm_head
        head.forward = lambda hidden: hidden
        try:
            yield
        finally:
            del head.forward

    def sites(self, place: str) -> list[Site]:
        """Returns the sites of one place; see `Layout.sites`."""
        if place not in SUBLAYERS:
            raise UnknownNameError(f"this family has no place {place!r}", hint=nearest(place, SUBLAYERS))
        encoder, decoder = len(self.model.encoder.block), len(self.model.decoder.block)
        blocks = [("encoder", index) for index in range(encoder)] + [("decoder", index) for index in range(decoder)]
        found = []
        for layer, (stack, index) in enumerate(blocks):
            if stack in SUBLAYERS[place]:
                path = f"{stack}.block.{index}.layer.{SUBLAYERS[place][stack]}"
                # The sublayer ends in `hidden + self.dropout(branch)`, so the dropout's output is what is added.
                found.append(Site(f"{stack}.{index}.{place}", path, f"{path}.dropout", layer, self.width))
        return found

    @classmethod
    def sentinel_ids(cls, tokenizer: Any) -> list[int]:
        """Returns the ids of the 100 sentinels, resolved by name and checked against their position."""
        if type(tokenizer).__name__ == "ByT5Tokenizer":
            return list(range(BYT5_FIRST_SENTINEL, BYT5_FIRST_SENTINEL - NUM_SENTINELS, -1))
        by_name = _sentinels_by_name(tokenizer)
        last = len(tokenizer) - 1
        if cls.sentinels_end_vocabulary and by_name != list(range(last, last - NUM_SENTINELS, -1)):
            raise BackboneError(
                f"the sentinels' names give the ids {by_name[0]}, {by_name[1]}, ... but this family keeps them as "
                f"the last {NUM_SENTINELS} of its vocabulary: {last}, {last - 1}, ...",
                where=str(tokenizer.name_or_path),
                hint="use the tokenizer that belongs to the model; added tokens move the sentinels",
            )
        return by_name


class UMT5Layout(T5Layout):
    """Sites of umT5, whose sentinels are known by name alone."""

    sentinels_end_vocabulary: ClassVar[bool] = False


def _bias_of(kind: Any, module: Any, length: int, *_lengths: int, **others: Any) -> Any:
    return kind.compute_bias(module, length, length, **others)


def _sentinels_by_name(tokenizer: Any) -> list[int]:
    vocabulary = tokenizer.get_vocab()
    found = []
    for spelling in ("<extra_id_{}>", "\u2581<extra_id_{}>"):
        names = [spelling.format(index) for index in range(NUM_SENTINELS)]
        if all(name in vocabulary for name in names):
            found.append([vocabulary[name] for name in names])
    if len(found) == 2 and found[0] != found[1]:
        raise BackboneError(
            f"the sentinels are spelt in two ways with different ids: <extra_id_0> is {found[0][0]}, and with a "
            f"leading blank {found[1][0]}",
            where=str(tokenizer.name_or_path),
            hint="use the tokenizer that belongs to the model, without tokens added to it",
        )
    if found:
        return found[0]
    raise BackboneError(
        f"the vocabulary has no sentinels <extra_id_0> to <extra_id_{NUM_SENTINELS - 1}>",
        where=str(tokenizer.name_or_path),
        hint="span corruption needs a tokenizer of the T5 family",
    )
