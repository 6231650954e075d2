"""Tagged sentences, a token a line: IOB2, CoNLL, CoNLL-U-like files, and CSV files with one row a token.

Not here: what the tags mean (`tags.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lingport.config.data import ExampleSource
from lingport.data.delimited import Row, column_index, delimited_rows, find_separator, is_quoted
from lingport.data.files import Part
from lingport.data.intake import Example, Intake
from lingport.data.problems import shorten
from lingport.data.sentences import span_example
from lingport.data.tags import looks_like_tag
from lingport.errors import DataError

NUM_SAMPLED = 50  # rows looked at to tell which column is which
EMPTY_TOKEN = "the token is empty"
DOCUMENT_START = "-DOCSTART-"
WORD_RANGE = re.compile(r"\d+[-.]\d+")  # CoNLL-U's multiword tokens and empty nodes carry no tags
SENTENCE_ID = re.compile(r"#\s*sent_id\s*=\s*(\S+)")


@dataclass(frozen=True)
class Layout:
    """Where a file keeps what.

    Attributes:
        separator: Between the cells.
        is_quoted: Whether cells may stand in quotes, so that their place in the line is not known.
        num_columns: Cells of every row.
        token: Place of the token, from 0.
        tag: Place of the tag.
        group: Places of the cells that are equal within a sentence; empty where blank lines divide.
        has_counter: Whether the first cell counts the words (CoNLL-U).
        prefix: Text before every token that is taken off.
    """

    separator: str
    is_quoted: bool
    num_columns: int
    token: int
    tag: int
    group: tuple[int, ...]
    has_counter: bool
    prefix: str

    def place(self, line: int, cells: Sequence[str], column: int) -> str:
        """Returns `:line` or `:line:column` (in characters, from 1) of a cell."""
        if self.is_quoted or column >= len(cells):
            return f":{line}"
        return f":{line}:{1 + sum(len(cell) + 1 for cell in cells[:column])}"


@dataclass
class _Sentence:
    name: str = ""
    key: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)


def read_columns(part: Part, intake: Intake) -> Iterator[Example]:
    """Yields the sentences of a file with one token a line; problems are noted with line and column.

    Rows are kept that begin with the comment sign but have a token and a tag (`# O`). CoNLL-2003's document
    lines and CoNLL-U's word ranges are left out.

    Raises:
        DataError: The token or tag column cannot be told or is not there.
    """
    source = intake.source
    separator = find_separator(part, source, otherwise=" ")
    rows = list(delimited_rows(part, source, separator=separator))
    has_header = source.header
    if has_header is None:
        named = (source.token_column, source.tag_column, *source.group_by)
        has_header = any(isinstance(column, str) for column in named)
    header: list[str] | None = None
    if has_header:
        first = next((index for index, (_, cells) in enumerate(rows) if cells), 0)
        header = rows[first][1] if rows else []
        rows = rows[first + 1 :]
    layout = _layout(part, intake, separator, header, rows)
    if layout is None:
        return
    stem = Path(part.member or part.path.name).name.split(".")[0]
    for index, sentence in enumerate(_sentences(rows, layout, source), start=1):
        fields = _fields(sentence, layout, part, intake)
        if fields is not None:
            name = sentence.name or f"{stem}-{index}"
            yield {"id": name, "where": f"{part}:{sentence.rows[0][0]}", **fields}


def _fields(sentence: _Sentence, layout: Layout, part: Part, intake: Intake) -> Example | None:
    kept: list[Row] = []
    is_broken = False
    for line, cells in sentence.rows:
        problem, hint, column = _row_problem(cells, layout)
        if problem is None:
            kept.append((line, cells))
        elif problem == EMPTY_TOKEN and intake.source.skip_empty:
            intake.skipped[problem] += 1
        else:
            is_broken = True
            intake.problems.add(problem, where=f"{part}{layout.place(line, cells, column)}", hint=hint)
    if is_broken or not kept:
        return None
    tokens = [cells[layout.token].removeprefix(layout.prefix) for _, cells in kept]
    tags = [cells[layout.tag].strip() for _, cells in kept]
    return span_example(tokens, tags, intake, lambda index: f"{part}{layout.place(*kept[index], layout.tag)}")


def _layout(
    part: Part, intake: Intake, separator: str, header: Sequence[str] | None, table: Sequence[Row]
) -> Layout | None:
    source = intake.source
    sample = [cells for _, cells in table if cells and not _is_aside(cells, separator, source)]
    if not sample:
        return None
    widths = Counter(map(len, sample))
    num_columns = len(header) if header else widths.most_common(1)[0][0]
    rows = [cells for cells in sample if len(cells) == num_columns][:NUM_SAMPLED]
    if not rows:
        hint = "set `separator` if the rows are not cut rightly"
        raise DataError(
            f"no row has the {num_columns} columns of the header (first row: {shorten(sample[0])})",
            where=str(part),
            hint=hint,
        )
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
    is_cut = is_quoted(source, separator)
    return Layout(separator, is_cut, num_columns, token, tag, group, has_counter and token != 0, prefix)


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
    if not comment or cells[0][:1] != comment[:1] or not separator.join(cells).startswith(comment):
        return False
    is_setting = "=" in cells[1:3]  # `# text = O Canada`, cut at blanks
    return is_setting or not any(looks_like_tag(cell) for cell in cells[1:])


def _sentences(rows: Sequence[Row], layout: Layout, source: ExampleSource) -> Iterator[_Sentence]:
    current = _Sentence()
    for line, cells in rows:
        if not cells or _is_aside(cells, layout.separator, source):
            if current.rows and not layout.group:
                yield current
                current = _Sentence()
            if cells and (found := SENTENCE_ID.match(layout.separator.join(cells))):
                current.name = found[1]
            continue
        if layout.has_counter and WORD_RANGE.fullmatch(cells[0]):
            continue
        is_whole = len(cells) == layout.num_columns
        key = tuple(cells[column] for column in layout.group) if is_whole else current.key
        if current.rows and key != current.key:
            yield current
            current = _Sentence()
        if not current.rows:
            current.key, current.name = key, "-".join(key) or current.name
        current.rows.append((line, cells))
    if current.rows:
        yield current


def _row_problem(cells: Sequence[str], layout: Layout) -> tuple[str | None, str | None, int]:
    """What is wrong with a row (None: nothing), what to do, and in which column."""
    if len(cells) != layout.num_columns:
        row = shorten(layout.separator.join(cells))
        message = f"{len(cells)} columns where {layout.num_columns} are expected: {row}"
        return message, "mend the line; if the columns are divided otherwise, set `separator`", 0
    token = cells[layout.token]
    if not token.startswith(layout.prefix):
        message = f"token {shorten(token)} has not the prefix {layout.prefix!r} of the others"
        return message, 'mend the line, or set token_prefix: "" to keep tokens as they are', layout.token
    if not token.removeprefix(layout.prefix).strip():
        return EMPTY_TOKEN, "write the token, or set skip_empty: true to leave such lines out", layout.token
    return None, None, 0
