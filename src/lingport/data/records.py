"""Records (a mapping of names to values, from any format) as examples.

An example is a plain dict with `id`, `where` and the fields of its form:

- answers: `question`, `context`, `answers` (empty: unanswerable) and, where known, `answer_starts`;
- spans: `tokens` and `spans`, a list of [type, text] in order of appearance; tokens are joined by one space, or by
  `joiner` where that is there (nothing in Chinese);
- classify: text fields by name, and `label`.

Not here: opening files, and any file format.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lingport.data.answers import answer_fields
from lingport.data.intake import COLUMNS_HINT, Example, Intake
from lingport.data.problems import shorten
from lingport.data.sentences import span_fields
from lingport.errors import nearest


def example_from_record(record: Mapping[str, Any], intake: Intake, *, name: str, where: str) -> Example | None:
    """Returns the example that a record holds, by the fields it has; None if it is left out or wrong.

    Args:
        record: Values by the example's field names.
        intake: The settings, and where problems and skipped records are noted.
        name: The example's id, if the record has none.
        where: File and line, or key path, for messages.
    """
    if "tokens" in record:
        fields = span_fields(record, intake, where)
    elif {"question", "context"} <= record.keys():
        fields = answer_fields(record, intake, where)
    else:
        fields = label_fields(record, intake, where, required=intake.source.columns.keys())
    return fields and {**identity(record, name), "where": where, **fields}


def identity(record: Mapping[str, Any], name: str) -> Example:
    """Returns the `id` field: the record's own, else the given name."""
    value = record.get("id")
    return {"id": str(value) if value not in (None, "") else name}


def rename(record: Mapping[str, Any], columns: Mapping[str, str | int]) -> Mapping[str, Any]:
    """Returns the values under the example's field names; a column that the record has not is left out."""
    if not columns:
        return record
    return {name: record[str(column)] for name, column in columns.items() if str(column) in record}


def label_fields(
    record: Mapping[str, Any],
    intake: Intake,
    where: str,
    *,
    required: Collection[str],
    labels: Collection[str] | None = None,
) -> Example | None:
    """Returns the fields of a labelled record; None if it is left out or wrong.

    Args:
        record: Values by the example's field names.
        intake: The settings, and where problems are noted.
        where: File and line, for messages.
        required: Fields that must hold a text. Others are carried along as they are, also when empty.
        labels: The labels allowed. None: those of the settings.
    """
    if "label" not in record:
        hint = f"{COLUMNS_HINT}, or `labels_path` if the labels are in a file of their own"
        intake.problems.add(f"`label` is missing; {nearest('label', record)}", where=where, hint=hint)
        return None
    label = map_label(record["label"], intake, where, intake.source.labels if labels is None else labels)
    if label is None:
        return None
    fields = {name: value for name, value in record.items() if name not in ("id", "label")}
    for name in required:
        if name not in ("id", "label"):
            fields[name] = intake.text(record, name, where)
            if fields[name] is None:
                return None
    return {**fields, "label": label}


def map_label(value: Any, intake: Intake, where: str, allowed: Collection[str]) -> str | None:
    """Returns the label of the task for a label of the file; None if the row is left out or wrong."""
    source = intake.source
    label = str(value).strip() if isinstance(value, (str, int)) else ""
    if not label:
        intake.problems.add(f"the label is empty or no text: {shorten(value)}", where=where)
        return None
    if source.label_map and label not in source.label_map:
        hint = "mend the row, or add the label to `label_map` (null leaves such rows out)"
        intake.problems.add(f"unknown label {label!r}; {nearest(label, source.label_map)}", where=where, hint=hint)
        return None
    mapped = source.label_map.get(label, label)
    if mapped is None:
        intake.skipped[f"label {label!r}"] += 1
        return None
    if allowed and mapped not in allowed:
        hint = "mend the row, or add the label to `labels` or `label_map`"
        intake.problems.add(f"unknown label {mapped!r}; {nearest(mapped, allowed)}", where=where, hint=hint)
        return None
    return mapped
