"""Where a recipe's files are looked for: the working directory first, then the folder of the recipe.

Not here: what the files hold, and what a recipe may say about them (`data.py`).
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from lingport.errors import DataError

WILDCARDS = "*?["
#: stand for a language's code, FLORES code and English name
PLACEHOLDER = re.compile(r"\{(language|flores|english)\}")


def search_folders(base: Path | None = None) -> list[str]:
    """Returns the folders that relative paths are looked for in, in this order, absolute.

    Args:
        base: The recipe's folder; None: the working directory alone.
    """
    folders = [Path.cwd(), *([] if base is None else [base.absolute()])]
    return list(dict.fromkeys(str(folder) for folder in folders))


def locate(pattern: str, *, folders: Sequence[str] = (), what: str = "data file") -> list[Path]:
    """Returns the absolute paths that a path or glob pattern stands for, sorted.

    Args:
        pattern: Without placeholders.
        folders: Where a relative one is looked for, in this order. Empty: the working directory.
        what: What an error calls it.

    Raises:
        DataError: Nothing is there; the message names the places.
    """
    tried = places(pattern, folders)
    for full in tried:
        if Path(full).is_file():
            return [Path(full)]
        if any(sign in pattern for sign in WILDCARDS):
            # Path.glob refuses absolute patterns
            found = sorted(Path(name) for name in glob.glob(full, recursive=True))  # noqa: PTH207
            if files := [path for path in found if path.is_file()]:
                return files
    is_folder = any(Path(full).is_dir() for full in tried)
    raise DataError(
        f"{what} {pattern!r} {'is a folder, not a file' if is_folder else 'is not there'}"
        f" (tried {' and '.join(tried)})",
        hint="name the files in it, for example with a pattern such as folder/*.txt"
        if is_folder
        else "give a path that exists, absolute, or relative to where you are or to the recipe",
    )


def places(pattern: str, folders: Sequence[str] = ()) -> list[str]:
    """Returns the absolute paths that a pattern may mean, one a folder."""
    wanted = Path(pattern).expanduser()
    roots = [""] if wanted.is_absolute() else folders or [str(Path.cwd())]
    return list(dict.fromkeys(os.path.normpath(Path(folder) / wanted) for folder in roots))


def require_some_language(pattern: str, folders: Sequence[str]) -> None:
    """Checks that a pattern with a `{language}` placeholder finds something in any language, in any folder.

    Raises:
        DataError: There is no such file for whatever language.
    """
    anything = PLACEHOLDER.sub("*", pattern)
    if not any(glob.glob(full, recursive=True) for full in places(anything, folders)):  # noqa: PTH207
        locate(anything, folders=folders)  # raises, naming the places tried
