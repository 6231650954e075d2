"""Bottleneck adapter; by default `seq_bn`, `h <- h + up(relu(down(h)))` after each feed-forward sublayer.

Pfeiffer et al. 2020 (arXiv 2005.00247), as used by MAD-X (arXiv 2005.00052) and Soft Language Prompts
(arXiv 2407.02317, section 3). The settings also give AdapterHub's `double_seq_bn` (Houlsby et al. 2019,
arXiv 1902.00751) and `par_bn` (He et al. 2021, arXiv 2110.04366). Without layer norm and dropout.
Shapes: B rows, S tokens, D model width, R bottleneck width, N sites.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lingport.backbones.base import Backbone
from lingport.backbones.layout import Layout, Site
from lingport.config.modules import AdapterSettings
from lingport.errors import ModuleError
from lingport.modules.base import Binding, InputBinding, OutputBinding, TransferModule, seeded
from lingport.modules.coupling import Coupling

NON_LINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": F.leaky_relu,
    "relu6": F.relu6,
    "mish": F.mish,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "linear": lambda x: x,
}
_NAMES = ("down_weight", "down_bias", "up_weight", "up_bias")
_COUPLING = "coupling."


class BottleneckAdapter(TransferModule):
    """One bottleneck per site, encoder and decoder alike.

    What is added to a sublayer's output h is `scaling * up(f(down(z)))`, where z is h, the sublayer's branch, or its
    input, as `settings.reads` says; what is added to the branch comes before the residual addition.

    Args:
        settings: Settings of the adapter.
        tensors: `down_weight` (N, R, D), `down_bias` (N, R), `up_weight` (N, D, R), `up_bias` (N, D); the N sites
            are those of `sites`. With `layer_reductions` also `widths` (N,), the bottleneck of each site, which uses
            the first of the R; with a trained scaling `scaling` (N, 1) or (N, D); with a coupling its tensors after
            `coupling.`.
    """

    kind: ClassVar[str] = "adapter"
    settings_type: ClassVar[type[Any]] = AdapterSettings
    settings: AdapterSettings

    def __init__(self, settings: AdapterSettings, *, tensors: dict[str, Tensor]) -> None:
        super().__init__(settings)
        self.down_weight = nn.Parameter(tensors["down_weight"])
        self.down_bias = nn.Parameter(tensors["down_bias"])
        self.up_weight = nn.Parameter(tensors["up_weight"])
        self.up_bias = nn.Parameter(tensors["up_bias"])
        self.scaling = nn.Parameter(tensors["scaling"]) if "scaling" in tensors else None
        coupling = {name[len(_COUPLING) :]: value for name, value in tensors.items() if name.startswith(_COUPLING)}
        self.coupling = Coupling(coupling) if coupling else None
        self.widths: Tensor | None
        self.register_buffer("widths", tensors.get("widths"))
        self._prepared: dict[tuple[int, torch.dtype], tuple[Any, tuple[Any, ...]]] = {}
        self._activation = NON_LINEARITIES[settings.non_linearity]

    @classmethod
    def build(cls, settings: AdapterSettings, backbone: Backbone, *, seed: int = 0) -> Self:
        """Returns an adapter with weights N(0, init_std), biases 0 and scalings 1; see `TransferModule.build`."""
        width = backbone.layout.width
        found = sites(settings, backbone.layout)
        widths = [bottleneck_width(settings, site) for site in found]
        for site, bottleneck in zip(found, widths, strict=True):
            if bottleneck < 1:
                reduction = settings.layer_reductions.get(site.layer, settings.reduction)
                raise ModuleError(
                    f"reduction={reduction} leaves no bottleneck of a width of {width}",
                    hint=f"use a reduction of at most {width}",
                )
        generator = seeded(seed)
        shape = (len(found), max(widths), width)
        tensors = {
            "down_weight": torch.randn(shape, generator=generator) * settings.init_std,
            "down_bias": torch.zeros(shape[:2]),
            "up_weight": torch.randn(len(found), width, max(widths), generator=generator) * settings.init_std,
            "up_bias": torch.zeros(len(found), width),
        }
        for index, bottleneck in enumerate(widths):
            tensors["down_weight"][index, bottleneck:] = 0
            tensors["up_weight"][index, :, bottleneck:] = 0
        if settings.layer_reductions:
            tensors["widths"] = torch.tensor(widths)
        if not isinstance(settings.scaling, float):
            tensors["scaling"] = torch.ones(len(found), num_scalings(settings, width))
        if settings.coupling_reduction is not None:
            made = Coupling.build(width, settings.coupling_reduction, std=settings.init_std, generator=generator)
            tensors |= {f"{_COUPLING}{name}": value.detach() for name, value in made.named_parameters()}
        return cls(settings, tensors=tensors)

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
        expected: dict[str, tuple[int, ...]] = {
            "down_weight": (num_sites, bottleneck, width),
            "down_bias": (num_sites, bottleneck),
            "up_weight": (num_sites, width, bottleneck),
            "up_bias": (num_sites, width),
        }
        if settings.layer_reductions:
            expected["widths"] = (num_sites,)
        if not isinstance(settings.scaling, float):
            expected["scaling"] = (num_sites, num_scalings(settings, width))
        if settings.coupling_reduction is not None:
            shapes = Coupling.shapes(width, settings.coupling_reduction)
            expected |= {f"{_COUPLING}{name}": wanted for name, wanted in shapes.items()}
        for name, wanted in expected.items():
            if name not in tensors:
                raise ModuleError(f"the settings of the adapter need the tensor {name!r}, which is missing")
            if tuple(tensors[name].shape) != wanted:
                raise ModuleError(f"{name!r} has shape {tuple(tensors[name].shape)}, not {wanted}")
        if settings.layer_reductions and tensors["widths"].dtype != torch.long:
            raise ModuleError(f"'widths' holds {tensors['widths'].dtype}, not whole numbers")
        return cls(settings, tensors={name: torch.empty_like(tensors[name]) for name in expected})

    @property
    def num_trained(self) -> int:
        """How many numbers are trained; what fills the rows of narrower bottlenecks does not count."""
        num_sites, bottleneck, width = self.down_weight.shape
        filling = num_sites * bottleneck - sum(self.bottlenecks)
        return super().num_trained - filling * (2 * width + 1)

    @property
    def bottlenecks(self) -> list[int]:
        """Width R of the bottleneck of each site."""
        if self.widths is None:
            return [self.down_weight.shape[1]] * self.down_weight.shape[0]
        return self.widths.tolist()

    def bind(self, layout: Layout) -> list[Binding]:
        """Returns a binding for each site, and one to the encoder's input for a coupling; see `TransferModule.bind`."""
        found = sites(self.settings, layout)
        num_sites, bottleneck, width = self.down_weight.shape
        if num_sites != len(found) or width != layout.width:
            raise ModuleError(
                f"the adapter is for {num_sites} sublayers of width {width}, the backbone has {len(found)} of width "
                f"{layout.width}",
                hint="load it with the backbone that it was trained on",
            )
        if self.widths is not None and self.bottlenecks != [bottleneck_width(self.settings, site) for site in found]:
            raise ModuleError(
                f"its bottlenecks {self.bottlenecks} are not those of layer_reductions={self.settings.layer_reductions}"
            )
        if max(self.bottlenecks) > bottleneck:
            raise ModuleError(f"a bottleneck of {max(self.bottlenecks)} does not fit tensors of {bottleneck}")
        bindings: list[Binding] = [
            OutputBinding(
                site.name,
                site.branch if self.settings.reads == "branch" else site.path,
                partial(self.transform, index, bottleneck),
            )
            for index, (site, bottleneck) in enumerate(zip(found, self.bottlenecks, strict=True))
        ]
        if self.coupling is not None:
            bindings.append(InputBinding(partial(self.coupling.transform, self._activation)))
        return bindings

    def transform(self, index: int, bottleneck: int, h_bsd: Tensor, x_bsd: Tensor) -> Tensor:
        """Returns `h + scaling * up(f(down(z)))` for a site.

        Args:
            index: Number of the site.
            bottleneck: Width R of its bottleneck.
            h_bsd: Output (B, S, D) of what the site transforms.
            x_bsd: Its input (B, S, D).
        """
        z_bsd = x_bsd if self.settings.reads == "input" else h_bsd
        down_rd, down_r, up_dr, up_d, scaling = self._weights(index, bottleneck, h_bsd.dtype)
        change_bsd = F.linear(self._activation(F.linear(z_bsd, down_rd, down_r)), up_dr, up_d)
        if scaling is None:
            return torch.add(h_bsd, change_bsd, alpha=float(self.settings.scaling))
        return h_bsd + change_bsd * scaling

    def _weights(self, index: int, bottleneck: int, dtype: torch.dtype) -> tuple[Any, ...]:
        """Returns a site's weights in a dtype; those that are not trained are prepared once, until they change."""
        tensors = (self.down_weight, self.down_bias, self.up_weight, self.up_bias, self.scaling)
        key = (index, dtype)
        state = [(each.data_ptr(), each._version) for each in tensors if each is not None]
        trained = torch.is_grad_enabled() and any(each.requires_grad for each in tensors if each is not None)
        if not trained and self._prepared.get(key, (None, None))[0] == state:
            return self._prepared[key][1]
        down, down_bias, up, up_bias, scaling = (None if each is None else each[index].to(dtype) for each in tensors)
        assert down is not None and down_bias is not None and up is not None
        found = down[:bottleneck], down_bias[:bottleneck], up[:, :bottleneck], up_bias, scaling
        if not trained:
            self._prepared[key] = state, found
        return found


def sites(settings: AdapterSettings, layout: Layout) -> list[Site]:
    """Returns the sites that an adapter acts at, place by place, in the order of its tensors."""
    found = [site for place in settings.places for site in layout.sites(place)]
    layers = {site.layer for site in layout.sites("feed_forward")}
    unknown = sorted({*settings.leave_out, *settings.layer_reductions} - layers)
    if unknown:
        raise ModuleError(
            f"leave_out and layer_reductions name layers that the backbone does not have: {unknown}",
            hint=f"layers are numbered through the encoder and the decoder: 0 to {max(layers)}",
        )
    left = [site for site in found if site.layer not in settings.leave_out]
    if not left:
        raise ModuleError("leave_out leaves no layer with an adapter", hint="name fewer layers")
    return left


def bottleneck_width(settings: AdapterSettings, site: Site) -> int:
    """Returns the width R of a site's bottleneck."""
    return int(site.width // settings.layer_reductions.get(site.layer, settings.reduction))


def num_scalings(settings: AdapterSettings, width: int) -> int:
    """Returns how many numbers a trained scaling has at a site."""
    return {"learned": 1, "channel": width}[str(settings.scaling)]
