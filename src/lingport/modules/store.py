"""Our own module files: a folder with module.json and weights.safetensors, only the module's tensors.

Not here: other libraries' formats.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file

from lingport import __version__
from lingport.backbones.base import Backbone
from lingport.config.modules import Settings
from lingport.errors import ModuleError, WrongBackboneError, nearest
from lingport.modules.base import KINDS, Provenance, TransferModule
from lingport.modules.files import read_json, read_safetensors, sha256, write_json

logger = logging.getLogger(__name__)

FORMAT = 1
_MANIFEST, _WEIGHTS = "module.json", "weights.safetensors"
_PROVENANCE = TypeAdapter(Provenance)
_KEYS = {"format", "lingport", "kind", "settings", "provenance", "num_trained", "weights_sha256"}


def save_module(module: TransferModule, path: str | Path, *, replace: bool = False) -> Path:
    """Returns the folder that now holds the module; it appears whole or not at all.

    Args:
        module: What to save.
        path: The folder to make; its parents are made too.
        replace: Replace a module that lies there already.

    Raises:
        ModuleError: Something lies there already and `replace` is false, or it is no module folder.
    """
    folder = Path(path)
    if folder.exists() and not (replace and (folder / _MANIFEST).is_file()):
        raise ModuleError(
            "something lies there already", where=str(folder), hint="choose another path, or replace=True"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
        save_file(tensors, staging / _WEIGHTS)
        manifest = {
            "format": FORMAT,
            "lingport": __version__,
            "kind": module.kind,
            "settings": module.settings.model_dump(mode="json"),
            "provenance": dataclasses.asdict(module.provenance),
            "num_trained": module.num_trained,
            "weights_sha256": sha256(staging / _WEIGHTS),
        }
        write_json(staging / _MANIFEST, manifest)
        staging.chmod(0o755)
        if folder.exists():
            # Set aside whole: a process killed here leaves no module under the name, never half of one.
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            folder.rename(old / folder.name)
            staging.rename(folder)
            shutil.rmtree(old)
        else:
            staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


def is_module(path: str | Path) -> bool:
    """Returns whether a folder claims to hold a module of ours."""
    return (Path(path) / _MANIFEST).is_file()


def record_origin(path: str | Path, origin: dict[str, Any]) -> None:
    """Writes into a module's manifest where its files came from; its weights stay as they are."""
    file, manifest = Path(path) / _MANIFEST, read_manifest(path)
    manifest["provenance"]["origin"] = origin
    staging = file.with_name(f".{_MANIFEST}")
    write_json(staging, manifest)
    staging.replace(file)


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Returns the content of a module's module.json, checked for its keys.

    Raises:
        ModuleError: There is no module, or its manifest is broken or of a newer format.
    """
    file = Path(path) / _MANIFEST
    if not file.is_file():
        raise ModuleError(
            f"no module here: {_MANIFEST} is missing",
            where=str(path),
            hint="give the folder that save_module wrote",
        )
    manifest = read_json(file)
    if set(manifest) != _KEYS:
        raise ModuleError(
            f"keys missing or not known: {', '.join(sorted(_KEYS ^ set(manifest)))}",
            where=str(file),
            hint="save the module again",
        )
    if manifest["format"] != FORMAT:
        raise ModuleError(
            f"format {manifest['format']!r}, this version reads {FORMAT}",
            where=str(file),
            hint="update lingport",
        )
    if not isinstance(manifest["settings"], dict) or not isinstance(manifest["provenance"], dict):
        raise ModuleError("settings or provenance are broken: not an object", where=str(file), hint="copy it again")
    return manifest


def verified(path: str | Path) -> dict[str, Any]:
    """Returns a module's manifest, once its weights are found to be the very ones that were saved with it.

    Raises:
        ModuleError: The module is broken, truncated or incomplete.
    """
    manifest = read_manifest(path)
    _check_weights(Path(path) / _WEIGHTS, manifest["weights_sha256"])
    return manifest


def load_module(path: str | Path, backbone: Backbone, *, allow_other_backbone: bool = False) -> TransferModule:
    """Returns the module of a folder, on the backbone's device, ready to be composed.

    Args:
        path: A folder that `save_module` wrote.
        backbone: What it will act in; must be the one that it was trained on.
        allow_other_backbone: Only warn where the backbone is another one of the same family and shape, such as a
            fine-tuned sibling. What the module then does is for the caller to measure.

    Raises:
        ModuleError: The files are broken, truncated, or do not belong together.
        WrongBackboneError: It was trained on another backbone.
    """
    manifest = read_manifest(path)
    where = str(path)
    if not isinstance(manifest["kind"], str) or manifest["kind"] not in KINDS:
        raise ModuleError(
            f"unknown kind of module {manifest['kind']!r}", where=where, hint=nearest(str(manifest["kind"]), KINDS)
        )
    kind = KINDS.get(manifest["kind"])
    settings, provenance = checked_history(kind, manifest, where=where)
    adopted_by = adopting(provenance, backbone, where=where, allowed=allow_other_backbone)
    tensors = _read_tensors(Path(path) / _WEIGHTS, manifest["weights_sha256"])
    module = kind.empty(settings, tensors)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModuleError(f"tensors do not fit a module of kind {kind.kind!r}: {error}", where=where) from error
    module.provenance = provenance
    module.adopted_by = adopted_by
    module.to(backbone.device).requires_grad_(False)
    module.bind(backbone.layout)  # shapes are checked here, not at the first forward pass
    return module


def weights_hash(module: TransferModule) -> str:
    """Returns a hash of every bit of a module's tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def checked_history(kind: type[TransferModule], manifest: dict[str, Any], *, where: str) -> tuple[Settings, Provenance]:
    """Returns the settings and the provenance that a manifest gives.

    Raises:
        ModuleError: They are not those of a module of this kind.
    """
    try:
        settings = kind.settings_type.model_validate(manifest["settings"])
        provenance = _PROVENANCE.validate_python(dataclasses.asdict(Provenance(**manifest["provenance"])))
    except (ValidationError, TypeError) as error:
        raise ModuleError(f"settings or provenance are broken: {error}", where=where) from error
    return settings, provenance


def adopting(provenance: Provenance, backbone: Backbone, *, where: str, allowed: bool) -> str | None:
    """Returns the fingerprint of a backbone that is to adopt a module of a sibling; None: the module is its own.

    Raises:
        WrongBackboneError: The module was trained on another backbone, and that is not allowed or no sibling.
    """
    if provenance.backbone_fingerprint == backbone.body_fingerprint:
        return None
    told = (
        f"trained on {provenance.backbone!r} (fingerprint {provenance.backbone_fingerprint[:12]}), not on "
        f"{backbone.name!r} ({backbone.body_fingerprint[:12]})"
    )
    # A module of before shapes were recorded is judged by its tensors alone, in `bind`.
    if provenance.backbone_shape not in ("", backbone.shape_fingerprint):
        hint = "load the backbone that it was trained on: this one is of another family or size"
        raise WrongBackboneError(told, where=where, hint=hint)
    if not allowed:
        raise WrongBackboneError(
            told,
            where=where,
            hint="load the backbone that it was trained on; the same name with other weights is another backbone. For "
            "a fine-tuned sibling of the same shape: allow_other_backbone (--allow-other-backbone)",
        )
    logger.warning("%s: %s; it may do something else here", where, told)
    return backbone.body_fingerprint


def _read_tensors(file: Path, expected: str) -> dict[str, torch.Tensor]:
    _check_weights(file, expected)
    return read_safetensors(file)


def _check_weights(file: Path, expected: str) -> None:
    if not file.is_file():
        raise ModuleError(f"{_WEIGHTS} is missing", where=str(file), hint="copy the whole folder")
    if sha256(file) != expected:
        raise ModuleError(
            "the content is not what module.json says (damaged, truncated or exchanged)",
            where=str(file),
            hint="copy the module again",
        )
