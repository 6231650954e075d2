"""The catalogue of data sets: what is known of each, where it comes from, and how its columns are read.

An entry is a YAML file in `data/catalogue`; a recipe names one with `dataset: xnli`. Not here: fetching or reading
the data, and the settings of a source themselves (`data.py`).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lingport.config.load import read_yaml, validated
from lingport.errors import UnknownNameError, nearest

FOLDER = Path(__file__).parent.parent / "data" / "catalogue"
#: where the files of an entry that a user must bring are looked for, unless `folder` says otherwise
DATA_FOLDER = "data"
#: raw text has no published splits of its own
RAW_TEXT = "text"

Split = Literal["train", "validation", "test"]


class CatalogueEntry(BaseModel):
    """One data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(description="Its usual name.")
    task: str = Field(description="Task of the catalogue that it is for; `text`: raw text.")
    languages: list[str] = Field(min_length=1, description="Codes of the languages that it has for us.")
    license: str = Field(description="As its publishers say it; `not stated` where they say nothing.")
    homepage: str = Field(description="Where its publishers describe it.")
    size: str | None = Field(default=None, description="Examples or bytes. None: not known here.")
    obtain: str | None = Field(
        default=None, description="What a user must bring, and where it is to be had. None: it is on the hub."
    )
    source: dict[str, Any] = Field(description="Settings of a source that all splits share; paths are in its folder.")
    splits: dict[Split, dict[str, Any]] = Field(
        default={}, description="Split of ours -> settings that it has besides `source`. Empty for raw text."
    )
    notes: list[str] = Field(default=[], description="What a user should know, and where ours differs from the paper.")
    verified: list[str] = Field(default=[], description="What was looked up, and where.")
    unverified: list[str] = Field(default=[], description="What could not be looked up.")

    @property
    def is_brought(self) -> bool:
        """Whether a user must bring its files."""
        return self.obtain is not None

    def settings(self, name: str, split: str | None, *, folder: str | None = None) -> dict[str, Any]:
        """Returns the settings of a source of this data set.

        Args:
            name: The entry's name.
            split: train, validation or test; None for raw text.
            folder: Where the files that a user brings lie. None: `data/<name>`.

        Raises:
            ValueError: It has no such split, or the split is left out or too much.
        """
        if bool(self.splits) != (split is not None):
            kind = f"one of its splits, such as {name}/test" if self.splits else "raw text, which has no splits"
            raise ValueError(f"the data set {name!r} is {kind}")
        if split is not None and split not in self.splits:
            raise ValueError(f"the data set {name!r} has no {split} data; it has: {', '.join(self.splits)}")
        own = self.splits[split] if split is not None else {}  # pyright: ignore[reportArgumentType]
        found = {**self.source, **own}
        if self.is_brought:
            at = folder or f"{DATA_FOLDER}/{name}"
            found["paths"] = [f"{at}/{path}" for path in _listed(found["paths"])]
        return found


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def entry_names() -> list[str]:
    """Returns the names of the catalogue, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@lru_cache(maxsize=256)
def load_entry(name: str) -> CatalogueEntry:
    """Returns the entry of a data set.

    Raises:
        UnknownNameError: There is none of that name.
        ConfigError: Its file is wrong.
    """
    path = FOLDER / f"{name}.yaml"
    if name not in entry_names():
        raise UnknownNameError(
            f"unknown data set {name!r}; {nearest(name, entry_names())}",
            hint="`lingport data list` shows them; other data are named by format and path",
        )
    return validated(CatalogueEntry, read_yaml(path))


def entry_of(reference: str) -> CatalogueEntry:
    """Returns the entry behind `name` or `name/split`.

    Raises:
        UnknownNameError: There is none of that name.
    """
    return load_entry(reference.partition("/")[0])


def source_settings(reference: str, *, folder: str | None = None) -> dict[str, Any]:
    """Returns the settings of a source behind `name` (raw text) or `name/split` (examples).

    Raises:
        ValueError: There is no such data set or split.
    """
    name, _, split = reference.partition("/")
    try:
        return load_entry(name).settings(name, split or None, folder=folder)
    except UnknownNameError as error:
        raise ValueError(error.message) from None


def split_sources(value: Any) -> Any:
    """Returns the splits of a language's data, each naming its split, where a data set stands for all of them.

    Args:
        value: As a recipe says it: a data set's name, or a mapping with `dataset`, settings that all splits share, and
            settings of single splits. Anything else is given back as it is.

    Raises:
        ValueError: There is no such data set, or it is raw text.
    """
    if isinstance(value, str):
        value = {"dataset": value}
    if not isinstance(value, dict) or not isinstance(value.get("dataset"), str):
        return value
    name = value["dataset"]
    try:
        entry = load_entry(name)
    except UnknownNameError as error:
        raise ValueError(error.message) from None
    if not entry.splits:
        raise ValueError(f"the data set {name!r} is raw text: name it under `text`")
    shared = {key: item for key, item in value.items() if key not in entry.splits}
    return {
        split: {**shared, "dataset": f"{name}/{split}", **value.get(split, {})}
        for split in entry.splits
        if value.get(split, {}) is not None
    }


def language_problem(reference: str | None, language: str) -> str | None:
    """Returns what is wrong with a source of the catalogue in a language; None: nothing, or it is of no catalogue."""
    entry = entry_of(reference) if reference else None
    if entry is None or language in entry.languages:
        return None
    return f"the data set {reference!r} has no {language!r}; it has: {', '.join(entry.languages)}"
