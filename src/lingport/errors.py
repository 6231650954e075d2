"""The one error tree of lingport: every error says what, where, and what to do next.

Not here: reporting to a terminal, which is the command line's job.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LingportError(Exception):
    """A problem that a user can read and act on.

    Args:
        message: What is wrong, with the value that is wrong.
        where: The file (with line and column where known), key or object it is about.
        hint: The next step.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __reduce__(self):  # keyword-only arguments do not survive Exception's own pickling
        return _rebuild, (type(self), self.message, self.where, self.hint)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  -> {self.hint}" if self.hint else text


def _rebuild(kind: type[LingportError], message: str, where: str | None, hint: str | None) -> LingportError:
    return kind(message, where=where, hint=hint)


class InputError(LingportError):
    """Something that the user gave is wrong; nothing was done with it."""

    exit_code = 2


class ConfigError(InputError):
    """A recipe, an override or a task file says something it may not say."""


class DataError(InputError):
    """A data file is missing or malformed."""


class UnknownNameError(InputError):
    """A name that no registry holds; the message carries the nearest one that exists."""


class BackboneError(InputError):
    """A backbone cannot be loaded, or not in the way it was asked for."""


class ModuleError(InputError):
    """A module file is broken, or does not fit what it is asked to do."""


class WrongBackboneError(ModuleError):
    """A module was trained on another backbone."""


class CompositionError(InputError):
    """Modules that cannot act together were composed."""


class HubError(LingportError):
    """The hub does not do what it was asked for."""


class HubAccessError(HubError):
    """The hub wants a login, or the login may not do this (401, 403, gated repositories)."""

    exit_code = 2


class HubNotFoundError(HubError):
    """The hub has no such repository, revision or file (404)."""

    exit_code = 2


class HubBusyError(HubError):
    """The hub asks to come back later (429, 5xx)."""


class HubTransferError(HubError):
    """The hub cannot be reached, the connection was cut, or a file arrived damaged."""


class TrainingError(LingportError):
    """Training cannot go on (a loss that is not finite, a checkpoint of another run)."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Returns a sentence that names the nearest allowed name, or all of them."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.6)
    choices = f"allowed: {', '.join(allowed)}" if allowed else "none is registered"
    return f"did you mean {close[0]!r}? ({choices})" if close else choices
