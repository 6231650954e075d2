"""Questions with gold answers: the shapes answers come in, and the check of their offsets.

Not here: the SQuAD file (`squad.py`) and rows of tables (`table.py`), which both hand their records over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lingport.data.intake import Example, Intake
from lingport.data.problems import shorten

BLANK_HINT = (
    "a file without gold answers cannot be scored; if they mean that there is no answer, set "
    "blank_answers: unanswerable; to leave such questions out, blank_answers: skip"
)
_NUMBER = re.compile(r"-?\d+")
OFFSET_HINT = "correct answer_start (it counts characters from 0), or set check_offsets: false"


def answer_fields(record: Mapping[str, Any], intake: Intake, where: str) -> Example | None:
    """Returns the fields of a record with `question`, `context` and `answers`; None if left out or wrong."""
    question, context = intake.text(record, "question", where), intake.text(record, "context", where)
    pairs = _answer_pairs(record.get("answers"), record.get("answer_start"))
    if pairs is None:
        hint = "answers are a text, a list of texts, or SQuAD's text and answer_start; empty: unanswerable"
        intake.problems.add(
            f"`answers` is missing or unreadable: {shorten(record.get('answers'))}", where=where, hint=hint
        )
    if question is None or context is None or pairs is None:
        return None
    return answer_example(question, context, pairs, intake, where)


def _answer_pairs(value: Any, start: Any) -> list[tuple[str, int | None]] | None:
    """Answers in any of the shapes that are in use, as (text, start or None); `start` is that of a single text."""
    if isinstance(value, str):
        if isinstance(start, str) and _NUMBER.fullmatch(start):  # a table's cell
            start = int(start)
        return [(value, start if isinstance(start, int) else None)]
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        texts = [texts] if isinstance(texts, str) else texts
        starts = [starts] if isinstance(starts, int) else starts
        value = [
            {"text": text, "answer_start": start}
            for text, start in zip(texts or [], starts or [None] * len(texts or []), strict=False)
        ]
    if not isinstance(value, Sequence):
        return None
    pairs = [(item, None) if isinstance(item, str) else _answer_pair(item) for item in value]
    return None if None in pairs else [pair for pair in pairs if pair is not None]


def _answer_pair(item: Any) -> tuple[str, int | None] | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("text"), str):
        return None
    start = item.get("answer_start")
    return item["text"], start if isinstance(start, int) and not isinstance(start, bool) else None


def answer_example(
    question: str,
    context: str,
    pairs: Sequence[tuple[str, int | None]],
    intake: Intake,
    where: str,
) -> Example | None:
    """Returns the fields of a question with its distinct answers; None if it is left out or wrong."""
    if any(not text.strip() for text, _ in pairs):
        if intake.source.blank_answers == "refuse":
            intake.problems.add("the gold answer is an empty text", where=where, hint=BLANK_HINT)
            return None
        if intake.source.blank_answers == "skip":
            intake.skipped["the answer is empty"] += 1
            return None
        pairs = [pair for pair in pairs if pair[0].strip()]
    if not pairs and intake.source.answerable_only:
        intake.skipped["there is no answer"] += 1
        return None
    distinct: dict[str, int | None] = {}
    for text, start in pairs:
        distinct.setdefault(text, start)
    misplaced = [
        (text, start)
        for text, start in distinct.items()
        if start is not None and (start < 0 or context[start : start + len(text)] != text)
    ]
    if misplaced and intake.source.check_offsets:
        intake.problems.add(_misplaced(context, *misplaced[0]), where=where, hint=OFFSET_HINT)
        return None
    fields: Example = {"question": question, "context": context, "answers": list(distinct)}
    starts = [start for start in distinct.values() if start is not None]
    if len(starts) == len(distinct) and not misplaced:
        fields["answer_starts"] = starts
    return fields


def _misplaced(context: str, text: str, start: int) -> str:
    place = context.find(text)
    truth = f"it begins at {place}" if place >= 0 else "the context does not hold it"
    found = context[start : start + len(text)] if start >= 0 else ""
    return f"answer_start {start} gives {shorten(found)}, not the answer {shorten(text)}; {truth}"
