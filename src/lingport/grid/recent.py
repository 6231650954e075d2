"""Keeps the modules that were used last in memory, up to so many bytes.

Modules differ in size by four orders of magnitude, so that a number of modules would bound nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from lingport.modules.base import TransferModule


class RecentModules:
    """Loads modules by name, and remembers those that were asked for last.

    Args:
        load: Returns the module of a name.
        max_bytes: Most bytes of tensors that are kept; the module asked for last is always.
    """

    def __init__(self, load: Callable[[str], TransferModule], *, max_bytes: int) -> None:
        self._load = load
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[TransferModule, int]] = OrderedDict()

    def __call__(self, name: str) -> TransferModule:
        """Returns a module, the same object as long as it is remembered."""
        if name not in self._kept:
            module = self._load(name)
            self._kept[name] = (module, sum(value.nbytes for value in module.state_dict().values()))
            while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return self._kept[name][0]
