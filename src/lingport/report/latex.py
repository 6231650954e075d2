"""A report's tables as LaTeX, to be taken into a paper: one file of `table` environments that need only booktabs.

The best of a column is bold, the second underlined; intervals stand small beside their numbers, and are left out of
wide tables (points.csv has them all).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lingport.report.table import ABOVE, BELOW, FAILED, MISSING, PARTIAL, Cell, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    ABOVE: r"$\uparrow$",
    BELOW: r"$\downarrow$",
    PARTIAL: r"\dag{}",
    MISSING: "--",
    "×": r"$\times$",
    "±": r"$\pm$",
}
#: a table that fits a page: rows; columns with intervals beside the numbers
MAX_ROWS, MAX_COLUMNS = 50, 8
_RANKS = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
_HEAD = "% Tables of the run {}, made by lingport. In the preamble: \\usepackage{{booktabs}}\n"


def latex(name: str, tables: Iterable[Table]) -> str:
    """Returns all tables that fit a page; `\\input` the file, or copy what is needed."""
    parts = [_HEAD.format(" ".join(name.split()))]
    for table in tables:
        fits = len(table.rows) <= MAX_ROWS
        parts.append(latex_table(table) if fits else f"% {table.title}: {len(table.rows)} rows, too long for a page\n")
    return "\n".join(parts)


def latex_table(table: Table) -> str:
    """Returns one table with caption and label; intervals only where there is room for them."""
    with_intervals = len(table.head) <= MAX_COLUMNS
    numbered = "".join("l" if name in table.worded else "r" for name in table.head[1:])
    body = [
        _line([escape(label), *(_cell(cell, with_interval=with_intervals) for cell in cells)])
        for label, cells in table.rows
    ]
    if table.last:
        body.insert(len(body) - table.last, r"\midrule")
    lines = [
        r"\begin{table}",
        r"  \centering\small",
        rf"  \caption{{{escape(table.title)}. {escape(table.note)}}}",
        rf"  \label{{tab:{re.sub(r'[^a-z0-9]+', '-', table.title.lower()).strip('-')}}}",
        rf"  \begin{{tabular}}{{l{numbered}}}",
        r"    \toprule",
        f"    {_line([escape(name) for name in table.head])}",
        r"    \midrule",
        *(f"    {line}" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Returns a text that LaTeX shows as it is; letters of other scripts are left to the document's fonts."""
    return "".join(_SPECIAL.get(letter, letter) for letter in " ".join(text.split()))


def _line(parts: Iterable[str]) -> str:
    return " & ".join(parts) + r" \\"


def _cell(cell: Cell, *, with_interval: bool) -> str:
    text = rf"\emph{{{escape(cell.text)}}}" if cell.text == FAILED else _signed(escape(cell.text))
    text = _RANKS[cell.rank].format(text) + escape(cell.marks)
    return text + (rf"\,{{\scriptsize {_signed(cell.bounds)}}}" if cell.bounds and with_interval else "")


def _signed(text: str) -> str:
    """A hyphen before a number is a minus."""
    return re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)
