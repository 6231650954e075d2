"""Pickled files of tensors (`.bin`), read without running anything that they ask for; they are never written.

A pickle is a program. Before torch's restricted loader runs, the archive is checked for its size and its parts, and
the program for the names it asks for: only those that make a tensor pass.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from lingport.errors import ModuleError

#: a module of the largest mT5 with the widest of the paper's adapters has 0.4 GB
MAX_BYTES = 2**30
_MAX_PROGRAM_BYTES = 2**20
_PARTS = re.compile(
    r"[^/\\]+/(data\.pkl|data/\d+|version|byteorder|\.data/serialization_id|\.format_version|\.storage_alignment)"
)
_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
    "torch DoubleStorage",
}
#: ways to name something or to call it other than GLOBAL and REDUCE, which torch.save does not use
_REFUSED = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}
_SAVE_AGAIN = "only tensors are read; ask for a safetensors file"


def read_pickled(file: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file that `torch.save` wrote of a flat mapping of names to tensors.

    Raises:
        ModuleError: The file is too large, broken, or holds or asks for anything but tensors.
    """
    where = str(file)
    if file.stat().st_size > MAX_BYTES:
        raise ModuleError(f"more than {MAX_BYTES:,} bytes; a pickled file of a module is smaller", where=where)
    _check_program(_program(file), where=where)
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken file makes the loader do
        raise ModuleError(
            f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where=where,
            hint=_SAVE_AGAIN,
        ) from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ModuleError("holds no mapping of names to tensors", where=where, hint=_SAVE_AGAIN)
    strange = [name[:120] for name, value in found.items() if not isinstance(value, Tensor)]
    if strange:
        raise ModuleError(f"holds what is no tensor: {strange[:3]}", where=where, hint=_SAVE_AGAIN)
    # A pickle can say of one stored number that it is a trillion of them, or give it a thousand names.
    if sum(value.numel() * value.element_size() for value in found.values()) > file.stat().st_size:
        raise ModuleError("its tensors say that they are larger than the file", where=where, hint=_SAVE_AGAIN)
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in found.items()}


def _program(file: Path) -> bytes:
    """Returns the pickle of an archive whose parts are those of a file of tensors."""
    where = str(file)
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            strange = [part.filename for part in parts if not _PARTS.fullmatch(part.filename)]
            if strange or len({part.filename.split("/")[0] for part in parts}) != 1:
                raise ModuleError(f"holds parts that no file of tensors has: {strange[:3]}", where=where)
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise ModuleError("holds compressed parts, which torch.save does not write", where=where)
            if sum(part.file_size for part in parts) > file.stat().st_size:
                raise ModuleError("its parts are larger than the file", where=where)
            programs = [part for part in parts if part.filename.endswith("/data.pkl")]
            if len(programs) != 1 or programs[0].file_size > _MAX_PROGRAM_BYTES:
                raise ModuleError(f"needs one data.pkl of at most {_MAX_PROGRAM_BYTES:,} bytes", where=where)
            return archive.read(programs[0])
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError, ValueError) as error:  # names and places that are none
        raise ModuleError(
            f"truncated, or not written by torch.save of PyTorch 1.6 or later: {error}", where=where, hint=_SAVE_AGAIN
        ) from error


def _check_program(program: bytes, *, where: str) -> None:
    try:
        for opcode, argument, _ in pickletools.genops(program):
            asked = str(argument) if opcode.name == "GLOBAL" else opcode.name
            if (opcode.name == "GLOBAL" and asked not in _NAMES) or opcode.name in _REFUSED:
                raise ModuleError(
                    f"asks for {asked.replace(' ', '.')[:120]!r}, which is no tensor; nothing of it was run",
                    where=where,
                    hint=_SAVE_AGAIN,
                )
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise ModuleError(f"no pickle that can be read: {error}", where=where, hint=_SAVE_AGAIN) from error
