"""The order in which training data is seen: a function of seed and position, so that nothing must be remembered.

Resuming, and training several modules at once, rest on this.
"""

from __future__ import annotations

import hashlib

import numpy as np


class EpochOrder:
    """Endless passes over N items, each pass in a new order.

    Args:
        num_items: N, at least 1.
        seed: Decides all orders.
        stream: Which of several sequences that share a seed: items of equal number are not seen in equal order.
    """

    def __init__(self, num_items: int, *, seed: int, stream: int = 0) -> None:
        self.num_items = num_items
        self.seed = seed
        self._stream = (stream,) if stream else ()
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def item(self, position: int) -> int:
        """Returns the item at a position of the endless sequence."""
        epoch, place = divmod(position, self.num_items)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = generator("order", self.seed, epoch, *self._stream).permutation(self.num_items)
        return int(self._order[place])


def generator(*key: str | int) -> np.random.Generator:
    """Returns a generator that depends on the key alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
