"""What reading and writing other libraries' modules have in common: their keys, their backbone, their history.

An exported folder also holds `lingport.json`, which other libraries leave alone: our settings and the module's
history, bound to the weights by their hash, so that a module that comes back is the one that left. Not here: what
the keys of each library mean.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import save_file
from torch import Tensor

from lingport.backbones.base import Backbone
from lingport.config.modules import Settings
from lingport.config.names import is_hub_name
from lingport.errors import ModuleError, WrongBackboneError
from lingport.formats.pickled import read_pickled
from lingport.modules.base import Provenance, TransferModule
from lingport.modules.files import Shapes, check_finite, read_json, read_safetensors, sha256, write_json
from lingport.modules.store import adopting, checked_history

logger = logging.getLogger(__name__)

CONFIG = "adapter_config.json"
HISTORY = "lingport.json"
_HISTORY_KEYS = {"kind", "settings", "provenance", "weights_sha256"}
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
#: values that ask for nothing
_OFF = (None, False, 0, "", "none", [], {})


class ForeignKeys(BaseModel):
    """Keys of another library's settings, each with the values that are computed here.

    A key that is not listed may be there if it asks for nothing (null, false, 0, empty): no wish is passed over.
    """

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    @classmethod
    def read(cls, found: Any, *, where: str) -> Self:
        """Returns checked settings.

        Raises:
            ModuleError: A key is missing, or asks for what is not computed here; the message has its name.
        """
        try:
            keys = cls.model_validate(found)
        except ValidationError as error:
            raise ModuleError(_said(error), where=where, hint="docs/formats.md says what is read") from error
        wishes = {name: value for name, value in (keys.model_extra or {}).items() if value not in _OFF}
        if wishes:
            told = ", ".join(f"{name[:60]}={str(value)[:60]}" for name, value in sorted(wishes.items())[:3])
            raise ModuleError(f"asks for what is not computed here: {told}", where=where)
        return keys


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a folder says of where its module comes from.

    Attributes:
        format: Name of the format.
        model_name: Name of the backbone, if it is said.
        model_type: Family of the backbone, if it is said.
        width: Its width D, if it is said.
        facts: What else is worth remembering.
    """

    format: str
    model_name: str | None
    model_type: str | None
    width: int | None
    facts: Mapping[str, Any]

    def check(self, backbone: Backbone, *, where: str, allowed: bool) -> None:
        """Compares what is said with a backbone. Foreign files carry no fingerprint, and a folder's name says nothing.

        Raises:
            WrongBackboneError: The width is another; or, unless `allowed`, the family or the name on the hub.
        """
        own_type = backbone.model.config.model_type
        if self.width not in (None, backbone.layout.width):
            raise WrongBackboneError(
                f"made for a backbone of width {self.width}, {backbone.name!r} has {backbone.layout.width}",
                where=where,
                hint="load the backbone that it was trained on",
            )
        is_other_name = _is_repository(self.model_name) and _is_repository(backbone.name)
        if self.model_type in (None, own_type) and not (is_other_name and self.model_name != backbone.name):
            return
        told = f"trained on {self.model_name!r} ({self.model_type}), not on {backbone.name!r} ({own_type})"
        if not allowed:
            raise WrongBackboneError(
                told,
                where=where,
                hint="load the backbone that it was trained on; for a fine-tuned sibling of the same shape: "
                "allow_other_backbone (--allow-other-backbone)",
            )
        logger.warning("%s: %s; it may do something else here", where, told)

    def remembered(self) -> dict[str, Any]:
        """Returns what a module keeps of this."""
        return {"format": self.format, "model_name": self.model_name, **self.facts}


def read_weights(file: Path, check: Callable[[Shapes], None]) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file, or of a pickled one (`.bin`); see `read_safetensors`."""
    if file.suffix == ".bin":
        tensors = read_pickled(file)
        check({name: tuple(value.shape) for name, value in tensors.items()})
        check_finite(tensors, where=str(file))
    else:
        tensors = read_safetensors(file, check)
    for name, value in tensors.items():
        if value.dtype not in _DTYPES:
            dtype = str(value.dtype).removeprefix("torch.")
            hint = "float32, float16 and bfloat16 are read"
            raise ModuleError(f"the tensor {name!r} is {dtype}", where=str(file), hint=hint)
    return tensors


def assemble(
    kind: type[TransferModule],
    settings: Settings,
    tensors: dict[str, Tensor],
    backbone: Backbone,
    *,
    origin: Origin,
    weights: Path,
    decided: Collection[str],
    allowed: bool,
) -> TransferModule:
    """Returns a frozen module on the backbone's device.

    Args:
        kind: What to make.
        settings: Its settings as the foreign files say them.
        tensors: Its tensors under our names.
        backbone: What it will act in.
        origin: What the folder says of where it comes from.
        weights: The file of the tensors; `lingport.json` is looked for beside it.
        decided: The settings that the foreign files decide.
        allowed: Whether the backbone may be a sibling of the one that `lingport.json` names.

    Raises:
        ModuleError: The tensors do not fit, or `lingport.json` says another module.
        WrongBackboneError: `lingport.json` says another backbone.
    """
    where = str(weights.parent)
    provenance, adopted_by = Provenance(), None
    history = _history(kind, weights)
    if history is None:
        provenance.backbone, provenance.backbone_fingerprint = backbone.name, backbone.body_fingerprint
        provenance.backbone_shape, provenance.backbone_revision = backbone.shape_fingerprint, backbone.revision
        provenance.origin = origin.remembered()
    else:
        ours, provenance = history
        differing = [name for name in decided if getattr(ours, name) != getattr(settings, name)]
        if differing:
            raise ModuleError(
                f"{HISTORY} and {CONFIG} differ in {', '.join(sorted(differing))}",
                where=where,
                hint=f"export it again, or remove {HISTORY} (the module's history is then lost)",
            )
        settings = ours
        adopted_by = adopting(provenance, backbone, where=where, allowed=allowed)
    module = kind.empty(settings, tensors)
    module.load_state_dict(tensors)
    module.provenance, module.adopted_by = provenance, adopted_by
    module.to(backbone.device).requires_grad_(False)
    module.bind(backbone.layout)
    return module


def write_folder(
    module: TransferModule, folder: Path, *, config: Mapping[str, Any], tensors: Mapping[str, Tensor], weights: str
) -> None:
    """Makes a folder in another library's format, with our history beside it; it appears whole or not at all.

    Args:
        module: What is exported.
        folder: What to make; its parents are made too.
        config: Content of adapter_config.json.
        tensors: Their name -> tensor.
        weights: Name of their file of tensors.

    Raises:
        ModuleError: Something lies there already.
    """
    if folder.exists():
        raise ModuleError("something lies there already", where=str(folder), hint="choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        save_file(plain, staging / weights, metadata={"format": "pt"})
        write_json(staging / CONFIG, dict(sorted(config.items())))
        history = {
            "kind": module.kind,
            "settings": module.settings.model_dump(mode="json"),
            "provenance": dataclasses.asdict(module.provenance),
            "weights_sha256": sha256(staging / weights),
        }
        write_json(staging / HISTORY, history)
        staging.chmod(0o755)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _history(kind: type[TransferModule], weights: Path) -> tuple[Settings, Provenance] | None:
    """Returns our settings and the history that lie beside a file of weights, if they are of these very weights."""
    file = weights.parent / HISTORY
    if not file.exists():
        return None
    found = read_json(file)
    if set(found) != _HISTORY_KEYS:
        keys = ", ".join(sorted(_HISTORY_KEYS ^ set(found)))
        raise ModuleError(f"keys missing or not known: {keys[:200]}", where=str(file), hint="export the module again")
    if found["weights_sha256"] != sha256(weights):
        logger.warning("%s is of other weights than %s: the history is left out", file, weights.name)
        return None
    if found["kind"] != kind.kind:
        raise ModuleError(f"kind {str(found['kind'])[:60]!r}, the tensors are of {kind.kind!r}", where=str(file))
    return checked_history(kind, found, where=str(file))


def _said(error: ValidationError) -> str:
    told = []
    for each in error.errors()[:3]:
        key = next((str(part) for part in each["loc"] if isinstance(part, str)), "the settings")
        value = "" if each["type"] == "missing" else f"={str(each['input'])[:60]}"
        told.append(f"{key}{value}: {each['msg'][0].lower()}{each['msg'][1:]}")
    return "; ".join(dict.fromkeys(told))


def _is_repository(name: str | None) -> bool:
    return name is not None and len(name) < 200 and is_hub_name(name) and not Path(name).exists()
