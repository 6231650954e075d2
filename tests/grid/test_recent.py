"""Modules in memory: bounded by their size, not by their number."""

from __future__ import annotations

from lingport.grid.recent import RecentModules
from tests.tiny import module, shared


def test_the_bytes_are_bounded_and_the_last_is_always_kept():
    loaded = []

    def load(name):
        loaded.append(name)
        return module("prompt", shared("mt5"), rows=100 if name == "big" else 10)

    size = sum(value.nbytes for value in load("x").state_dict().values())
    kept = RecentModules(load, max_bytes=3 * size)
    loaded.clear()
    first = kept("a")
    for name in ("b", "c", "a"):
        kept(name)
    assert kept("a") is first and loaded == ["a", "b", "c"]
    kept("d")  # `b` was not asked for longest
    kept("a")
    kept("b")
    assert loaded == ["a", "b", "c", "d", "b"]
    big = kept("big")
    assert kept("big") is big
    kept("a")
    assert loaded[-2:] == ["big", "a"]
