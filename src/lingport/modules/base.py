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
    """Transforms the output of a site: hidden states (B, S, D) -> (B, S, D)."""

    site: str
    path: str
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


Binding = OutputBinding | PrefixBinding | WeightBinding


@dataclass
class Provenance:
    """Where a module comes from; written into module.json, read by people and by checks.

    Attributes:
        backbone: Name of the backbone it was trained on.
        backbone_fingerprint: Fingerprint of that backbone's architecture and weights.
        role: `language` or `task`.
        language: Language of the text, or source language of the labelled data.
        task: Name of the task, for a task module.
        above: Name and hash of the language module that was active in training, for a task module.
        training: Settings, steps, data and scores of the training run.
    """

    backbone: str = ""
    backbone_fingerprint: str = ""
    role: str = ""
    language: str | None = None
    task: str | None = None
    above: dict[str, str] | None = None
    training: dict[str, Any] = field(default_factory=dict)


class TransferModule(nn.Module, ABC):
    """A part trained for a language or a task on a frozen backbone.

    Its parameters are what is trained, its buffers are what is saved beside them.

    Args:
        settings: The settings of its kind.
    """

    kind: ClassVar[str]
    settings_type: ClassVar[type[Any]]

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.provenance = Provenance()

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
    module.provenance.backbone_fingerprint = backbone.fingerprint
    return module


def seeded(seed: int) -> torch.Generator:
    """Returns a generator on the CPU: the same numbers on every device."""
    return torch.Generator().manual_seed(seed)
