"""Sources that are no files: Hugging Face data sets by name, and the demo corpus.

The only place that imports `datasets`, and only when a source asks for it. Code that a data set brings along
is never run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from lingport.config.data import TextSource
from lingport.data.intake import Example, Intake
from lingport.data.records import example_from_record, rename
from lingport.errors import DataError, nearest

if TYPE_CHECKING:
    from datasets import Dataset

DEMO_MODULE = "lingport.demo.corpus"


def load_split(name: str, *, config: str | None, split: str, revision: str | None) -> Dataset:
    """Returns one split of a Hugging Face data set (or of a local folder in its layout).

    Raises:
        DataError: It cannot be had: no network, no such data set, configuration or split, or it needs code of
            its own to be run.
    """
    import datasets
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    where = f"hub:{name}" + (f"/{config}" if config else "") + f"[{split}]"
    try:
        loaded = datasets.load_dataset(name, config, split=split, revision=revision)
    except (ConnectionError, DatasetNotFoundError) as error:
        hint = (
            "check the spelling and the network; offline, a data set must have been loaded before (HF_HUB_OFFLINE=1 "
            "spares the retries), or be given as files (format squad, columns, spans, xnli or table)"
        )
        raise DataError(f"the data set cannot be had: {_first_line(error)}", where=where, hint=hint) from error
    except (ValueError, RuntimeError, OSError, DatasetsError) as error:
        hint = "look at the data set's page for its configurations (`config`), splits (`split`) and files"
        raise DataError(f"the data set cannot be read: {_first_line(error)}", where=where, hint=hint) from error
    return cast("Dataset", loaded)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def read_hub(intake: Intake) -> Iterator[Example]:
    """Yields the examples of a hub data set; numbers of classes are turned into their names."""
    source = intake.source
    name, split = cast(str, source.name), cast(str, source.split)
    dataset = load_split(name, config=source.config, split=split, revision=source.revision)
    for field, column in source.columns.items():
        if column not in dataset.column_names:
            hint = nearest(str(column), dataset.column_names)
            raise DataError(f"there is no column {column!r} for {field!r}", where=f"hub:{name}[{split}]", hint=hint)
    namers = _class_namers(dataset)
    for index, row in enumerate(dataset):
        record = {key: namers[key](value) if key in namers else value for key, value in cast(Mapping, row).items()}
        where = f"hub:{name}[{split}]: row {index}"
        example = example_from_record(rename(record, source.columns), intake, name=f"{split}-{index}", where=where)
        if example is not None:
            yield example


def _class_namers(dataset: Dataset) -> dict[str, Callable[[Any], Any]]:
    """For columns that hold classes as numbers, what gives their names; a missing label (-1) is empty."""
    import datasets

    def namer(feature: Any) -> Callable[[Any], Any] | None:
        if isinstance(feature, datasets.ClassLabel):
            return lambda value: "" if value is None or value < 0 else feature.int2str(value)
        inner = getattr(feature, "feature", None)
        of_item = namer(inner) if inner is not None else None
        return None if of_item is None else lambda values: [of_item(value) for value in values]

    found = {name: namer(feature) for name, feature in dataset.features.items()}
    return {name: convert for name, convert in found.items() if convert is not None}


def stream_hub_text(source: TextSource, language: str | None) -> Iterator[str]:
    """Yields the texts of a hub data set, stripped, blank ones left out.

    Raises:
        DataError: It cannot be had, or has no such column.
    """
    name = cast(str, source.name)
    dataset = load_split(name, config=source.config, split=source.hub_split, revision=source.revision)
    if source.field not in dataset.column_names:
        hint = f"set `field`; {nearest(source.field, dataset.column_names)}"
        where = f"hub:{name}[{source.hub_split}]"
        raise DataError(f"there is no column {source.field!r}", where=where, hint=hint)
    for row in dataset.select_columns(source.field):
        text = cast(Mapping[str, Any], row)[source.field]
        if isinstance(text, str) and text.strip():
            yield text.strip()


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
