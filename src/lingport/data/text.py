"""Raw text as a stream of sentences or documents, divided into training and validation by content.

Cutting text into token chunks and corrupting it is `corruption.py`'s job.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np

from lingport.config.data import TextSource
from lingport.data.fetch import with_local_files
from lingport.data.files import Part, each_part, open_text
from lingport.data.json_records import JSON_LINES, json_error
from lingport.data.languages import fill_placeholders
from lingport.errors import DataError
from lingport.registry import Registry

HASH_SPACE = 2**64

TextStream = Callable[[TextSource, str | None], Iterator[str]]

TEXT_FORMATS: Registry[TextStream] = Registry(
    "text format",
    {
        "file": "lingport.data.text:stream_files",
        "hub": "lingport.data.hub:stream_hub_text",
        "demo": "lingport.data.hub:stream_demo_text",
    },
)


def read_text(source: TextSource, *, language: str | None = None) -> Iterator[str]:
    """Yields the texts of a source, one sentence or document each, stripped, blank ones left out.

    The division is by a hash of the text alone: the same text is on the same side in every run, whatever else
    is in the files, and `train` and `validation` never share a text.

    Args:
        source: Where the text is, which split, and how much of it.
        language: Code of the language; only the demo corpus asks for it.

    Raises:
        DataError: A file is missing, not UTF-8, not valid JSON lines, holds no text, or holds fewer texts
            than `num_train` and `num_validation` ask for.
    """
    resolved = with_local_files(fill_placeholders(source, language))
    stream = TEXT_FORMATS.get(resolved.format)
    chosen = _side(resolved, lambda: stream(resolved, language))
    return itertools.islice(chosen, resolved.limit)


def text_hash(text: str) -> int:
    """Returns a stable 64-bit hash of a text (blake2b), the same on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _side(source: TextSource, texts: Callable[[], Iterator[str]]) -> Iterator[str]:
    if source.format == "demo" or source.split is None:
        return texts()
    if source.num_train or source.num_validation:
        return _by_rank(source, texts)
    bound = int(source.validation * HASH_SPACE)
    held_out = source.split == "validation"
    return (text for text in texts() if (text_hash(text) < bound) == held_out)


def _by_rank(source: TextSource, texts: Callable[[], Iterator[str]]) -> Iterator[str]:
    """The texts of lowest hash are validation, the next ones training: exact numbers, drawn evenly.

    Two passes, because a stream does not know its length; 8 bytes a text are kept.
    """
    hashes = np.fromiter((text_hash(text) for text in texts()), dtype=np.uint64)
    ranked = np.unique(hashes).tolist()
    num_validation, num_train = source.num_validation or 0, source.num_train or len(ranked)
    needed = num_validation + (source.num_train or 1)
    if needed > len(ranked):
        raise DataError(
            f"{num_validation} texts for validation and {source.num_train or 'some'} for training are asked "
            f"for, but there are only {len(ranked)} different ones",
            where=", ".join(source.paths) or source.name,
            hint="lower num_train or num_validation, or give more text",
        )
    wanted = ranked[:num_validation]
    if source.split == "train":
        wanted = ranked[num_validation : num_validation + num_train]
    low, high = (wanted[0], wanted[-1]) if wanted else (1, 0)
    seen: set[int] = set()
    for text in texts():
        value = text_hash(text)
        if low <= value <= high and value not in seen:
            seen.add(value)
            yield text


def stream_files(source: TextSource, language: str | None) -> Iterator[str]:
    """Yields the texts of all files of a source whose paths are resolved.

    Raises:
        DataError: As `read_text`.
    """
    for name in source.paths:
        for part in each_part(Path(name), member=source.member):
            yield from stream_part(part, source)


def stream_part(part: Part, source: TextSource) -> Iterator[str]:
    """Yields the texts of one file.

    Raises:
        DataError: As `read_text`.
    """
    is_json = part.content_suffix in JSON_LINES
    empty = True
    with open_text(part) as lines:
        for number, line in lines:
            text = _record_text(line, source.field, part, number) if is_json and line.strip() else line
            text = text.strip()
            if text:
                empty = False
                yield text
    if empty:
        raise DataError("the file holds no text", where=str(part), hint="leave it out, or fetch it again")


def _record_text(line: str, field: str, part: Part, number: int) -> str:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise json_error(error, str(part), line=number) from error
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        keys = ", ".join(sorted(record)) if isinstance(record, dict) else type(record).__name__
        raise DataError(
            f"the record has no text under {field!r} (it has: {keys})",
            where=f"{part}:{number}",
            hint="set `field` to the key that holds the text",
        )
    return record[field]
