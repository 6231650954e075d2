"""Files that a stranger may have written, read with limits: settings in JSON, tensors in safetensors.

Names and shapes of tensors are checked before their content is read. Not here: what keys and names mean (`store.py`,
`lingport.formats`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lingport.errors import ModuleError

#: far above what a module needs: the names of 5,000 tensors
MAX_JSON_BYTES = 2**20
_SHOWN = 3
_AGAIN = "copy the file again"

Shapes = dict[str, tuple[int, ...]]


def read_json(file: Path) -> dict[str, Any]:
    """Returns the mapping in a JSON file.

    Raises:
        ModuleError: It is missing, too large, or no mapping in JSON.
    """
    if not file.is_file():
        raise ModuleError(f"{file.name} is missing", where=str(file.parent), hint="copy the whole folder")
    if file.stat().st_size > MAX_JSON_BYTES:
        raise ModuleError(f"more than {MAX_JSON_BYTES:,} bytes of settings", where=str(file))
    return _mapping(file.read_bytes(), where=str(file))


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Writes a mapping as JSON, all the way to the disk."""
    with file.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, ensure_ascii=False, indent=2)
        stream.flush()
        os.fsync(stream.fileno())


def read_safetensors(file: Path, check: Callable[[Shapes], None] | None = None) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file, on the CPU.

    Args:
        file: What to read.
        check: Is given name -> shape, and raises an error where they are not those that are wanted;
            None: any are.

    Raises:
        ModuleError: The file is missing, truncated or broken, or holds NaN or infinity.
    """
    if not file.is_file():
        raise ModuleError(f"{file.name} is missing", where=str(file.parent), hint="copy the whole folder")
    shapes = _shapes(file)
    if check is not None:
        check(shapes)
    try:
        with safe_open(file, framework="pt") as reader:
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise ModuleError(f"not a safetensors file: {error}", where=str(file), hint=_AGAIN) from error
    check_finite(tensors, where=str(file))
    return tensors


def check_finite(tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Raises ModuleError where a tensor holds NaN or infinity."""
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ModuleError(f"the tensor {name!r} holds NaN or infinity", where=where, hint="train it again")


def check_shapes(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], *, where: str) -> None:
    """Raises ModuleError unless names and shapes are exactly those that are wanted."""
    if missing := wanted.keys() - found.keys():
        raise ModuleError(f"{len(missing)} of {len(wanted)} tensors are missing: {_some(missing)}", where=where)
    if unknown := found.keys() - wanted.keys():
        raise ModuleError(f"{len(unknown)} of {len(found)} tensors do not belong to it: {_some(unknown)}", where=where)
    for name, shape in wanted.items():
        if found[name] != shape:
            raise ModuleError(f"the tensor {name!r} has the shape {found[name]}, not {shape}", where=where)


def sha256(file: Path) -> str:
    """Returns the hash of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shapes(file: Path) -> Shapes:
    """Returns name -> shape of a safetensors file; the library itself would read a header of 100 MB first."""
    size, where = file.stat().st_size, str(file)
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > size - 8:
            raise ModuleError(
                f"truncated, or not a safetensors file: {size:,} bytes in all, {length:,} for its header",
                where=where,
                hint=_AGAIN,
            )
        if length > MAX_JSON_BYTES:
            raise ModuleError(f"a header of {length:,} bytes; {MAX_JSON_BYTES:,} are read", where=where)
        header = _mapping(stream.read(length), where=where)
    header.pop("__metadata__", None)
    shapes: Shapes = {}
    for name, entry in header.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if not isinstance(shape, list) or not all(isinstance(side, int) for side in shape):
            raise ModuleError(f"its header gives no shape for {name[:120]!r}", where=where, hint=_AGAIN)
        shapes[name] = tuple(shape)
    return shapes


def _mapping(data: bytes, *, where: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        found = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are a ValueError, too
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModuleError(f"not valid JSON: {said}", where=where, hint=_AGAIN) from error
    if not isinstance(found, dict):
        raise ModuleError("JSON, but no mapping of keys to values", where=where, hint=_AGAIN)
    return found


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name[:120]) for name in names[:_SHOWN]) + more
