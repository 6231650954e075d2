"""Records of JSON files: one list, one object that holds a list, or an object a line.

Not here: what the records mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lingport.data.files import Part, open_text, read_whole
from lingport.data.problems import shorten
from lingport.errors import DataError

JSON_LINES = (".jsonl", ".ndjson")
JSON_ENDINGS = (".json", *JSON_LINES)


def json_records(part: Part) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields (place, record) of every record in a JSON or JSON lines file.

    A `.json` file that holds an object a line is read as JSON lines.

    Raises:
        DataError: Not valid JSON (with line and column), or no list of objects.
    """
    if part.content_suffix in JSON_LINES:
        return _lines(part)
    text = read_whole(part)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            return _lines(part)
        raise json_error(error, str(part)) from error
    return _listed(value, str(part))


def load_json(part: Part) -> Any:
    """Returns the value that a JSON file holds.

    Raises:
        DataError: Not valid JSON (with line and column).
    """
    try:
        return json.loads(read_whole(part))
    except json.JSONDecodeError as error:
        raise json_error(error, str(part)) from error


def json_error(error: json.JSONDecodeError, where: str, *, line: int | None = None) -> DataError:
    """Returns the DataError for a syntax error: `where` is the file, `line` that of a JSON lines record."""
    place = f"{where}:{line or error.lineno}:{error.colno}"
    begin = max(0, error.pos - 20)
    near = error.doc[begin : error.pos + 20]
    hint = "is the file cut short?" if error.pos >= len(error.doc.rstrip()) else f"look near {shorten(near)}"
    return DataError(f"not valid JSON: {error.msg}", where=place, hint=hint)


def _lines(part: Part) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with open_text(part) as lines:
        for number, line in lines:
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise json_error(error, str(part), line=number) from error
            yield f"{part}:{number}", _as_record(record, f"{part}:{number}")


def _listed(value: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    prefix = ""
    if isinstance(value, dict):
        lists = [key for key, item in value.items() if isinstance(item, list)]
        if len(lists) != 1:
            keys = ", ".join(value) or "none"
            hint = "the file should be a list of objects, or an object with one list in it"
            raise DataError(f"cannot tell which list holds the records (keys: {keys})", where=where, hint=hint)
        prefix, value = lists[0], value[lists[0]]
    if not isinstance(value, list):
        raise DataError(f"expected a list of objects, found {shorten(value)}", where=where)
    for index, record in enumerate(value):
        place = f"{where}: {prefix}[{index}]"
        yield place, _as_record(record, place)


def _as_record(value: Any, where: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise DataError(f"expected an object, found {shorten(value)}", where=where, hint="one object a record")
