"""Tagged sentences, a token a line: IOB2, CoNLL, CoNLL-U-like files, and CSV files with one row a token.

Not here: what the tags mean (`tags.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lingport.config.data import ExampleSource
from lingport.data.delimited import Row, column_index, delimited_rows, find_separator
from lingport.data.files import Part
from lingport.data.intake import Example, Intake
from lingport.data.problems import shorten
from lingport.data.sentences import span_example
from lingport.data.tags import looks_like_tag
from lingport.errors import DataError

NUM_SAMPLED = 50  # rows looked at to tell which column is which
DOCUMENT_START = "-DOCSTART-"
WORD_RANGE = re.compile(r"\d+[-.]\d+")  # CoNLL-U's multiword tokens and empty nodes carry no tags
SENTENCE_ID = re.compile(r"#\s*sent_id\s*=\s*(\S+)")


@dataclass(frozen=True)
class Layout:
    """Where a file keeps what.

    Attributes:
        separator: Between the cells; it counts for columns in messages.
        num_columns: Cells of every row.
        token: Place of the token, from 0.
        tag: Place of the tag.
        group: Places of the cells that are equal within a sentence; empty where blank lines divide.
        has_counter: Whether the first cell counts the words (CoNLL-U).
        prefix: Text before every token that is taken off.
    """

    separator: str
    num_columns: int
    token: int
    tag: int
    group: tuple[int, ...]
    has_counter: bool
    prefix: str


@dataclass
class _Sentence:
    name: str = ""
    key: tuple[str, ...] = ()
    line: int = 0
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    is_broken: bool = False


def read_columns(part: Part, intake: Intake) -> Iterator[Example]:
    """Yields the sentences of a file with one token a line; problems are noted with line and column.

    Rows are kept that begin with the comment sign but have a token and a tag (`# O`). CoNLL-2003's document
    lines and CoNLL-U's word ranges are left out.

    Raises:
        DataError: The token or tag column cannot be told or is not there.
    """
    source = intake.source
    separator = find_separator(part, source, otherwise=" ")
    rows = delimited_rows(part, source, separator=separator)
    if source.header is None:
        named = (source.token_column, source.tag_column, *source.group_by)
        has_header = any(isinstance(column, str) for column in named)
    else:
        has_header = source.header
    header = next((cells for _, cells in rows if cells), None) if has_header else None
    sample = list(islice((row for row in rows if row[1]), NUM_SAMPLED))
    layout = _layout(part, intake, separator, header, [cells for _, cells in sample])
    if layout is None:
        return
    rows = delimited_rows(part, source, separator=separator)
    if has_header:
        next(row for row in rows if row[1])
    stem = Path(part.member or part.path.name).name.split(".")[0]
    for index, sentence in enumerate(_sentences(rows, layout, part, intake), start=1):
        if sentence.is_broken:
            continue
        fields = span_example(sentence.tokens, sentence.tags, intake, sentence.places.__getitem__)
        if fields is not None:
            name = sentence.name or f"{stem}-{index}"
            yield {"id": name, "where": f"{part}:{sentence.line}", **fields}


def _layout(
    part: Part, intake: Intake, separator: str, header: Sequence[str] | None, sample: list[list[str]]
) -> Layout | None:
    source = intake.source
    rows = [cells for cells in sample if not _is_aside(cells, separator, source)]
    if not rows:
        return None
    num_columns = (
        len(header) if header else max((len(cells) for cells in rows), key=[len(c) for c in rows].count)
    )
    rows = [cells for cells in rows if len(cells) == num_columns]
    where = str(part)

    def place(column: str | int) -> int:
        return column_index(column, header, num_columns=num_columns, where=where)

    # a counter with fewer than two cells after it would leave no room for token and tag
    has_counter = header is None and num_columns > 2 and all(_counts(cells[0]) for cells in rows)
    token = place(source.token_column) if source.token_column is not None else int(has_counter)
    if source.tag_column is not None:
        tag = place(source.tag_column)
    else:
        tag = _find_tag_column(rows, token, num_columns, where)
    prefix = source.token_prefix
    if prefix is None:
        prefix = f"{intake.language}:"
        if not all(cells[token].startswith(prefix) and len(cells[token]) > len(prefix) for cells in rows):
            prefix = ""
    group = tuple(place(column) for column in source.group_by)
    return Layout(separator, num_columns, token, tag, group, has_counter and token != 0, prefix)


def _counts(cell: str) -> bool:
    return cell.isdecimal() or WORD_RANGE.fullmatch(cell) is not None


def _find_tag_column(rows: list[list[str]], token: int, num_columns: int, where: str) -> int:
    """The last column whose sampled cells are mostly tags: in CoNLL-2003 the chunks come before the names."""
    candidates = [place for place in range(num_columns) if place != token]
    counts = {place: sum(looks_like_tag(cells[place]) for cells in rows) for place in candidates}
    best = max(candidates, key=lambda place: (counts[place], place), default=None)
    if best is None or counts[best] * 2 <= len(rows):
        raise DataError(
            f"no column holds tags such as O, B-PER, I-PER (first row: {shorten(rows[0])})",
            where=where,
            hint="set tag_column and token_column, and `separator` if the row is not cut rightly",
        )
    return best


def _is_aside(cells: Sequence[str], separator: str, source: ExampleSource) -> bool:
    """Whether a row is a comment or a document line, not a token."""
    if cells[0] == DOCUMENT_START:
        return True
    comment = source.comment
    if comment is None or not separator.join(cells).startswith(comment):
        return False
    return not (len(cells) > 1 and any(looks_like_tag(cell) for cell in cells[1:]))


def _sentences(rows: Iterator[Row], layout: Layout, part: Part, intake: Intake) -> Iterator[_Sentence]:
    current = _Sentence()
    for line, cells in rows:
        if not cells or _is_aside(cells, layout.separator, intake.source):
            if current.line and not layout.group:
                yield current
                current = _Sentence()
            if cells and (found := SENTENCE_ID.match(layout.separator.join(cells))):
                current.name = found[1]
            continue
        key = (
            tuple(cells[place] for place in layout.group) if len(cells) == layout.num_columns else current.key
        )
        if current.line and key != current.key:
            yield current
            current = _Sentence()
        if not current.line:
            current.line, current.key = line, key
            current.name = "-".join(key) or current.name
        if layout.has_counter and WORD_RANGE.fullmatch(cells[0]):
            continue
        _add_token(current, cells, layout, f"{part}:{line}", intake)
    if current.line:
        yield current


def _add_token(sentence: _Sentence, cells: list[str], layout: Layout, where: str, intake: Intake) -> None:
    column, problem, hint = _row_problem(cells, layout)
    if problem:
        sentence.is_broken = True
        intake.problems.add(problem, where=f"{where}:{column}", hint=hint)
        return
    tag_column = 1 + sum(len(cell) + 1 for cell in cells[: layout.tag])
    sentence.tokens.append(cells[layout.token].removeprefix(layout.prefix))
    sentence.tags.append(cells[layout.tag].strip())
    sentence.places.append(f"{where}:{tag_column}")


def _row_problem(cells: list[str], layout: Layout) -> tuple[int, str | None, str | None]:
    """Where in the line (from 1), what is wrong with a row, and what to do; None where nothing is."""
    if len(cells) != layout.num_columns:
        row = shorten(layout.separator.join(cells))
        message = f"{len(cells)} columns where {layout.num_columns} are expected: {row}"
        return 1, message, "mend the line; if the columns are divided otherwise, set `separator`"
    token = cells[layout.token]
    column = 1 + sum(len(cell) + 1 for cell in cells[: layout.token])
    if not token.startswith(layout.prefix):
        message = f"token {shorten(token)} has not the prefix {layout.prefix!r} of the others"
        return column, message, 'mend the line, or set token_prefix: "" to keep tokens as they are'
    if not token.removeprefix(layout.prefix).strip():
        return column, "the token is empty", "take the line out, or write the token"
    return column, None, None
