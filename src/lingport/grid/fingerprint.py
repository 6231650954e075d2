"""Hashes of what decides a result: settings, and the content of the data behind them."""

from __future__ import annotations

import hashlib
import json
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from lingport.config.data import ExampleSource, TextSource
from lingport.config.paths import locate
from lingport.data.languages import fill_placeholders
from lingport.errors import DataError

#: length of an id in hexadecimal digits: 64 bits
_DIGITS = 16
# Which files the data came from, not what is in them; and the catalogue's name for what the other settings say.
_PLACES = {"paths", "labels_path", "folder", "base_folders", "dataset"}


def content_id(content: Any) -> str:
    """Returns a hash of anything that JSON can say; the order of keys does not matter."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=_DIGITS // 2).hexdigest()


def source_fingerprint(source: TextSource | ExampleSource, language: str) -> str:
    """Returns a hash of a data source's settings and of the bytes of its files.

    Hub data are known by name, configuration, split, files and revision, and nothing is fetched; the demo corpus by
    its own files. Files of the catalogue that are not there yet count as missing, so that a plan can be made.
    Settings at their defaults do not count: a new setting leaves the hashes of old recipes as they are.
    """
    source = cast(TextSource | ExampleSource, fill_placeholders(cast(Any, source), language))
    settings = source.model_dump(mode="json", exclude=_PLACES, exclude_defaults=True)
    named = [*source.paths, *filter(None, [getattr(source, "labels_path", None)])]
    contents = [each for pattern in named for each in _contents(source, pattern)]
    if source.format == "demo":
        contents = [_demo_hash()]
    return content_id({"settings": settings, "language": language, "contents": contents})


def _contents(source: TextSource | ExampleSource, pattern: str) -> list[str]:
    if source.name is not None:
        return [pattern]
    try:
        return [_file_hash(path) for path in locate(pattern, folders=source.base_folders)]
    except DataError:
        if source.dataset is None:
            raise
        return ["missing"]


def _file_hash(path: Path) -> str:
    state = path.stat()
    return _hash_of_state(path, state.st_mtime_ns, state.st_size)


@cache
def _hash_of_state(path: Path, _changed_ns: int, _size: int) -> str:
    # Many jobs share a file; one that changed since is read again.
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=1)
def _demo_hash() -> str:
    # The demo corpus is made of its sentences, the code that fills them, and the facts of CLDR in babel.
    digest = hashlib.sha256(version("babel").encode())
    folder = files("lingport.demo")
    parts = [*folder.iterdir(), *(folder / "sentences").iterdir()]
    for part in sorted((p for p in parts if p.name.endswith((".py", ".yaml")) and p.is_file()), key=lambda p: p.name):
        digest.update(part.name.encode() + part.read_bytes())
    return digest.hexdigest()
