"""Tables with named columns (CSV, TSV, JSON, JSON lines), and XNLI's premise, hypothesis, label.

Not here: what the fields of an example are (`records.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lingport.data.delimited import column_index, delimited_rows, find_separator
from lingport.data.files import Part, open_text
from lingport.data.intake import Example, Intake
from lingport.data.json_records import JSON_ENDINGS, json_records
from lingport.data.records import example_from_record, identity, label_fields, rename
from lingport.errors import nearest

logger = logging.getLogger(__name__)

Located = tuple[str, Mapping[str, Any]]

XNLI_FIELDS = {
    "premise": ("premise", "sentence1"),
    "hypothesis": ("hypothesis", "sentence2"),
    "label": ("label", "gold_label"),
}
XNLI_LABELS = ("entailment", "neutral", "contradiction")
# MultiNLI's training file in XNLI spells one label its own way; the numbers are the hub's
XNLI_SPELLINGS = {
    "contradictory": "contradiction",
    "0": XNLI_LABELS[0],
    "1": XNLI_LABELS[1],
    "2": XNLI_LABELS[2],
}


def read_table(part: Part, intake: Intake) -> Iterator[Example]:
    """Yields the examples of a table, in its order; problems are noted with their line."""
    if part.content_suffix in JSON_ENDINGS:
        records = _json_rows(part, intake)
    else:
        records = _table_rows(part, intake)
    for index, (where, record) in enumerate(_labelled(records, part, intake), start=1):
        example = example_from_record(record, intake, name=f"{_stem(part)}-{index}", where=where)
        if example is not None:
            yield example


def _json_rows(part: Part, intake: Intake) -> Iterator[Located]:
    columns = intake.source.columns
    for where, record in json_records(part):
        missing = [(name, str(column)) for name, column in columns.items() if str(column) not in record]
        for name, column in missing:
            intake.problems.add(f"there is no `{column}` for `{name}`; {nearest(column, record)}", where=where)
        if not missing:
            yield where, rename(record, columns)


def _stem(part: Part) -> str:
    return Path(part.member or part.path.name).name.split(".")[0]


def _table_rows(part: Part, intake: Intake) -> Iterator[Located]:
    columns = intake.source.columns
    has_header = intake.source.header
    if has_header is None:
        has_header = not any(isinstance(column, int) for column in columns.values())
    separator = find_separator(part, intake.source, otherwise=",")
    rows = ((line, cells) for line, cells in delimited_rows(part, intake.source, separator=separator) if cells)
    header: Sequence[str] | None = None
    chosen: dict[str, int] | None = None
    num_columns = num_quoted = 0
    for line, cells in rows:
        where = f"{part}:{line}"
        if chosen is None:
            header = [cell.strip() for cell in cells] if has_header else None
            num_columns = len(cells)
            wanted = columns or {name: index for index, name in enumerate(header or [])}
            if not wanted:
                wanted = {"text": 0, "label": 1}
            chosen = {
                name: column_index(column, header, num_columns=num_columns, where=where)
                for name, column in wanted.items()
            }
            if has_header:
                continue
        if len(cells) != num_columns:
            hint = "is the separator inside a text? See `separator` and `quoting`"
            intake.problems.add(f"{len(cells)} columns where {num_columns} are expected", where=where, hint=hint)
            continue
        record = {name: cells[index] for name, index in chosen.items()}
        num_quoted += any(_looks_quoted(cell) for cell in record.values())
        yield where, record
    if num_quoted and intake.source.quoting is None:
        logger.warning(
            "%s: %s rows have fields in quotation marks, kept as they are; if they are CSV quotes, set quoting: true",
            part,
            num_quoted,
        )


def _looks_quoted(cell: str) -> bool:
    """Whether a cell reads as CSV's quoting left in: marks at both ends, those inside doubled."""
    if len(cell) < 3 or not cell[0] == cell[-1] == '"':
        return False
    inside = cell[1:-1]
    return '"' in inside and '"' not in inside.replace('""', "")


def _labelled(records: Iterator[Located], part: Part, intake: Intake) -> Iterator[Located]:
    """The records with labels of a separate file put in, line by line."""
    if intake.source.labels_path is None:
        yield from records
        return
    labels_path = Path(intake.source.labels_path)
    with open_text(labels_path) as lines:
        labels = [line.strip() for _, line in lines]
    while labels and not labels[-1]:
        labels.pop()
    num_rows = 0
    for where, record in records:
        num_rows += 1
        if num_rows <= len(labels):
            yield where, {**record, "label": labels[num_rows - 1]}
    if num_rows != len(labels):
        message = f"{len(labels)} labels for the {num_rows} rows of {part}"
        intake.problems.add(message, where=str(labels_path), hint="one label a line, in the order of the rows")


def read_xnli(part: Part, intake: Intake) -> Iterator[Example]:
    """Yields premise, hypothesis and label of XNLI's files: the original TSV or JSON lines, or XTREME's TSV.

    Fields are never quoted. In a file of several languages (column `language`) the others' rows are left out.
    """
    if part.content_suffix in JSON_ENDINGS:
        records = ((where, _xnli_names(record, intake)) for where, record in json_records(part))
    else:
        records = _xnli_rows(part, intake)
    for index, (where, record) in enumerate(_labelled(records, part, intake), start=1):
        if str(record.get("language", intake.language)) != intake.language:
            intake.skipped["another language"] += 1
            continue
        label = str(record.get("label", "")).strip()
        if not intake.source.label_map and label in XNLI_SPELLINGS:
            record = {**record, "label": XNLI_SPELLINGS[label]}
        allowed = intake.source.labels or (() if intake.source.label_map else XNLI_LABELS)
        fields = label_fields(record, intake, where, required=("premise", "hypothesis"), labels=allowed)
        if fields is not None:
            kept = {name: fields[name] for name in XNLI_FIELDS}
            yield {**identity(record, f"{_stem(part)}-{index}"), "where": where, **kept}


def _xnli_names(record: Mapping[str, Any], intake: Intake) -> Mapping[str, Any]:
    names: dict[str, str | int] = {"id": "pairID", "language": "language"}
    for name, spellings in XNLI_FIELDS.items():
        names[name] = next((spelling for spelling in spellings if spelling in record), name)
    return rename(record, {**names, **intake.source.columns})


def _xnli_rows(part: Part, intake: Intake) -> Iterator[Located]:
    header: list[str] | None = None
    num_columns: int | None = None
    with open_text(part) as lines:
        for line, text in lines:
            if not text.strip():
                continue
            cells = text.split("\t")
            where = f"{part}:{line}"
            if num_columns is None:
                num_columns = len(cells)
                names = [cell.strip() for cell in cells]
                if set(names) & set(XNLI_FIELDS["premise"]) and set(names) & set(XNLI_FIELDS["hypothesis"]):
                    header = names
                    continue
            if len(cells) != num_columns or num_columns < 2:
                expected = max(num_columns, 2)
                hint = "XNLI rows are premise, hypothesis and label with a tab between"
                message = f"{len(cells)} columns where {expected} are expected"
                intake.problems.add(message, where=where, hint=hint)
                continue
            if header:
                yield where, _xnli_names(dict(zip(header, cells, strict=True)), intake)
            else:
                numbers = {name: index for index, name in enumerate(XNLI_FIELDS) if index < num_columns}
                chosen = {**numbers, **intake.source.columns}
                yield (
                    where,
                    {
                        name: cells[column_index(column, None, num_columns=num_columns, where=where)]
                        for name, column in chosen.items()
                    },
                )
