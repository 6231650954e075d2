"""The report's main tables for a terminal; where the room is short, intervals are left out."""

from __future__ import annotations

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from lingport.report.build import Report
from lingport.report.contents import Section
from lingport.report.table import Table

_STYLES = {0: "", 1: "bold green", 2: "underline"}
#: labels of the page -> shorter ones, for a terminal's 80 to 100 columns
_SHORT = {
    "source module kept": "source module",
    "no language module": "no module",
    "untrained module": "untrained",
    "wrong module": "wrong",
}
#: sections that are shown whatever stands in them
_ALWAYS = ("Language modules", "Failed jobs")
#: tables shown of other sections; the page has them all
_MAX_TABLES = 12


class FittedTable:
    """A table that drops its intervals when it would not fit.

    Args:
        table: What is shown.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        whole = rich_table(self.table)
        wide = options.update(width=10_000)
        fits = Measurement.get(console, wide, whole).maximum <= options.max_width
        yield whole if fits else rich_table(self.table, intervals=False)


def terminal_table(report: Report) -> RenderableType:
    """Returns scores, language modules, failures and the sentences of a report, to be printed by a rich console."""
    first = [table for section in report.sections for table in _main(section)]
    tables = first[:_MAX_TABLES]
    tables += [table for section in report.sections if section.title in _ALWAYS for table in section.tables()]
    parts: list[RenderableType] = []
    for table in tables:
        parts += [FittedTable(table), Text()]
    if len(first) > _MAX_TABLES:
        parts += [Text(f"{len(first) - _MAX_TABLES} more tables of scores are in the report."), Text()]
    return Group(*parts, *(Text(line) for line in report.sentences))


def _main(section: Section) -> list[Table]:
    """The first table of a section about scores: by target, or by the swept setting."""
    found = section.tables()
    return found[:1] if found and found[0].head[0] == "configuration" else []


def rich_table(table: Table, *, intervals: bool = True) -> RichTable:
    """Returns one table; the best of a column bold, the second underlined.

    Args:
        table: What is shown.
        intervals: Whether they are.
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
    for index, name in enumerate(table.head):
        worded = name in table.worded
        drawn.add_column(Text(name), justify="left" if index == 0 or worded else "right", no_wrap=not worded)
    for label, cells in table.rows:
        texts = [cell.whole if intervals else cell.text + cell.marks for cell in cells]
        drawn.add_row(_short(label), *(Text(t, style=_STYLES[c.rank]) for t, c in zip(texts, cells, strict=True)))
    return drawn


def _short(label: str) -> Text:
    for long, short in _SHORT.items():
        label = label.replace(long, short)
    return Text(label)
