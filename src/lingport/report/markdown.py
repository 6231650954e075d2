"""A report as Markdown: the page without its plots. The best of a column is bold, the second in italics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import yaml

from lingport.report.contents import Section
from lingport.report.read import Row
from lingport.report.table import Cell, Table

_MARKS = {0: "", 1: "**", 2: "*"}


def markdown(recipe: Row, sentences: Iterable[str], sections: Sequence[Section]) -> str:
    """Returns the whole report."""
    parts = [f"# {recipe['name']}", recipe.get("description", ""), "\n".join(f"* {each}" for each in sentences)]
    for section in sections:
        parts.append(f"## {section.title}")
        for table in section.tables():
            parts += [f"### {table.title}" if table.title != section.title else "", markdown_table(table), table.note]
    settings = yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False)
    parts += ["Best of a column: bold; second: italics.", "## Settings", f"```yaml\n{settings}```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """Returns a table in Markdown, its columns lined up."""
    body = [[_inline(label), *(_cell(cell) for cell in cells)] for label, cells in table.rows]
    head = [_inline(name) for name in table.head]
    widths = [max(3, *(len(line[column]) for line in [head, *body])) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in _padded([head, rule, *body], widths))


def _cell(cell: Cell) -> str:
    number = f"{_MARKS[cell.rank]}{_inline(cell.text)}{_MARKS[cell.rank]}{cell.marks}"
    return f"{number} {cell.bounds}" if cell.bounds else number


def _padded(lines: Iterable[list[str]], widths: list[int]) -> Iterable[list[str]]:
    for first, *others in lines:
        yield [first.ljust(widths[0]), *(text.rjust(w) for text, w in zip(others, widths[1:], strict=True))]


def _inline(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
