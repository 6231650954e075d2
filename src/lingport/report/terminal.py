"""The report's tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from lingport.report.build import Report
from lingport.report.tables import Table

_STYLES = {0: "", 1: "bold green", 2: "underline"}


def terminal_table(report: Report) -> RenderableType:
    """Returns the score tables and the summary of a report, to be printed by a rich console."""
    return Group(*(rich_table(table) for table in report.score_tables), *(Text(line) for line in report.summary))


def rich_table(table: Table) -> RenderableType:
    """Returns one table; the best of a column bold, the second underlined."""
    drawn = RichTable(title=Text(table.title), caption=Text(table.note), title_justify="left", caption_justify="left")
    for index, name in enumerate(table.head):
        drawn.add_column(Text(name), justify="left" if index == 0 else "right", no_wrap=True)
    for label, cells in table.rows:
        drawn.add_row(Text(label), *_texts([(cell.text, cell.rank) for cell in cells]))
    return drawn


def _texts(cells: Sequence[tuple[str, int]]) -> list[Text]:
    return [Text(text, style=_STYLES[rank]) for text, rank in cells]
