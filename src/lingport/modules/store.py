"""Our own module files: a folder with module.json and weights.safetensors, only the module's tensors.

Not here: other libraries' formats.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lingport import __version__
from lingport.backbones.base import Backbone
from lingport.errors import ModuleError, WrongBackboneError, nearest
from lingport.modules.base import KINDS, Provenance, TransferModule

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
            "weights_sha256": _sha256(staging / _WEIGHTS),
        }
        with (staging / _MANIFEST).open("w", encoding="utf-8") as file:
            json.dump(manifest, file, ensure_ascii=False, indent=2)
            file.flush()
            os.fsync(file.fileno())
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
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModuleError(f"not valid JSON: {error}", where=str(file), hint="save or copy the module again") from error
    if not isinstance(manifest, dict) or set(manifest) != _KEYS:
        keys = sorted(_KEYS ^ set(manifest)) if isinstance(manifest, dict) else sorted(_KEYS)
        raise ModuleError(
            f"keys missing or not known: {', '.join(keys)}", where=str(file), hint="save the module again"
        )
    if manifest["format"] != FORMAT:
        raise ModuleError(
            f"format {manifest['format']!r}, this version reads {FORMAT}",
            where=str(file),
            hint="update lingport",
        )
    return manifest


def load_module(path: str | Path, backbone: Backbone) -> TransferModule:
    """Returns the module of a folder, on the backbone's device, ready to be composed.

    Args:
        path: A folder that `save_module` wrote.
        backbone: What it will act in; must be the one that it was trained on.

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
    try:
        settings = kind.settings_type.model_validate(manifest["settings"])
        provenance = _PROVENANCE.validate_python(dataclasses.asdict(Provenance(**manifest["provenance"])))
    except (ValidationError, TypeError) as error:
        raise ModuleError(f"settings or provenance are broken: {error}", where=where) from error
    if provenance.backbone_fingerprint != backbone.fingerprint:
        raise WrongBackboneError(
            f"trained on {provenance.backbone!r} (fingerprint {provenance.backbone_fingerprint[:12]}), not on "
            f"{backbone.name!r} ({backbone.fingerprint[:12]})",
            where=where,
            hint="load the backbone that it was trained on; the same name with other weights is another backbone",
        )
    tensors = _read_tensors(Path(path) / _WEIGHTS, manifest["weights_sha256"])
    module = kind.empty(settings, tensors)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModuleError(f"tensors do not fit a module of kind {kind.kind!r}: {error}", where=where) from error
    module.provenance = provenance
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


def _read_tensors(file: Path, sha256: str) -> dict[str, torch.Tensor]:
    if not file.is_file():
        raise ModuleError(f"{_WEIGHTS} is missing", where=str(file), hint="copy the whole folder")
    if _sha256(file) != sha256:
        raise ModuleError(
            "the content is not what module.json says (damaged, truncated or exchanged)",
            where=str(file),
            hint="copy the module again",
        )
    try:
        with safe_open(file, framework="pt") as reader:
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise ModuleError(f"not a safetensors file: {error}", where=str(file)) from error
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ModuleError(f"the tensor {name!r} holds NaN or infinity", where=str(file), hint="train it again")
    return tensors


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
