"""Lines cut into columns: tabs, blanks, or CSV with quotes.

Not here: what a column means.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence

from lingport.config.data import ExampleSource
from lingport.data.files import Part, open_text
from lingport.errors import DataError, nearest

NAMED_SEPARATORS = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
SEPARATOR_OF_ENDING = {".tsv": "\t", ".tab": "\t", ".csv": ","}
QUOTED_BY_HABIT = (",", ";")
BLANKS = re.compile(r"[ \t]+")

Row = tuple[int, list[str]]


def find_separator(part: Part, source: ExampleSource, *, otherwise: str) -> str:
    """Returns the separator of a file: the one that is set, else by its ending, else by its first line.

    Args:
        part: The file.
        source: The settings.
        otherwise: The separator where neither the ending nor a tab in the first line says it.

    Raises:
        DataError: The set one is more than one character and no known name.
    """
    if source.separator is not None:
        separator = NAMED_SEPARATORS.get(source.separator, source.separator)
        if len(separator) == 1:
            return separator
        raise DataError(
            f"unknown separator {source.separator!r}; {nearest(source.separator, NAMED_SEPARATORS)}",
            where=str(part),
            hint="give a name or one character",
        )
    if part.content_suffix in SEPARATOR_OF_ENDING:
        return SEPARATOR_OF_ENDING[part.content_suffix]
    with open_text(part) as lines:
        first = next((line for _, line in lines if line.strip() and not _is_comment(line, source)), "")
    return "\t" if "\t" in first else otherwise


def _is_comment(line: str, source: ExampleSource) -> bool:
    return source.comment is not None and line.startswith(source.comment)


def is_quoted(source: ExampleSource, separator: str) -> bool:
    """Returns whether fields may stand in CSV quotes, by the settings or by the separator's habit."""
    return source.quoting if source.quoting is not None else separator in QUOTED_BY_HABIT


def delimited_rows(part: Part, source: ExampleSource, *, separator: str) -> Iterator[Row]:
    """Yields (line number, cells) of every row; a blank line has no cells.

    Raises:
        DataError: A quotation mark is not closed, or follows a closed field.
    """
    return _quoted(part, separator) if is_quoted(source, separator) else _plain(part, separator)


def _plain(part: Part, separator: str) -> Iterator[Row]:
    with open_text(part) as lines:
        for number, line in lines:
            if not line.strip(" \t"):
                yield number, []
            elif separator == " ":
                yield number, BLANKS.split(line.strip(" \t"))
            else:
                yield number, line.split(separator)


def _quoted(part: Part, separator: str) -> Iterator[Row]:
    # the csv module's limit of 131,072 characters a field is the process's, and a context can be longer
    csv.field_size_limit(max(csv.field_size_limit(), min(sys.maxsize, 2**31 - 1)))
    with open_text(part) as lines:
        reader = csv.reader((f"{line}\n" for _, line in lines), delimiter=separator, strict=True)
        while True:
            begin = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                hint = "close the quotation mark or double it inside a field; unquoted files: quoting: false"
                raise DataError(f"broken quoting ({error})", where=f"{part}:{begin}", hint=hint) from error
            if cells is None:
                return
            yield begin, cells if any(cell.strip() for cell in cells) else []


def column_index(column: str | int, header: Sequence[str] | None, *, num_columns: int, where: str) -> int:
    """Returns the place (from 0) of a column given by name or number.

    Raises:
        DataError: There is no such column.
    """
    if isinstance(column, int):
        if -num_columns <= column < num_columns:
            return column % num_columns
        hint = "columns are counted from 0, or from the end with -1, -2, ..."
        raise DataError(f"there is no column {column}: the row has {num_columns}", where=where, hint=hint)
    if header is None:
        hint = "set header: true if the first row names the columns, else give its number from 0"
        raise DataError(f"column {column!r} is given by name, but the file has no header", where=where, hint=hint)
    if column not in header:
        raise DataError(f"there is no column {column!r}; {nearest(column, header)}", where=where, hint=None)
    return header.index(column)
