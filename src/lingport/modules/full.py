"""Full fine-tuning as a module: a trainable copy of every weight, which stands in for the backbone's own.

The upper reference of the comparison. The backbone itself stays as it is.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from lingport.backbones.base import Backbone
from lingport.backbones.layout import Layout
from lingport.config.modules import FullSettings
from lingport.errors import ModuleError
from lingport.modules.base import Binding, TransferModule, WeightBinding


class FullWeights(TransferModule):
    """A copy of all weights of a backbone, trained in float32.

    Args:
        settings: Nothing to set.
        tensors: Weight name -> value.
    """

    kind: ClassVar[str] = "full"
    settings_type: ClassVar[type[Any]] = FullSettings
    shares_batch: ClassVar[bool] = False

    def __init__(self, settings: FullSettings, *, tensors: dict[str, Tensor]) -> None:
        super().__init__(settings)
        # A ParameterDict's keys may not hold dots.
        self.weights = nn.ParameterDict({_key(name): nn.Parameter(value) for name, value in tensors.items()})

    @classmethod
    def build(cls, settings: FullSettings, backbone: Backbone, *, seed: int = 0) -> Self:
        """Returns a copy of the backbone's weights; see `TransferModule.build`."""
        named = backbone.model.named_parameters()
        return cls(settings, tensors={name: value.detach().float().clone() for name, value in named})

    @classmethod
    def empty(cls, settings: FullSettings, tensors: dict[str, Tensor]) -> Self:
        """Returns uninitialised weights of the tensors' shapes; see `TransferModule.empty`."""
        prefix = "weights."
        if not tensors or not all(name.startswith(prefix) for name in tensors):
            raise ModuleError(f"a full module needs tensors whose names start with {prefix!r}")
        return cls(
            settings,
            tensors={name[len(prefix) :]: torch.empty_like(value) for name, value in tensors.items()},
        )

    def bind(self, layout: Layout) -> list[Binding]:
        """Returns the binding to all weights; see `TransferModule.bind`."""
        own = {_key(name): parameter for name, parameter in layout.model.named_parameters()}
        if {name: tuple(p.shape) for name, p in own.items()} != {k: tuple(v.shape) for k, v in self.weights.items()}:
            raise ModuleError(
                "the weights are not those of this backbone's architecture",
                hint="load it with the backbone that it was trained on",
            )
        dtype = next(iter(own.values())).dtype
        names = [name for name, _ in layout.model.named_parameters()]
        return [WeightBinding(lambda: {name: self.weights[_key(name)].to(dtype) for name in names})]


def _key(name: str) -> str:
    return name.replace(".", "/")
