"""Makes hostile and broken folders of every format: (folder, marker file) -> None, by name.

The marker file must never appear: it is what code inside a pickle would make. Not here: what is expected of a reader.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.formats.conftest import change

Spoil = Callable[[Path, Path], None]


def weights(folder: Path) -> Path:
    """The file of the tensors."""
    return next(path for path in folder.iterdir() if path.suffix in (".bin", ".safetensors"))


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    file = weights(folder)
    return torch.load(file, weights_only=True) if file.suffix == ".bin" else load_file(file)


def put(folder: Path, tensors: Any) -> None:
    file = weights(folder)
    torch.save(tensors, file) if file.suffix == ".bin" else save_file(tensors, file)


def edit(function: Callable[[dict[str, torch.Tensor]], Any]) -> Spoil:
    """A folder whose tensors a function changed in place, or gave anew."""

    def spoil(folder: Path, _marker: Path) -> None:
        tensors = tensors_of(folder)
        changed = function(tensors)
        put(folder, tensors if changed is None else changed)

    return spoil


def settings(**values: Any) -> Spoil:
    return lambda folder, _marker: change(folder, **values)


def no_inner_settings(folder: Path, _marker: Path) -> None:
    content = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**content, "config": None}))


def text(content: str | bytes) -> Spoil:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder, _marker: (folder / "adapter_config.json").write_bytes(data) and None


def data(content: bytes | Callable[[bytes], bytes]) -> Spoil:
    """A folder with another content of the file of tensors."""

    def spoil(folder: Path, _marker: Path) -> None:
        file = weights(folder)
        file.write_bytes(content(file.read_bytes()) if callable(content) else content)

    return spoil


def first(tensors: dict[str, torch.Tensor]) -> str:
    return next(iter(tensors))


def poison(value: float) -> Spoil:
    def fill(tensors: dict[str, torch.Tensor]) -> None:
        tensors[first(tensors)].view(-1)[0] = value

    return edit(fill)


def _drop(tensors):
    del tensors[first(tensors)]


def _extra(tensors):
    tensors["../../../etc/passwd"] = torch.zeros(2)


def _wider(tensors):
    tensors[first(tensors)] = torch.zeros(3, 7)


def _flat(tensors):
    matrix = next(name for name, value in tensors.items() if value.ndim == 2)
    tensors[matrix] = tensors[matrix].flatten()


def _doubles(tensors):
    tensors[first(tensors)] = tensors[first(tensors)].double()


def _whole_numbers(tensors):
    tensors[first(tensors)] = tensors[first(tensors)].long()


def fifo(folder: Path, _marker: Path) -> None:
    file = weights(folder)
    file.unlink()
    os.mkfifo(file)


def loop(folder: Path, _marker: Path) -> None:
    file = weights(folder)
    file.unlink()
    file.symlink_to(file.name)


def a_folder(folder: Path, _marker: Path) -> None:
    file = weights(folder)
    file.unlink()
    file.mkdir()


def header(length: int, body: bytes = b"", tail: bytes = b"") -> Spoil:
    return data(struct.pack("<Q", length) + body + tail)


def huge_shape(folder: Path, _marker: Path) -> None:
    names = load_file(weights(folder))
    entry = {name: {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]} for name in names}
    body = json.dumps(entry).encode()
    weights(folder).write_bytes(struct.pack("<Q", len(body)) + body)


def overlapping(folder: Path, _marker: Path) -> None:
    """Every tensor of the right shape, all of them the same bytes."""
    found = load_file(weights(folder))
    entry = {
        name: {"dtype": "F32", "shape": list(value.shape), "data_offsets": [0, value.numel() * 4]}
        for name, value in found.items()
    }
    body = json.dumps(entry).encode()
    size = max(value.numel() for value in found.values()) * 4
    weights(folder).write_bytes(struct.pack("<Q", len(body)) + body + bytes(size + 1))


class _Runs:
    """Unpickled, it makes the marker file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


def torch_saved(folder: Path, marker: Path) -> None:
    tensors = tensors_of(folder)
    tensors[first(tensors)] = _Runs(marker)  # pyright: ignore[reportArgumentType]
    torch.save(tensors, weights(folder))


def plain_pickle(protocol: int) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        weights(folder).write_bytes(pickle.dumps(_Runs(marker), protocol=protocol))

    return spoil


def archive(program: Callable[[Path], bytes], *, others: dict[str, bytes] | None = None, packed: bool = False) -> Spoil:
    """An archive as torch.save writes it, with a pickle of one's own and further parts."""

    def spoil(folder: Path, marker: Path) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as out:
            out.writestr("archive/data.pkl", program(marker))
            out.writestr("archive/version", b"3\n")
            for name, content in (others or {}).items():
                out.writestr(name, content)
        weights(folder).write_bytes(buffer.getvalue())

    return spoil


def call(module: str, name: str, *arguments: Any) -> bytes:
    """A pickle that calls `module.name(*arguments)`, named in the old way (GLOBAL)."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + pickle.dumps(arguments, protocol=2)[2:-1] + b"R."


def old_torch(folder: Path, _marker: Path) -> None:
    torch.save(tensors_of(folder), weights(folder), _use_new_zipfile_serialization=False)


def expanded(folder: Path, _marker: Path) -> None:
    """One number, said to be 10^12 of them."""
    tensors = tensors_of(folder)
    put(folder, {name: torch.zeros(1).expand(10**12) for name in tensors})


def many_names(folder: Path, _marker: Path) -> None:
    """A megabyte that is said to be a gigabyte of tensors."""
    megabyte = torch.zeros(2**18)
    put(folder, {f"{name}{index}": megabyte for name in tensors_of(folder) for index in range(100)})


def not_enough(folder: Path, _marker: Path) -> None:
    """Tensors that are larger than what the archive holds of them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(weights(folder)) as source, zipfile.ZipFile(buffer, "w") as out:
        for part in source.infolist():
            content = source.read(part)
            out.writestr(part.filename, content[:4] if "/data/" in part.filename else content)
    weights(folder).write_bytes(buffer.getvalue())


def too_large(folder: Path, _marker: Path) -> None:
    os.truncate(weights(folder), 2**30 + 1)


def deep(tensors: dict[str, torch.Tensor]) -> Any:
    return {"state_dict": OrderedDict(tensors)}


#: spoils any format; what the message says of it
ANY: dict[str, tuple[Spoil, str]] = {
    "no settings": (lambda f, _: (f / "adapter_config.json").unlink(), "adapter_config.json is missing"),
    "no weights": (lambda f, _: weights(f).unlink(), "no module of a known format"),
    "settings cut": (text('{"config": {'), "not valid JSON"),
    "settings no mapping": (text("[1, 2]"), "no mapping"),
    "settings not UTF-8": (text(b'{"a": "\xff"}'), "not valid JSON"),
    "settings empty": (text("{}"), "field required"),
    "settings nested": (text('{"config":' * 50_000), "nested too deeply"),
    "settings endless": (text("{" + " " * 2_000_000 + "}"), "bytes of settings"),
    "number without end": (text('{"a": ' + "9" * 9_000 + "}"), "not valid JSON"),
    "number that is none": (text('{"a": NaN}'), "not valid JSON"),
    "weights empty": (data(b""), "truncated"),
    "weights cut": (data(lambda content: content[: len(content) // 2]), "truncated|not a safetensors file"),
    "weights text": (data(b"<html>404 not found</html>"), "truncated"),
    "weights a pipe": (fifo, "no module of a known format"),
    "weights a loop": (loop, "no module of a known format|cannot be read"),
    "weights a folder": (a_folder, "no module of a known format"),
    "wrong shape": (edit(_wider), r"\(3, 7\)"),
    "flat": (edit(_flat), "has the shape"),
    "missing tensor": (edit(_drop), "missing"),
    "extra tensor with a path": (edit(_extra), r"do not belong to it: '\.\./\.\./\.\./etc/passwd'"),
    "float64": (edit(_doubles), "float64"),
    "int64": (edit(_whole_numbers), r"int64|torch\.LongStorage"),
    "NaN": (poison(float("nan")), "NaN or infinity"),
    "infinity": (poison(float("-inf")), "NaN or infinity"),
}
#: spoils safetensors files
SAFE: dict[str, tuple[Spoil, str]] = {
    "huge header": (header(2**20 + 1, b'{"a":1}'.ljust(2**20 + 1)), "a header of 1,048,577 bytes"),
    "header beyond the file": (header(2**63), "truncated"),
    "header no JSON": (header(4, b"{{{{"), "not valid JSON"),
    "header no mapping": (header(2, b"[]"), "no mapping"),
    "header without shapes": (header(7, b'{"a":1}'), "gives no shape"),
    "header nested": (header(600_000, b'{"a":' * 120_000), "nested too deeply"),
    "tensor of petabytes": (huge_shape, "has the shape"),
    "tensors that overlap": (overlapping, "not a safetensors file"),
    "a pickle in its place": (plain_pickle(2), "truncated"),
}
#: spoils pickled files
PICKLED: dict[str, tuple[Spoil, str]] = {
    "code among tensors": (torch_saved, r"system"),
    "code, protocol 0": (plain_pickle(0), "not written by torch.save"),
    "code, protocol 2": (plain_pickle(2), "not written by torch.save"),
    "code, protocol 5": (plain_pickle(5), "not written by torch.save"),
    "code in an archive": (archive(lambda marker: call("os", "system", f"touch '{marker}'")), r"'os\.system'"),
    "code by eval": (archive(lambda marker: call("builtins", "eval", f"open('{marker}', 'w')")), "builtins.eval"),
    "code by a stack": (archive(lambda marker: pickle.dumps(_Runs(marker), protocol=4)), "STACK_GLOBAL"),
    "code by torch": (archive(lambda marker: call("torch.hub", "load", str(marker))), r"torch\.hub\.load"),
    "memory without end": (archive(lambda _: call("builtins", "bytearray", 10**13)), "bytearray"),
    "a program without end": (archive(lambda _: b"\x80\x02" + b"N0" * 2**20 + b"."), "data.pkl of at most"),
    "a broken program": (archive(lambda _: b"\x80\x02\xfe\xfe"), "no pickle that can be read"),
    "an empty program": (archive(lambda _: b""), "no pickle that can be read"),
    "no mapping": (archive(lambda _: pickle.dumps([1, 2], protocol=2)), "no mapping"),
    "numbers, no tensors": (archive(lambda _: pickle.dumps({"a": 1}, protocol=2)), "no tensor"),
    "names that are none": (archive(lambda _: pickle.dumps({1: 1}, protocol=2)), "no mapping"),
    "a path out of the archive": (
        archive(lambda _: pickle.dumps({}, protocol=2), others={"../../evil.py": b"x"}),
        r"evil\.py",
    ),
    "code beside the tensors": (
        archive(lambda _: pickle.dumps({}, protocol=2), others={"archive/code/__torch__.py": b"x"}),
        "code/__torch__.py",
    ),
    "packed": (archive(lambda _: pickle.dumps({}, protocol=2), packed=True), "compressed"),
    "an archive of something else": (
        archive(lambda _: b"", others={"[Content_Types].xml": b"x"}),
        "Content_Types",
    ),
    "the format of before 1.6": (old_torch, "not written by torch.save"),
    "one number said to be many": (expanded, "larger than the file"),
    "one tensor of many names": (many_names, "larger than the file"),
    "less than it says": (not_enough, "cannot be read"),
    "too large": (too_large, "more than 1,073,741,824 bytes"),
    "a mapping in a mapping": (edit(deep), "no tensor"),
    "sparse": (edit(lambda tensors: {name: torch.eye(3).to_sparse() for name in tensors}), "asks for"),
}
#: spoils AdapterHub's settings
ADAPTERHUB: dict[str, tuple[Spoil, str]] = {
    "a name that is a path": (settings(name="../../../../root/.ssh"), "name="),
    "a name that is absolute": (settings(name="/etc/passwd"), "name="),
    "a name with a zero": (settings(name="a\0b"), "name="),
    "a name that is long": (settings(name="a" * 100_000), "name="),
    "a name that is none": (settings(name=["a"]), "name="),
    "another name": (settings(name="german"), "missing"),
    "no settings in the settings": (no_inner_settings, "config"),
    "another width": (settings(hidden_size=768), "width 768"),
    "another family": (settings(model_type="bert"), "'bert'|bert"),
    "a reduction of nothing": (settings(config={"reduction_factor": 0}), "reduction_factor"),
    "a reduction below nothing": (settings(config={"reduction_factor": -16}), "reduction_factor"),
    "a reduction next to nothing": (settings(config={"reduction_factor": 1e-300}), "reduction_factor"),
    "a layer before the first": (settings(config={"leave_out": [-1]}), "leave_out"),
    "a non-linearity with code": (settings(config={"non_linearity": "__import__('os').system('x')"}), "non_linearity"),
    "a scaling of infinity": (settings(config={"scaling": 10**400}), "scaling"),
}
#: spoils prompts' settings
PROMPTS: dict[str, tuple[Spoil, str]] = {
    "another method": (settings(peft_type="LORA"), "peft_type=LORA"),
    "another width": (settings(token_dim=768), "width 768"),
    "no rows": (settings(num_virtual_tokens=0), "num_virtual_tokens"),
    "rows without end": (settings(num_virtual_tokens=10**12), "num_virtual_tokens"),
    "more rows than there are": (settings(num_virtual_tokens=50), "has the shape"),
    "code from elsewhere": (settings(auto_mapping={"base_model_class": "x", "parent_library": "evil"}), "auto_mapping"),
}
