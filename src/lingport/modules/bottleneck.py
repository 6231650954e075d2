"""Bottleneck adapter (`seq_bn`): `h <- h + up(relu(down(h)))` after each feed-forward sublayer.

Pfeiffer et al. 2020 (arXiv 2005.00247), as used by MAD-X (arXiv 2005.00052) and Soft Language Prompts
(arXiv 2407.02317, section 3). Without layer norm, dropout and scaling.
Shapes: B rows, S tokens, D model width, R bottleneck width, N sites.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lingport.backbones.base import Backbone
from lingport.backbones.layout import Layout
from lingport.config.modules import AdapterSettings
from lingport.errors import ModuleError
from lingport.modules.base import Binding, OutputBinding, TransferModule, seeded

_NAMES = ("down_weight", "down_bias", "up_weight", "up_bias")


class BottleneckAdapter(TransferModule):
    """One bottleneck per feed-forward sublayer, encoder and decoder alike.

    Args:
        settings: Settings of the adapter.
        tensors: `down_weight` (N, R, D), `down_bias` (N, R), `up_weight` (N, D, R), `up_bias` (N, D); the N
            sites are in the layout's order.
    """

    kind: ClassVar[str] = "adapter"
    settings_type: ClassVar[type[Any]] = AdapterSettings

    def __init__(self, settings: AdapterSettings, *, tensors: dict[str, Tensor]) -> None:
        super().__init__(settings)
        self.down_weight = nn.Parameter(tensors["down_weight"])
        self.down_bias = nn.Parameter(tensors["down_bias"])
        self.up_weight = nn.Parameter(tensors["up_weight"])
        self.up_bias = nn.Parameter(tensors["up_bias"])

    @classmethod
    def build(cls, settings: AdapterSettings, backbone: Backbone, *, seed: int = 0) -> Self:
        """Returns an adapter with weights N(0, init_std) and biases 0; see `TransferModule.build`."""
        num_sites, width = len(backbone.layout.sites("feed_forward")), backbone.layout.width
        bottleneck = int(width // settings.reduction)
        if bottleneck < 1:
            raise ModuleError(
                f"reduction={settings.reduction} leaves no bottleneck of a width of {width}",
                hint=f"use a reduction of at most {width}",
            )
        generator = seeded(seed)
        return cls(
            settings,
            tensors={
                "down_weight": torch.randn(num_sites, bottleneck, width, generator=generator) * settings.init_std,
                "down_bias": torch.zeros(num_sites, bottleneck),
                "up_weight": torch.randn(num_sites, width, bottleneck, generator=generator) * settings.init_std,
                "up_bias": torch.zeros(num_sites, width),
            },
        )

    @classmethod
    def empty(cls, settings: AdapterSettings, tensors: dict[str, Tensor]) -> Self:
        """Returns an adapter of the tensors' shapes; see `TransferModule.empty`."""
        missing = [name for name in _NAMES if name not in tensors]
        if missing:
            raise ModuleError(f"a bottleneck adapter needs the tensors {', '.join(_NAMES)}; missing: {missing}")
        shape = tensors["down_weight"].shape
        if len(shape) != 3:
            raise ModuleError(f"'down_weight' has shape {tuple(shape)}, not (N, R, D)")
        num_sites, bottleneck, width = shape
        expected = {
            "down_bias": (num_sites, bottleneck),
            "up_weight": (num_sites, width, bottleneck),
            "up_bias": (num_sites, width),
        }
        for name, wanted in expected.items():
            if tuple(tensors[name].shape) != wanted:
                raise ModuleError(f"{name!r} has shape {tuple(tensors[name].shape)}, not {wanted}")
        return cls(settings, tensors={name: torch.empty_like(tensors[name]) for name in _NAMES})

    def bind(self, layout: Layout) -> list[Binding]:
        """Returns a binding for each feed-forward sublayer; see `TransferModule.bind`."""
        sites = layout.sites("feed_forward")
        num_sites, _, width = self.down_weight.shape
        if num_sites != len(sites) or width != layout.width:
            raise ModuleError(
                f"the adapter is for {num_sites} sublayers of width {width}, the backbone has {len(sites)} of width "
                f"{layout.width}",
                hint="load it with the backbone that it was trained on",
            )
        return [OutputBinding(site.name, site.path, partial(self.transform, index)) for index, site in enumerate(sites)]

    def transform(self, index: int, h_bsd: Tensor) -> Tensor:
        """Returns `h + up(relu(down(h)))` for hidden states (B, S, D) of one site."""
        dtype = h_bsd.dtype
        down_bsr = F.linear(h_bsd, self.down_weight[index].to(dtype), self.down_bias[index].to(dtype)).relu()
        return h_bsd + F.linear(down_bsr, self.up_weight[index].to(dtype), self.up_bias[index].to(dtype))
