"""What the command line shows: answers on standard output, everything else on standard error.

Not here: how far a piece of work is (`progress.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

#: width of tables in files and pipes, where there is no terminal to ask
PLAIN_WIDTH = 160


def console(*, error: bool = False) -> Console:
    """Returns a console on standard output or standard error that prints text as it is."""
    from rich.console import Console

    width = None if (sys.stderr if error else sys.stdout).isatty() else PLAIN_WIDTH
    return Console(stderr=error, markup=False, highlight=False, emoji=False, width=width)


def say(text: str) -> None:
    """Prints a line of comment on standard error."""
    typer.echo(text, err=True)


def answer(data: Any) -> None:
    """Prints the answer as JSON."""
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Prints a table; the first column is text, numbers stand right."""
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    drawn = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for index, name in enumerate(head):
        numeric = bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
        drawn.add_column(Text(name, style="bold"), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(shown(value)) for value in row))
    console().print(drawn)


def shown(value: Any) -> str:
    """Returns a value as people read it: thousands divided, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(value: float) -> str:
    """Returns a share of 0 to 1 in per cent."""
    return f"{100 * value:.1f} %"


def one_line(text: str, *, longest: int | None = None) -> str:
    """Returns a text on one line, cut in the middle of nothing but its end."""
    text = " ".join(text.split())
    return text if longest is None or len(text) <= longest else f"{text[: longest - 3]}..."
