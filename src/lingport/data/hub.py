"""Sources that are no files: data sets of the Hugging Face hub by name, and the demo corpus.

A data set is read from its files, row by row: nothing is copied, and code that it brings along is never run. Not
here: which files those are (`hub_files.py`), and how they come to this machine (`fetch.py`).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lingport.config.data import TextSource
from lingport.data.fetch import commit_of, fetch, list_files
from lingport.data.files import Part
from lingport.data.hub_files import CARD, files_of_split
from lingport.data.intake import Example, Intake
from lingport.data.records import example_from_record, rename
from lingport.data.table import read_table
from lingport.data.text import stream_part
from lingport.errors import DataError, nearest

DEMO_MODULE = "lingport.demo.corpus"
PARQUET = ".parquet"
#: key of a parquet file's metadata under which the hub keeps what the columns hold
_FEATURES = b"huggingface"


def find_split(name: str, *, config: str | None, split: str, revision: str | None) -> list[Path]:
    """Returns the local files of one split of a data set of the hub, or of a local folder in its layout.

    Raises:
        DataError: It cannot be had, or has no such configuration or split.
    """
    where = f"hub:{name}" + (f"/{config}" if config else "") + f"[{split}]"
    folder = Path(name).expanduser()
    if folder.is_dir():
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        card = folder / CARD
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        return [folder / file for file in files_of_split(files, text, config=config, split=split, where=where)]
    commit = commit_of(name, revision)
    files = list_files(name, commit)
    text = ""
    if CARD in files:
        (card,) = fetch(name, [CARD], commit=commit)
        text = card.read_text(encoding="utf-8", errors="replace")
    return fetch(name, files_of_split(files, text, config=config, split=split, where=where), commit=commit)


def read_hub(intake: Intake) -> Iterator[Example]:
    """Yields the examples of a hub data set; numbers of classes are turned into their names."""
    source = intake.source
    name, split = cast(str, source.name), cast(str, source.split)
    files = find_split(name, config=source.config, split=split, revision=source.revision)
    if any(path.suffix != PARQUET for path in files):
        for path in files:
            yield from read_table(Part(path), intake)
        return
    for index, row in enumerate(_rows(files, list(map(str, source.columns.values())), where=f"hub:{name}[{split}]")):
        where = f"hub:{name}[{split}]: row {index}"
        example = example_from_record(rename(row, source.columns), intake, name=f"{split}-{index}", where=where)
        if example is not None:
            yield example


def stream_hub_text(source: TextSource, language: str | None) -> Iterator[str]:
    """Yields the texts of a hub data set, stripped, blank ones left out.

    Raises:
        DataError: It cannot be had, or has no such column.
    """
    name = cast(str, source.name)
    files = find_split(name, config=source.config, split=source.hub_split, revision=source.revision)
    if any(path.suffix != PARQUET for path in files):
        for path in files:
            yield from stream_part(Part(path), source)
        return
    for row in _rows(files, [source.field], where=f"hub:{name}[{source.hub_split}]"):
        text = row[source.field]
        if isinstance(text, str) and text.strip():
            yield text.strip()


def _rows(files: Sequence[Path], columns: Sequence[str], *, where: str) -> Iterator[Mapping[str, Any]]:
    """Yields the rows of parquet files, of these columns only (of all if none are named)."""
    import pyarrow
    from pyarrow import parquet

    for path in files:
        try:
            with parquet.ParquetFile(path) as opened:
                schema = opened.schema_arrow
                for column in columns:
                    if column not in schema.names:
                        hint = f"set `columns` or `field`; {nearest(column, schema.names)}"
                        raise DataError(f"there is no column {column!r}", where=where, hint=hint)
                namers = _class_namers(schema.metadata or {})
                for batch in opened.iter_batches(columns=list(dict.fromkeys(columns)) or None):
                    for row in batch.to_pylist():
                        yield {key: namers[key](value) if key in namers else value for key, value in row.items()}
        except pyarrow.ArrowException as error:
            message = f"the parquet file cannot be read: {str(error).splitlines()[0]}"
            raise DataError(message, where=str(path), hint="delete it, so that it is fetched again") from error


def _class_namers(metadata: Mapping[bytes, bytes]) -> dict[str, Callable[[Any], Any]]:
    """For columns that hold classes as numbers, what gives their names; a missing label (-1) is empty."""
    said = json.loads(metadata.get(_FEATURES, b"{}"))

    def namer(feature: Any) -> Callable[[Any], Any] | None:
        if not isinstance(feature, dict):
            return None
        if feature.get("_type") == "ClassLabel":
            names = feature["names"]
            return lambda value: "" if value is None or value < 0 else names[value]
        of_item = namer(feature.get("feature"))
        return None if of_item is None else lambda values: [of_item(value) for value in values]

    found = {name: namer(feature) for name, feature in said.get("info", {}).get("features", {}).items()}
    return {name: convert for name, convert in found.items() if convert is not None}


def read_demo(intake: Intake) -> Iterator[Example]:
    """Yields the examples of the demo corpus for the task of the reading, or the one that `name` gives.

    Raises:
        DataError: Neither says which task.
    """
    task = intake.source.name or intake.task
    if task is None:
        raise DataError("the demo corpus needs to know the task", hint="set `name` to the task")
    corpus = importlib.import_module(DEMO_MODULE)
    for index, example in enumerate(corpus.read_examples(task, intake.language, split=intake.source.split)):
        where = f"demo:{task}/{intake.language}[{intake.source.split}]"
        yield {"id": f"demo-{index}", "where": where, **example}


def stream_demo_text(source: TextSource, language: str | None) -> Iterator[str]:
    """Yields the sentences of the demo corpus in a language.

    Raises:
        DataError: The language is not said.
    """
    if language is None:
        raise DataError("the demo corpus needs to know the language", hint="pass language=")
    corpus = importlib.import_module(DEMO_MODULE)
    return iter(corpus.read_text(language, split=source.split or "train"))
