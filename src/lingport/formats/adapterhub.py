"""Bottleneck adapters of AdapterHub's library `adapters`, 0.1 to 1.3, for the T5 family.

A folder holds `adapter_config.json` and `adapter.safetensors` or `pytorch_adapter.bin`; `head_config.json` and
`pytorch_model_head.bin` may lie beside them and are left alone. Semantics: `methods/modeling.py` and
`methods/bottleneck.py` of `adapters` 1.3.0, where T5 gives the adapters no layer norm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field, StrictBool, ValidationError, field_validator
from torch import Tensor

from lingport.backbones.base import Backbone
from lingport.config.modules import AdapterSettings
from lingport.errors import ModuleError, WrongBackboneError
from lingport.formats.foreign import CONFIG, ForeignKeys, Origin, assemble, read_weights, write_folder
from lingport.modules.base import TransferModule
from lingport.modules.bottleneck import BottleneckAdapter, bottleneck_width, num_scalings, sites
from lingport.modules.coupling import Coupling
from lingport.modules.files import Shapes, check_shapes, read_json

NAME = "adapterhub"
BACKBONE_KEY = "model_name"
WEIGHTS = ("adapter.safetensors", "pytorch_adapter.bin")
VERSION = "adapters.1.3.0"
_PLACES = {"self_attention": "mh_adapter", "cross_attention": "cross_adapter", "feed_forward": "output_adapter"}
#: their non-linearity -> ours
_NON_LINEARITIES = {
    **{name: name for name in ("relu", "gelu", "gelu_new", "silu", "tanh", "sigmoid", "relu6", "mish", "linear")},
    "swish": "silu",
    "leakyrelu": "leaky_relu",
    "leaky_relu": "leaky_relu",
    "quick_gelu": "quick_gelu",
    "gelu_pytorch_tanh": "gelu_new",
}
_PARTS = {
    "down_weight": "adapter_down.0.weight",
    "down_bias": "adapter_down.0.bias",
    "up_weight": "adapter_up.weight",
    "up_bias": "adapter_up.bias",
    "scaling": "scaling",
}
_COUPLING = {
    f"{net}_{way}_{part}": f"{theirs}.{layer}.{part}"
    for net, theirs in (("first", "F"), ("second", "G"))
    for way, layer in (("down", 0), ("up", 2))
    for part in ("weight", "bias")
}
_COUPLED = "encoder.invertible_adapters"
_INNER = "transformer."
_BLOCK = re.compile(r"(?:encoder|decoder)\.block\.\d+\.")
#: their key -> our setting, where the two are one
_OURS = {
    "reduction_factor": "reduction",
    "mh_adapter, cross_adapter and output_adapter": "places",
    "leave_out": "leave_out",
    "non_linearity": "non_linearity",
    "scaling": "scaling",
    "inv_adapter_reduction_factor": "coupling_reduction",
}
#: keys that are read and need not be written
_UNSAID = {"architecture", "init_weights", *(f"phm_{key}" for key in ("dim", "rank", "bias", "c_init", "init_range"))}
_UNSAID |= {"learn_phm", "factorized_phm_W", "factorized_phm_rule", "shared_W_phm", "shared_phm_rule"}
_UNSAID |= {"hypercomplex_nonlinearity"}
_Off = Literal[False]
_Nothing = Annotated[float, Field(ge=0, le=0)]
_Reduction = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _BottleneckKeys(ForeignKeys):
    """The keys of `BnConfig`, with its defaults, each with the values that are computed here."""

    model_config = ConfigDict(strict=True)

    mh_adapter: StrictBool
    output_adapter: StrictBool
    cross_adapter: StrictBool = False
    reduction_factor: _Reduction | dict[str, _Reduction]
    non_linearity: Annotated[str, Field(max_length=40)]
    original_ln_before: StrictBool = False
    original_ln_after: StrictBool = True
    residual_before_ln: StrictBool = True
    adapter_residual_before_ln: StrictBool = False  # says something only with ln_after
    is_parallel: StrictBool = False
    scaling: Annotated[float, Field(allow_inf_nan=False)] | Literal["learned", "channel"] = 1.0
    leave_out: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    inv_adapter: Literal["nice"] | None = None
    inv_adapter_reduction_factor: _Reduction | None = None
    architecture: None = None
    ln_before: _Off = False
    ln_after: _Off = False
    use_gating: _Off = False
    phm_layer: _Off = False
    dropout: _Nothing = 0.0
    stochastic_depth: _Nothing = 0.0
    # How the weights began, which does not change what they compute.
    init_weights: Any = None
    init_weights_seed: Any = None
    # Only read where phm_layer is true.
    phm_dim: Any = None
    phm_rank: Any = None
    phm_bias: Any = None
    phm_c_init: Any = None
    phm_init_range: Any = None
    learn_phm: Any = None
    factorized_phm_W: Any = None  # noqa: N815 - their key
    factorized_phm_rule: Any = None
    shared_W_phm: Any = None  # noqa: N815 - their key
    shared_phm_rule: Any = None
    hypercomplex_nonlinearity: Any = None


class _FolderKeys(ForeignKeys):
    """The top level of adapter_config.json."""

    name: Annotated[str, Field(max_length=200, pattern=r"^[^./\\\x00-\x1f][^.\\\x00-\x1f]*$")]
    version: str
    config: dict[str, Any]
    hidden_size: int | None = None
    model_type: str | None = None
    model_name: str | None = None
    model_class: str | None = None

    @field_validator("version")
    @classmethod
    def _is_read(cls, version: str) -> str:
        # adapter-transformers (1.x to 3.x, without a prefix) fed T5's adapters other inputs until 3.2.
        if not re.match(r"0\.|adapters\.[01]\.", version):
            raise ValueError("folders of adapters 0.1 to 1.3 are read")
        return version


@dataclass(frozen=True)
class _Slot:
    """One of their tensors and its place in ours.

    Attributes:
        theirs: Its name.
        ours: Name of our tensor.
        index: Number of the site in our tensor; None: all of it.
        shape: Its shape; where ours is larger, its first numbers are meant.
    """

    theirs: str
    ours: str
    index: int | None
    shape: tuple[int, ...]

    def of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Returns the part of our tensors that is this tensor."""
        own = tensors[self.ours]
        return own if self.index is None else own[self.index][tuple(slice(side) for side in self.shape)]


def recognises(folder: Path) -> bool:
    """Returns whether a folder looks like one of AdapterHub's."""
    return any((folder / name).is_file() for name in WEIGHTS)


def read(folder: Path, backbone: Backbone, *, allow_other_backbone: bool = False) -> TransferModule:
    """Returns the adapter of a folder, frozen, on the backbone's device.

    Raises:
        ModuleError: The files are broken, or ask for what is not computed here; the message names the key.
        WrongBackboneError: It was made for another backbone.
    """
    where = str(folder / CONFIG)
    found = read_json(folder / CONFIG)
    # Other keys at the top are notes of whoever saved it (`save_adapter(meta_dict=...)`).
    top = _FolderKeys.read({key: value for key, value in found.items() if key in _FolderKeys.model_fields}, where=where)
    keys = _BottleneckKeys.read(top.config, where=where)
    facts = {"name": top.name, "version": top.version}
    origin = Origin(NAME, top.model_name, top.model_type, top.hidden_size, facts)
    origin.check(backbone, where=where, allowed=allow_other_backbone)
    settings = _settings(keys, top, backbone, where=where)
    weights = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    slots = _slots(settings, backbone, top.name)
    theirs = read_weights(weights, lambda shapes: _check(shapes, slots, backbone, where=str(weights)))
    # `...AdapterModel` keeps the model, and so the adapters, under the name `transformer`.
    theirs = {name.removeprefix(_INNER): value for name, value in theirs.items()}
    return assemble(
        BottleneckAdapter,
        settings,
        _gathered(slots, theirs, settings, backbone),
        backbone,
        origin=origin,
        weights=weights,
        decided=set(AdapterSettings.model_fields) - {"init_std"},
        allowed=allow_other_backbone,
    )


def write(module: TransferModule, folder: Path, backbone: Backbone, *, name: str) -> None:
    """Makes a folder that `adapters` 1.3 loads: `load_adapter(folder, use_safetensors=True)`.

    Raises:
        ModuleError: The module is no bottleneck adapter, `adapters` does not take the name, or something lies there.
    """
    if not isinstance(module, BottleneckAdapter):
        raise ModuleError(f"AdapterHub's format is for adapters, this is a {module.kind}", hint="prompts: --to peft")
    top = {
        "config": _config(module.settings),
        "hidden_size": backbone.layout.width,
        "model_class": type(backbone.model).__name__,
        "model_name": module.provenance.backbone or backbone.name,
        "model_type": backbone.model.config.model_type,
        "name": name,
        "version": VERSION,
    }
    _FolderKeys.read(top, where=str(folder))
    own = module.state_dict()
    tensors = {slot.theirs: slot.of(own) for slot in _slots(module.settings, backbone, name)}
    write_folder(module, folder, config=top, tensors=tensors, weights=WEIGHTS[0])


def _settings(keys: _BottleneckKeys, top: _FolderKeys, backbone: Backbone, *, where: str) -> AdapterSettings:
    """Returns our settings; raises ModuleError, with the key's name, where they cannot say the same."""
    if keys.inv_adapter and (top.model_class or "").endswith("AdapterModel"):
        raise ModuleError(
            f"inv_adapter={keys.inv_adapter} of a {top.model_class} also inverts the output embeddings, which is not "
            "computed here",
            where=where,
            hint="those of ...ForConditionalGeneration are read",
        )
    if keys.inv_adapter and keys.inv_adapter_reduction_factor is None:
        raise ModuleError("inv_adapter_reduction_factor is missing, which inv_adapter needs", where=where)
    layers = [site.layer for site in backbone.layout.sites("feed_forward")]
    usual, own = _reductions(keys.reduction_factor, layers, backbone.layout.width, where=where)
    said = {
        "reduction": usual,
        "layer_reductions": own,
        "leave_out": sorted({layer for layer in keys.leave_out if layer in layers}),
        "places": [place for place, key in _PLACES.items() if getattr(keys, key)],
        "reads": _reads(keys, where=where),
        "non_linearity": _NON_LINEARITIES.get(keys.non_linearity.lower(), keys.non_linearity),
        "scaling": keys.scaling,
        "coupling_reduction": keys.inv_adapter_reduction_factor if keys.inv_adapter else None,
    }
    try:
        return AdapterSettings.model_validate(said)
    except ValidationError as error:
        named = {ours: key for key, ours in _OURS.items()}
        told = [f"{named[str(each['loc'][0])]}: {each['msg']}" for each in error.errors()]
        raise ModuleError(f"not computed here: {'; '.join(dict.fromkeys(told))}", where=where) from error


def _reductions(
    said: float | dict[str, float], layers: list[int], width: int, *, where: str
) -> tuple[float, dict[int, float]]:
    """Returns the usual reduction and those of layers that have another; R is at least 1, as with them."""
    factors: dict[str, float] = said if isinstance(said, dict) else {"default": said}
    missing = [layer for layer in layers if str(layer) not in factors]
    if "default" not in factors and missing:
        raise ModuleError(f"reduction_factor says nothing for layer {missing[0]}, and has no default", where=where)
    factors = {layer: min(factor, float(width)) for layer, factor in factors.items()}
    own = {layer: factors[str(layer)] for layer in layers if str(layer) in factors}
    return factors["default"] if "default" in factors else own[layers[0]], own


def _reads(keys: _BottleneckKeys, *, where: str) -> str:
    """Returns what the bottlenecks read. T5 gives them no layer norm, so the keys say where the residual is added."""
    before, after, around = keys.original_ln_before, keys.original_ln_after, keys.residual_before_ln
    if keys.is_parallel and after:
        return "input"
    if not keys.is_parallel and before and after == around:
        return "output"
    if not keys.is_parallel and after and not before:
        return "branch"
    raise ModuleError(
        f"is_parallel={keys.is_parallel}, original_ln_before={before}, original_ln_after={after} and "
        f"residual_before_ln={around} together are not computed here",
        where=where,
        hint="they leave the sublayer's residual out, or add it twice",
    )


def _config(settings: AdapterSettings) -> dict[str, Any]:
    """Returns the keys of `BnConfig` that say the same as our settings."""
    own = {str(layer): factor for layer, factor in settings.layer_reductions.items()}
    said = {
        **{key: place in settings.places for place, key in _PLACES.items()},
        "reduction_factor": {**own, "default": settings.reduction} if own else settings.reduction,
        "non_linearity": {"leaky_relu": "leakyrelu"}.get(settings.non_linearity, settings.non_linearity),
        "original_ln_before": settings.reads == "output",
        "is_parallel": settings.reads == "input",
        "scaling": settings.scaling,
        "leave_out": list(settings.leave_out),
        "inv_adapter": None if settings.coupling_reduction is None else "nice",
        "inv_adapter_reduction_factor": settings.coupling_reduction,
    }
    return _BottleneckKeys.model_validate(said).model_dump(exclude=_UNSAID) | {"init_weights": "bert"}


def _slots(settings: AdapterSettings, backbone: Backbone, name: str) -> list[_Slot]:
    """Returns their tensors of an adapter, in the order of our sites."""
    width = backbone.layout.width
    slots = []
    for index, site in enumerate(sites(settings, backbone.layout)):
        narrow = bottleneck_width(settings, site)
        shapes = {"down_weight": (narrow, width), "down_bias": (narrow,), "up_weight": (width, narrow)}
        shapes["up_bias"] = (width,)
        if not isinstance(settings.scaling, float):
            shapes["scaling"] = (num_scalings(settings, width),)
        prefix = f"{site.path}.adapters.{name}"
        slots += [_Slot(f"{prefix}.{_PARTS[ours]}", ours, index, shape) for ours, shape in shapes.items()]
    if settings.coupling_reduction is not None:
        for ours, shape in Coupling.shapes(width, settings.coupling_reduction).items():
            slots.append(_Slot(f"{_COUPLED}.{name}.{_COUPLING[ours]}", f"coupling.{ours}", None, shape))
    return slots


def _check(shapes: Shapes, slots: list[_Slot], backbone: Backbone, *, where: str) -> None:
    found = {name.removeprefix(_INNER): shape for name, shape in shapes.items()}
    wanted = {slot.theirs: slot.shape for slot in slots}
    blocks, own = ({match[0] for name in names if (match := _BLOCK.match(name))} for names in (found, wanted))
    if blocks and blocks != own:
        raise WrongBackboneError(
            f"holds adapters for {len(blocks)} blocks, {backbone.name!r} wants them for {len(own)}",
            where=where,
            hint="load the backbone that it was trained on",
        )
    check_shapes(found, wanted, where=where)


def _gathered(
    slots: list[_Slot], theirs: Mapping[str, Tensor], settings: AdapterSettings, backbone: Backbone
) -> dict[str, Tensor]:
    """Returns our tensors, filled from theirs; what a narrower bottleneck leaves is 0."""
    found = sites(settings, backbone.layout)
    widths = [bottleneck_width(settings, site) for site in found]
    sides = {"down_weight": 0, "down_bias": 0, "up_weight": 1}  # the dimension that is the bottleneck's
    tensors: dict[str, Tensor] = {}
    for slot in slots:
        value = theirs[slot.theirs]
        if slot.index is None:
            tensors[slot.ours] = value
            continue
        shape = list(slot.shape)
        if slot.ours in sides:
            shape[sides[slot.ours]] = max(widths)
        own = tensors.setdefault(slot.ours, torch.zeros(len(found), *shape, dtype=value.dtype))
        own[slot.index][tuple(slice(side) for side in slot.shape)] = value
    if settings.layer_reductions:
        tensors["widths"] = torch.tensor(widths)
    return tensors
