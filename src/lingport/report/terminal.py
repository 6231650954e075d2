"""The report's main tables for a terminal; where the room is short, spreads are left out."""

from __future__ import annotations

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from lingport.report.build import Report
from lingport.report.tables import PARTIAL, Cell, Table

_STYLES = {0: "", 1: "bold green", 2: "underline"}
#: labels of the page -> shorter ones, for a terminal's 80 to 100 columns
_SHORT = {
    "source module kept": "source module",
    "no language module": "no module",
    "untrained module": "untrained",
    "wrong module": "wrong",
}


class FittedTable:
    """A table that drops its ± parts when it would not fit.

    Args:
        table: What is shown.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        whole = rich_table(self.table)
        wide = options.update(width=10_000)
        fits = Measurement.get(console, wide, whole).maximum <= options.max_width
        yield whole if fits else rich_table(self.table, spread=False)


def terminal_table(report: Report) -> RenderableType:
    """Returns scores, language modules, failures and the summary of a report, to be printed by a rich console."""
    tables = [*report.score_tables, *(t for t in report.others if t.title in ("Language modules", "Failed jobs"))]
    parts: list[RenderableType] = []
    for table in tables:
        parts += [FittedTable(table), Text()]
    return Group(*parts, *(Text(line) for line in report.summary))


def rich_table(table: Table, *, spread: bool = True) -> RichTable:
    """Returns one table; the best of a column bold, the second underlined.

    Args:
        table: What is shown.
        spread: Whether the ± parts are.
    """
    drawn = RichTable(
        title=Text(table.title, style="bold"),
        caption=Text(table.note, style="dim"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    in_words = {index for _, cells in table.rows for index, cell in enumerate(cells) if _is_long(cell.text)}
    for index, name in enumerate(table.head):
        is_words = index - 1 in in_words
        drawn.add_column(Text(name), justify="left" if index == 0 or is_words else "right", no_wrap=not is_words)
    for label, cells in table.rows:
        texts = [cell.text if spread else _without_spread(cell) for cell in cells]
        drawn.add_row(_short(label), *(Text(t, style=_STYLES[c.rank]) for t, c in zip(texts, cells, strict=True)))
    return drawn


def _short(label: str) -> Text:
    for long, short in _SHORT.items():
        label = label.replace(long, short)
    return Text(label)


def _without_spread(cell: Cell) -> str:
    return cell.number + (PARTIAL if PARTIAL in cell.tail else "")


def _is_long(text: str) -> bool:
    return len(text) > 24
