"""Nested samples: the same seed draws the same items, and a larger sample holds every smaller one.

Learning curves over the amount of data rest on this: their points differ by what was added, not by what was drawn.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import TypeVar

from lingport.errors import DataError

T = TypeVar("T")


def nested_sample(
    items: Iterable[T], size: int | None, *, seed: int, identity: Callable[[T], str], where: str
) -> Iterable[T]:
    """Returns `size` items in their own order, those whose identity has the lowest hash under the seed.

    Items that are added to the data change the sample no more than they must. Source: ours (bottom-k sampling).

    Args:
        items: Read once; `size` of them are kept in memory.
        size: How many. None: all of them, none is drawn.
        seed: Decides which.
        identity: What tells an item from others: an id, a text.
        where: What the items are called in an error.

    Raises:
        DataError: There are fewer.
    """
    if size is None:
        return items
    ranked = ((_hash(f"{seed} {identity(item)}"), place, item) for place, item in enumerate(items))
    kept = heapq.nsmallest(size, ranked, key=lambda entry: entry[:2])
    if len(kept) < size:
        raise DataError(
            f"{size} are asked for, but there are only {len(kept)}",
            where=where,
            hint="ask for fewer, or null for all of them",
        )
    return [item for _, _, item in sorted(kept, key=lambda entry: entry[1])]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
