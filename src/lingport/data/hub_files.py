"""Which files of a data set on the hub belong to a configuration and a split.

Its card says so (`configs` in the head of README.md); where it does not, folders and file names do, as in the hub's
conversions to parquet (`sk/train/0000.parquet`). Not here: fetching (`fetch.py`) and reading (`hub.py`).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import yaml

from lingport.errors import DataError, nearest

#: best first; of several formats of the same data one is read
ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
COMPRESSED = (".gz", ".xz", ".bz2")
CARD = "README.md"
#: what a split is called in file names, besides its own name
_SPELLINGS = {"validation": ("validation", "valid", "val", "dev"), "test": ("test", "eval")}
#: written in C where there is one: some cards are a thousand lines long
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)


def files_of_split(files: Sequence[str], card: str, *, config: str | None, split: str, where: str) -> list[str]:
    """Returns the files of one split of one configuration, sorted.

    Args:
        files: Paths of all files of the data set.
        card: The text of its README.md; empty if it has none.
        config: The configuration. None: the default one, or the only one.
        split: The published split.
        where: What an error calls the data set.

    Raises:
        DataError: It has no such configuration or split, or none can be told from its files.
    """
    data = [file for file in files if _ending(file) in ENDINGS]
    if not data:
        has_script = any(file.endswith(".py") for file in files)
        hint = "set revision: refs/convert/parquet, the hub's own conversion" if has_script else f"see {where}"
        raise DataError("the data set has no files that can be read without its code", where=where, hint=hint)
    declared = _declared(card)
    if declared:
        return _by_card(declared, data, config=config, split=split, where=where)
    return _by_name(data, config=config, split=split, where=where)


def _ending(file: str) -> str:
    path = PurePosixPath(file)
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


@lru_cache(maxsize=64)
def _declared(card: str) -> dict[str, Mapping[str, Any]]:
    """Configurations that a card declares with their files, the default one first."""
    head = _HEAD.match(card)
    try:
        said = yaml.load(head[1], Loader=_LOADER) if head else None
    except yaml.YAMLError:  # a card is for people; without a head that can be read, file names speak
        return {}
    configs = said.get("configs") if isinstance(said, dict) else None
    found = {
        str(each["config_name"]): each
        for each in configs or []
        if isinstance(each, dict) and "config_name" in each and "data_files" in each
    }
    default = [name for name, each in found.items() if each.get("default") is True or name == "default"]
    return {name: found[name] for name in [*default, *(name for name in found if name not in default)]}


def _by_card(
    declared: Mapping[str, Mapping[str, Any]], data: Sequence[str], *, config: str | None, split: str, where: str
) -> list[str]:
    names = list(declared)
    if config is None and len(names) > 1 and names[0] != "default" and not declared[names[0]].get("default"):
        raise DataError("the data set has several configurations", where=where, hint=f"set `config`; {_few(names)}")
    chosen = names[0] if config is None else config
    if chosen not in declared:
        raise DataError(f"there is no configuration {chosen!r}", where=where, hint=nearest(chosen, names))
    said = declared[chosen]["data_files"]
    patterns: dict[str, list[str]] = {}
    if isinstance(said, (str, dict)):
        said = [said]
    for each in said:
        own, path = (each.get("split", "train"), each["path"]) if isinstance(each, dict) else ("train", each)
        patterns.setdefault(str(own), []).extend([path] if isinstance(path, str) else path)
    if split not in patterns:
        raise DataError(f"{chosen!r} has no split {split!r}", where=where, hint=nearest(split, patterns))
    found = sorted({file for file in data for pattern in patterns[split] if fnmatch.fnmatchcase(file, pattern)})
    if not found:
        message = f"the card names {', '.join(patterns[split])} for {split!r}, but there are no such files"
        raise DataError(message, where=where, hint="set `revision` to a commit that has them")
    return found


def _by_name(data: Sequence[str], *, config: str | None, split: str, where: str) -> list[str]:
    folders = sorted({path.parts[0] for path in map(PurePosixPath, data) if len(path.parts) > 1})
    if config is not None and config in folders:
        data = [file for file in data if file.startswith(f"{config}/")]
    elif config not in (None, "default"):
        raise DataError(f"there is no configuration {config!r}", where=where, hint=nearest(str(config), folders))
    words = "|".join(_SPELLINGS.get(split, (re.escape(split),)))
    named = re.compile(rf"(?:^|[/_.-])(?:{words})(?:[/_.-]|$)")
    found = [file for file in data if named.search(file.removeprefix(f"{config}/"))]
    if not found:
        raise DataError(f"no file is of the split {split!r}", where=where, hint=f"its files: {_few(sorted(data))}")
    best = min((_ending(file) for file in found), key=ENDINGS.index)
    found = sorted(file for file in found if _ending(file) == best)
    several = {PurePosixPath(file).parts[0] for file in found if len(PurePosixPath(file).parts) > 2}
    if config is None and len(several) > 1:
        raise DataError(
            "the data set has several configurations", where=where, hint=f"set `config`; {_few(sorted(several))}"
        )
    return found


def _few(names: Sequence[str]) -> str:
    others = len(names) - 8
    return ", ".join(names[:8]) + (f" and {others} more" if others > 0 else "")
