"""The contract of a module: how it is built, where it acts, what it carries.

Not here: files (`store.py`) and how several modules act together (`lingport.compose`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from lingport.backbones.base import Backbone
from lingport.backbones.layout import Layout
from lingport.config.modules import Settings
from lingport.registry import Registry

KINDS: Registry[type[TransferModule]] = Registry(
    "kind of module",
    {
        "prompt": "lingport.modules.soft_prompt:SoftPrompt",
        "adapter": "lingport.modules.bottleneck:BottleneckAdapter",
        "full": "lingport.modules.full:FullWeights",
    },
)


@dataclass(frozen=True)
class OutputBinding:
    """Transforms the output of a submodule: (its output, its input), both (B, S, D) -> (B, S, D)."""

    site: str
    path: str
    transform: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class InputBinding:
    """Transforms the encoder's input embeddings, prompts included: (B, P + S, D) -> (B, P + S, D)."""

    transform: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PrefixBinding:
    """Puts rows (P, D) before the input embeddings; `rows` is called at each forward pass."""

    rows: Callable[[], Tensor]
    length: int


@dataclass(frozen=True)
class WeightBinding:
    """Stands in for the backbone's own weights: parameter name -> tensor of the same shape."""

    weights: Callable[[], dict[str, Tensor]]


Binding = OutputBinding | InputBinding | PrefixBinding | WeightBinding


@dataclass
class Provenance:
    """Where a module comes from; written into module.json, read by people and by checks.

    Attributes:
        backbone: Name of the backbone it was trained on.
        backbone_fingerprint: Fingerprint of that backbone's architecture and weights.
        backbone_shape: Fingerprint of its family and of the shapes of its weights; fine-tuned siblings share it.
        backbone_revision: Commit that it was loaded at, if it came from the hub.
        role: `language` or `task`.
        language: Language of the text, or source language of the labelled data.
        task: Name of the task, for a task module.
        above: The language module that was active in training, for a task module; see `ancestry.above`.
        training: Settings, steps, data and scores of the training run.
        origin: Where its files came from, if it was not trained here: repository and commit, format.
        ancestors: Modules that it started from or is the sum of: name, hash of the weights, factor, and whether the
            module itself or its task vector was taken. Empty: it began anew.
    """

    backbone: str = ""
    backbone_fingerprint: str = ""
    backbone_shape: str = ""
    backbone_revision: str | None = None
    role: str = ""
    language: str | None = None
    task: str | None = None
    above: dict[str, Any] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] | None = None
    ancestors: list[dict[str, Any]] = field(default_factory=list)

    def backbone_alone(self) -> Provenance:
        """Returns the same backbone without any history."""
        return Provenance(
            self.backbone, self.backbone_fingerprint, self.backbone_shape, backbone_revision=self.backbone_revision
        )


class TransferModule(nn.Module, ABC):
    """A part trained for a language or a task on a frozen backbone.

    Its parameters are what is trained, its buffers are what is saved beside them.

    Args:
        settings: The settings of its kind.

    Attributes:
        provenance: Where it comes from.
        adopted_by: Fingerprint of another backbone that it may act in, because whoever loaded it said so.
        shares_batch: Whether rows of other modules may stand in the same batch.
    """

    kind: ClassVar[str]
    settings_type: ClassVar[type[Any]]
    shares_batch: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.provenance = Provenance()
        self.adopted_by: str | None = None

    @classmethod
    @abstractmethod
    def build(cls, settings: Any, backbone: Backbone, *, seed: int = 0) -> Self:
        """Returns a new, untrained module for a backbone.

        Args:
            settings: Settings of this kind.
            backbone: What it will act in.
            seed: Decides every random number of the initialisation.
        """

    @classmethod
    @abstractmethod
    def empty(cls, settings: Any, tensors: dict[str, Tensor]) -> Self:
        """Returns a module whose tensors have the given shapes; their values are loaded afterwards.

        Raises:
            ModuleError: The tensors are not those of this kind.
        """

    @abstractmethod
    def bind(self, layout: Layout) -> list[Binding]:
        """Returns at which sites of a backbone this module acts, with which transform.

        Raises:
            ModuleError: The shapes do not fit the backbone.
        """

    @property
    def num_trained(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())


def new_module(kind: str, settings: Settings, backbone: Backbone, *, seed: int = 0) -> TransferModule:
    """Returns a new module of a kind, on the backbone's device, that remembers its backbone."""
    module = KINDS.get(kind).build(settings, backbone, seed=seed).to(backbone.device)
    module.provenance.backbone = backbone.name
    module.provenance.backbone_fingerprint = backbone.body_fingerprint
    module.provenance.backbone_shape = backbone.shape_fingerprint
    module.provenance.backbone_revision = backbone.revision
    return module


def seeded(seed: int) -> torch.Generator:
    """Returns a generator on the CPU: the same numbers on every device."""
    return torch.Generator().manual_seed(seed)
