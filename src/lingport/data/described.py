"""A data source as a module remembers it and a model card tells it: which data, which revision, never whose folders.

Not here: reading the data, and hashing them (`lingport.grid.fingerprint`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from lingport.config.data import ExampleSource, TextSource
from lingport.data.fetch import known_commit
from lingport.data.languages import fill_placeholders

#: as many file names are kept
MAX_FILES = 5
_LOCAL_NAMES = ("demo",)


def described(source: TextSource | ExampleSource, *, language: str) -> dict[str, Any]:
    """Returns what can be said of a source to people elsewhere; what is not known is left out.

    The catalogue's name (`dataset`), repository, revision and configuration on the hub, the split, names of files
    without their folders, and how many rows were taken at most.

    Args:
        source: Where the data came from.
        language: Code of their language.
    """
    filled = fill_placeholders(cast(Any, source), language)
    name = filled.name
    is_remote = name is not None and filled.format not in _LOCAL_NAMES and not Path(name).expanduser().is_dir()
    facts = {
        "language": language,
        "format": filled.format,
        "dataset": filled.dataset,
        "repository": name if is_remote else None,
        "revision": known_commit(cast(str, name), filled.revision) or filled.revision if is_remote else None,
        "config": filled.config,
        "split": getattr(filled, "hub_split", None) if filled.format == "hub" else None,
        "files": [Path(path).name for path in filled.paths[:MAX_FILES]],
        "more_files": max(0, len(filled.paths) - MAX_FILES),
        "limit": filled.limit,
        "num_train": getattr(filled, "num_train", None),
    }
    if isinstance(filled, ExampleSource):
        facts["split"] = filled.split
    return {key: value for key, value in facts.items() if value}
