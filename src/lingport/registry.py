"""A typed registry of names whose values are imported on first use.

Lazy, because `lingport --help` must not import torch; it answers an unknown name with the nearest one.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

from lingport.errors import UnknownNameError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to objects given as `package.module:attribute`.

    Args:
        what: What the names stand for, in the singular; used in errors.
        entries: The built-in names.
    """

    def __init__(self, what: str, entries: dict[str, str] | None = None) -> None:
        self.what = what
        self._targets: dict[str, str | T] = dict(entries or {})

    def register(self, name: str, target: str | T) -> None:
        """Adds a name; a name that is taken is refused, so that nothing is replaced unseen."""
        if name in self._targets:
            raise ValueError(f"{self.what} {name!r} is registered already")
        self._targets[name] = target

    def get(self, name: str) -> T:
        """Returns the object behind a name.

        Raises:
            UnknownNameError: The name is not registered.
        """
        if name not in self._targets:
            raise UnknownNameError(f"unknown {self.what} {name!r}", hint=nearest(name, self._targets))
        target = self._targets[name]
        if isinstance(target, str):
            module_name, _, attribute = target.partition(":")
            target = cast(T, getattr(importlib.import_module(module_name), attribute))
            self._targets[name] = target
        return cast(T, target)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def __contains__(self, name: object) -> bool:
        return name in self._targets
