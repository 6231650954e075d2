"""Where a model family keeps its sites, said once per family.

A layout knows nothing of kinds of modules; a kind asks it for places by name and never sees a model's attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from lingport.backbones.packing import Packing
from lingport.registry import Registry

#: model_type of a configuration -> layout
LAYOUTS: Registry[type[Layout]] = Registry(
    "model family",
    {
        "t5": "lingport.backbones.t5:T5Layout",
        "mt5": "lingport.backbones.t5:T5Layout",
        "umt5": "lingport.backbones.t5:UMT5Layout",
    },
)


@dataclass(frozen=True)
class Site:
    """A place in the backbone whose output a module may transform.

    Attributes:
        name: Name of the site, the same for all families (`encoder.0.feed_forward`).
        path: Dotted path of the sublayer whose output it is, residual addition included.
        branch: Dotted path of the submodule whose output that sublayer adds to its input.
        layer: Number of its block, counted from 0 through the encoder and then the decoder.
        width: Size of the last dimension of that output.
    """

    name: str
    path: str
    branch: str
    layer: int
    width: int


class Layout(ABC):
    """The sites of one model.

    Args:
        model: The backbone's model.
    """

    #: dtype name -> why this family must not run in it
    refused_dtypes: ClassVar[dict[str, str]] = {}
    #: whether rows can be computed end to end as it computes now (`packed`)
    packs: bool = False
    #: the rows that are computed end to end now, if they are
    packing: Packing | None = None

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    @abstractmethod
    def width(self) -> int:
        """Size D of the hidden states."""

    @property
    def input_embeddings(self) -> nn.Embedding:
        """The table that turns token ids into the encoder's input."""
        return self.model.get_input_embeddings()

    @property
    @abstractmethod
    def dropout(self) -> float:
        """The rate that is set now; after loading, the one that the backbone was pretrained with."""

    @abstractmethod
    def set_dropout(self, rate: float) -> None:
        """Sets the rate of every dropout in the model."""

    @property
    @abstractmethod
    def bytes_per_token(self) -> int:
        """Memory that a token of a training step keeps until its backward pass, by an estimate."""

    @abstractmethod
    def compute_fused(self, fused: bool) -> None:
        """Computes with the faster parts of this family, or, the reference, with the model's own code."""

    @abstractmethod
    def recompute_blocks(self, on: bool) -> None:
        """Keeps only what enters each block for the backward pass, which then computes the block again."""

    @abstractmethod
    def packed(self, packing: Packing) -> AbstractContextManager[None]:
        """Returns a block in which the model takes one row, in which all rows lie end to end, and no mask.

        A backward pass may come after the block.
        """

    @abstractmethod
    def is_of_targets(self, path: str) -> bool:
        """Returns whether the submodule of a path reads target tokens; else it reads source tokens."""

    @abstractmethod
    def without_head(self) -> AbstractContextManager[None]:
        """Returns a block in which the model gives what its head takes, in place of logits."""

    @abstractmethod
    def sites(self, place: str) -> list[Site]:
        """Returns the sites of one place, encoder first, in the order they are computed.

        Args:
            place: `self_attention`, `cross_attention` or `feed_forward`.

        Raises:
            UnknownNameError: This family has no such place.
        """

    @classmethod
    @abstractmethod
    def sentinel_ids(cls, tokenizer: Any) -> list[int]:
        """Returns the ids of the sentinels, first sentinel first.

        Raises:
            BackboneError: Names and positions of the sentinels disagree.
        """
