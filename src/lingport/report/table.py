"""What a table is, and how numbers become its cells. Not here: which tables there are, and how they are drawn."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

MISSING, FAILED = "–", "failed"
#: follows a mean that not all seeds are in yet
PARTIAL = "†"
#: follow a score that is told apart from what it is compared with
ABOVE, BELOW = "↑", "↓"
#: ties of more rows than this are not marked: no row stands out
MAX_TIED = 3


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: What is shown: a number, or words.
        value: The number behind it, for marking and for other programs; None where there is none.
        rank: 1 for the best of its column, 2 for the second, 0 for the others.
        marks: What follows the number: arrows and the mark of missing seeds; may be empty.
        interval: Bounds of the number's interval; None where there is none.
        decimals: Digits that the bounds are shown with.
        shade: Colour behind it as `#rrggbb`; None: none.
    """

    text: str
    value: float | None = None
    rank: int = 0
    marks: str = ""
    interval: tuple[float, float] | None = None
    decimals: int = 1
    shade: str | None = None

    @property
    def bounds(self) -> str:
        """The interval as text; empty where there is none."""
        if self.interval is None:
            return ""
        low, high = (_rounded(bound, self.decimals) for bound in self.interval)
        return f"[{low}, {high}]"

    @property
    def whole(self) -> str:
        """Number, marks and interval in one line."""
        return " ".join(part for part in (self.text + self.marks, self.bounds) if part)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: Its heading.
        head: Column heads; the first is the row labels' own.
        rows: Label and cells of each.
        note: What its numbers are.
        last: How many rows at its end are no competitors (what chance scores).
        worded: Heads of the columns that hold words, not numbers.
    """

    title: str
    head: list[str]
    rows: list[tuple[str, list[Cell]]]
    note: str = ""
    last: int = 0
    worded: frozenset[str] = field(default=frozenset())

    def mark_widths(self) -> list[int]:
        """Returns the letters of the longest marks of each column after the labels, for lining up."""
        return [max((len(cells[c].marks) for _, cells in self.rows), default=0) for c in range(len(self.head) - 1)]

    def plain(self) -> dict[str, Any]:
        """Returns the table as lists, strings and numbers only, for JSON."""
        return {
            "title": self.title,
            "note": self.note,
            "columns": self.head,
            "rows": [{"label": label, "cells": [_plain(cell) for cell in cells]} for label, cells in self.rows],
        }


def _plain(cell: Cell) -> dict[str, Any]:
    low, high = cell.interval or (None, None)
    numbers = {"value": cell.value, "low": low, "high": high}
    # Rounded beyond what is shown: the last bits may differ between machines.
    numbers = {name: None if number is None else round(number, 6) for name, number in numbers.items()}
    return {"text": cell.text, **numbers, "rank": cell.rank, "marks": cell.marks}


def ranked(rows: Sequence[tuple[str, list[Cell]]], *, without: str = "") -> list[tuple[str, list[Cell]]]:
    """Returns the rows with the best two of each column marked.

    What is shown decides: two rows of 61.3 are both best, whatever their further digits.

    Args:
        rows: Labels and cells.
        without: Label of a row that does not compete.
    """
    found = [(label, list(cells)) for label, cells in rows]
    for column in range(len(rows[0][1]) if rows else 0):
        values = [None if label == without else cells[column].value for label, cells in rows]
        shown = [None if value is None else round(value, 1) for value in values]
        best = sorted({value for value in shown if value is not None}, reverse=True)
        if len(best) < 2:
            continue
        for rank, value in enumerate(best[:2], start=1):
            places = [place for place, other in enumerate(shown) if other == value]
            if len(places) > MAX_TIED:
                break
            for place in places:
                found[place][1][column] = replace(found[place][1][column], rank=rank)
    return found


def number(value: float | None, *, decimals: int = 1, **more: Any) -> Cell:
    """Returns a cell of a number with so many decimals; further keywords are those of `Cell`."""
    if value is None:
        return Cell(MISSING)
    return Cell(_rounded(value, decimals), value, decimals=decimals, **more)


def signed(value: float | None, *, decimals: int = 1, **more: Any) -> Cell:
    """Returns a cell of a difference, with its sign; 0 has none."""
    if value is None:
        return Cell(MISSING)
    text = _rounded(value, decimals)
    return Cell(text if float(text) <= 0 else f"+{text}", value, decimals=decimals, **more)


def integer(value: float | None) -> Cell:
    """Returns a cell of a whole number, thousands divided."""
    return Cell(MISSING) if value is None else Cell(f"{value:,.0f}", value)


def seconds(value: float | None) -> Cell:
    """Returns a cell of seconds."""
    return Cell(MISSING) if value is None else Cell(f"{value:,.1f}", value)


def mebibytes(value: float | None) -> Cell:
    """Returns a cell of MiB, from bytes."""
    return Cell(MISSING) if value is None else Cell(f"{value / 2**20:,.0f}", value / 2**20)


def loss(values: Iterable[float], *, sign: str = "") -> Cell:
    """Returns a cell of the mean of losses."""
    known = list(values)
    if not known:
        return Cell(MISSING)
    mean = statistics.fmean(known)
    return Cell(f"{mean:{sign}.3f}", mean, decimals=3)


def _rounded(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text if float(text) else text.removeprefix("-")  # no -0.0
