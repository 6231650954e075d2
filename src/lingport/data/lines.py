"""Examples whose fields lie in files of their own, line by line: the first lines belong together, then the second.

Not here: what the fields of an example are (`records.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

from lingport.data.files import open_text
from lingport.data.intake import Example, Intake
from lingport.data.records import example_from_record
from lingport.errors import DataError


def read_lines(intake: Intake) -> Iterator[Example]:
    """Yields one example for each line number; `columns` says which file (by its number, from 0) holds which field.

    Raises:
        DataError: `columns` names no file, or one file is longer than another.
    """
    files = _files(intake)
    fields = list(files)
    first = files[fields[0]]
    with ExitStack() as stack:
        opened = [stack.enter_context(open_text(path)) for path in files.values()]
        for row in zip_longest(*opened):
            number = next(each[0] for each in row if each is not None)
            short = next((field for field, each in zip(fields, row, strict=True) if each is None), None)
            if short is not None:
                message = f"the file ends before line {number}, which others of its files have"
                raise DataError(message, where=str(files[short]), hint="fetch the files again: they belong together")
            record = {field: text.strip() for field, (_, text) in zip(fields, row, strict=True)}
            name = f"{first.name.split('.')[0]}-{number}"
            example = example_from_record(record, intake, name=name, where=f"{first}:{number}")
            if example is not None:
                yield example


def _files(intake: Intake) -> Mapping[str, Path]:
    paths, columns = intake.source.paths, intake.source.columns
    chosen = {field: column for field, column in columns.items() if isinstance(column, int)}
    if len(chosen) < max(len(columns), 1) or not all(0 <= column < len(paths) for column in chosen.values()):
        raise DataError(
            f"`columns` must give each field the number of its file, 0 to {len(paths) - 1}: {columns}",
            where=", ".join(paths),
            hint="for example columns: {context: 0, question: 1, answers: 2}",
        )
    return {field: Path(paths[column]) for field, column in chosen.items()}
