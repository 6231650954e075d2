"""Sentences with entities, from tags or from written spans, as [type, text] pairs.

Not here: reading tags from columns of a file (`columns.py`); what the tags mean (`tags.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lingport.data.intake import Example, Intake
from lingport.data.problems import shorten
from lingport.data.tags import TagError, entities, map_type
from lingport.errors import nearest

TAG_FIELDS = ("ner_tags", "tags")


def span_fields(record: Mapping[str, Any], intake: Intake, where: str) -> Example | None:
    """Returns the fields of a record with `tokens` and `spans` or `ner_tags`; None if it is wrong."""
    tokens = record.get("tokens")
    if not _is_text_list(tokens) or not tokens:
        intake.problems.add(f"`tokens` is no list of texts but {shorten(tokens)}", where=where)
        return None
    if any(not token.strip() for token in tokens):
        empty = next(index for index, token in enumerate(tokens) if not token.strip())
        intake.problems.add(f"tokens[{empty}] is empty", where=where, hint="take it out, with its tag")
        return None
    if record.get("spans") is not None:
        return _from_spans(tokens, record["spans"], intake, where)
    tag_field = next((name for name in TAG_FIELDS if name in record), None)
    if tag_field is None:
        hint = "set `columns`, for example columns: {tokens: words, ner_tags: labels}"
        intake.problems.add(
            f"neither `spans` nor `ner_tags` is there; {nearest('ner_tags', record)}", where=where, hint=hint
        )
        return None
    tags = record[tag_field]
    if not _is_text_list(tags) or len(tags) != len(tokens):
        count = f"{len(tags)} tags" if _is_text_list(tags) else shorten(tags)
        intake.problems.add(
            f"`{tag_field}` must be one tag (a text) for each of the {len(tokens)} tokens, not {count}",
            where=where,
        )
        return None
    return span_example(tokens, tags, intake, lambda index: f"{where}.{tag_field}[{index}]")


def span_example(
    tokens: Sequence[str], tags: Sequence[str], intake: Intake, where_of: Callable[[int], str]
) -> Example | None:
    """Returns the fields of a tagged sentence, types renamed; None if a tag is wrong, which is noted.

    Args:
        tokens: The words.
        tags: One tag each.
        intake: The settings, and where problems are noted.
        where_of: The place of a token (by its index), for messages.
    """
    source = intake.source
    try:
        found = entities(tags, scheme=source.scheme, repair=source.repair)
    except TagError as error:
        intake.problems.add(error.message, where=where_of(error.index), hint=error.hint)
        return None
    spans = [(kind, intake.joiner.join(tokens[first:end]), first) for kind, first, end in found]
    return _mapped(tokens, spans, intake, where_of)


def _from_spans(tokens: Sequence[str], spans: Any, intake: Intake, where: str) -> Example | None:
    """WikiANN's way of writing entities: `"PER: Jan Novak"`; pairs [type, text] are taken too."""
    sentence = intake.joiner.join(tokens)
    read: list[tuple[str, str, int]] = []
    for index, span in enumerate(spans if isinstance(spans, Sequence) else [spans]):
        pair = span.split(": ", 1) if isinstance(span, str) else span
        if not _is_text_list(pair) or len(pair) != 2 or not all(part.strip() for part in pair):
            hint = 'a span is written "TYPE: text" or ["TYPE", "text"]'
            intake.problems.add(f"{shorten(span)} is no span", where=f"{where}.spans[{index}]", hint=hint)
            return None
        text = intake.joiner.join(pair[1].split())  # published with a space between any two tokens
        if intake.source.check_offsets and text not in sentence:
            hint = "correct the span, or set check_offsets: false"
            message = f"the text of span {shorten(span)} is not in the sentence {shorten(sentence)}"
            intake.problems.add(message, where=f"{where}.spans[{index}]", hint=hint)
            return None
        read.append((pair[0].strip(), text, index))
    return _mapped(tokens, read, intake, lambda index: f"{where}.spans[{index}]")


def _mapped(
    tokens: Sequence[str],
    spans: Sequence[tuple[str, str, int]],
    intake: Intake,
    where_of: Callable[[int], str],
) -> Example | None:
    kept: list[list[str]] = []
    for kind, text, index in spans:
        try:
            mapped = map_type(kind, intake.source.tag_map, intake.source.tags)
        except ValueError as error:
            hint = "add it to `tags`, or rename or drop it with `tag_map`"
            intake.problems.add(str(error), where=where_of(index), hint=hint)
            return None
        if mapped is not None:
            kept.append([mapped, text])
    joiner = {} if intake.joiner == " " else {"joiner": intake.joiner}
    return {"tokens": list(tokens), "spans": kept, **joiner}


def _is_text_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value)
