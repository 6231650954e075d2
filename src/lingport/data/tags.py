"""Turns per-token tags (IOB2, IOB1, BIOES) into entities, and renames or drops their types.

Reading the tokens and tags from files is the readers' job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lingport.errors import nearest

TAG = re.compile(r"(?:O|[BIESLU]-\S.*)")
SAME_PREFIX = {"L": "E", "U": "S"}  # BILOU's names
PREFIXES = {"iob2": "BI", "iob1": "BI", "bioes": "BIES"}


class TagError(Exception):
    """A tag that cannot be read.

    Args:
        index: The token's place in the sentence, from 0.
        message: What is wrong.
        hint: What to do.
    """

    def __init__(self, index: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.index = index
        self.message = message
        self.hint = hint


def looks_like_tag(cell: str) -> bool:
    """Returns whether a cell has the shape of an entity tag (`O`, `B-PER`, `I-LOC`, ...)."""
    return TAG.fullmatch(cell) is not None


def entities(tags: Sequence[str], *, scheme: str = "iob2", repair: bool = False) -> list[tuple[str, int, int]]:
    """Returns the entities of one sentence as (type, first token, token after the last).

    Source: IOB1 and IOB2 as in the CoNLL shared tasks of 2002 and 2003; BIOES also takes BILOU's L and U.

    Args:
        tags: One tag a token.
        scheme: `iob2`, `iob1` or `bioes`.
        repair: Takes a tag that is out of order as the start of an entity.

    Raises:
        TagError: A tag has not the scheme's shape, or is out of order and `repair` is off.
    """
    found: list[tuple[str, int, int]] = []
    open_type: str | None = None  # of the entity that the previous token left open
    for index, tag in enumerate(tags):
        prefix, kind = _split(tag, index, scheme)
        continues = prefix in ("I", "E") and kind == open_type
        if not continues:
            if not repair:
                _check_order(index, tag, prefix, open_type, scheme)
            if prefix != "O":
                found.append((kind, index, index + 1))
        else:
            found[-1] = (kind, found[-1][1], index + 1)
        open_type = None if prefix in ("O", "E", "S") else kind
    if scheme == "bioes" and open_type is not None and not repair:
        raise TagError(len(tags) - 1, f"the sentence ends inside an entity {open_type}", _REPAIR_HINT)
    return found


_REPAIR_HINT = "mend the file, or set repair: true to take it as it is"


def _split(tag: str, index: int, scheme: str) -> tuple[str, str]:
    if tag == "O":
        return "O", ""
    prefix, _, kind = tag.partition("-")
    prefix = SAME_PREFIX.get(prefix, prefix) if scheme == "bioes" else prefix
    if looks_like_tag(tag) and prefix in PREFIXES[scheme]:
        return prefix, kind
    if looks_like_tag(tag):
        raise TagError(index, f"tag {tag!r} is not of scheme {scheme}", "set scheme: bioes")
    raise TagError(
        index,
        f"{tag!r} is no tag; a tag is O, B-TYPE or I-TYPE",
        "mend the line, or set tag_column to the column of the tags",
    )


def _check_order(index: int, tag: str, prefix: str, open_type: str | None, scheme: str) -> None:
    if scheme == "iob2" and prefix == "I":
        hint = f"{_REPAIR_HINT}; if the whole file is like this, set scheme: iob1"
        raise TagError(index, f"{tag!r} continues an entity that was not begun (no B- before it)", hint)
    if scheme == "bioes" and (prefix in ("I", "E") or open_type is not None):
        raise TagError(index, f"{tag!r} is out of order after an entity {open_type}", _REPAIR_HINT)


def map_type(kind: str, mapping: Mapping[str, str | None], allowed: Sequence[str]) -> str | None:
    """Returns the entity type that a type of the file becomes; None if it is dropped.

    Raises:
        ValueError: The type is not among the allowed ones; the message names the nearest.
    """
    mapped = mapping.get(kind, mapping.get("*", kind))
    if mapped is not None and allowed and mapped not in allowed:
        raise ValueError(f"entity type {mapped!r} is not allowed; {nearest(mapped, allowed)}")
    return mapped
