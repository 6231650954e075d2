"""What all plots share: colours and dashes of lines, axes, names that keep apart. Not here: the plots."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from lingport.config.modules import CONFIGURATIONS

# Okabe and Ito's palette without black: told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6d31", "#7d8590")
#: dashes in units of the line's width, as SVG and matplotlib both take them; with COLOURS 32 distinct lines
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5))
MARKERS = "os^DvPX*"


@dataclass(frozen=True)
class Line:
    """How the lines of one language or configuration are drawn.

    Attributes:
        label: Whose they are.
        colour: As `#rrggbb`.
        dashes: Lengths on and off in line widths; empty for a whole line.
        marker: matplotlib's name of a marker.
    """

    label: str
    colour: str
    dashes: tuple[float, ...]
    marker: str

    @property
    def style(self) -> str | tuple[int, tuple[float, ...]]:
        """The dashes as matplotlib takes them."""
        return (0, self.dashes) if self.dashes else "-"


def lines_of(labels: Iterable[str]) -> dict[str, Line]:
    """Returns label -> how it is drawn; a configuration is drawn alike in all plots, whatever stands beside it."""
    styles = [(colour, dashes) for dashes in DASHES for colour in COLOURS]
    fixed = dict(zip(CONFIGURATIONS, styles, strict=False))
    distinct = list(dict.fromkeys(labels))
    taken = {fixed[label] for label in distinct if label in fixed}
    free = itertools.chain((style for style in styles if style not in taken), itertools.cycle([styles[-1]]))
    found = {}
    for label in distinct:
        colour, dashes = fixed[label] if label in fixed else next(free)
        found[label] = Line(label, colour, dashes, MARKERS[COLOURS.index(colour)])
    return found


def finish(axes: Axes, x_axis: str, y_axis: str, *, whole_steps: bool = False) -> None:
    """Sets grid, names and ticks; the vertical axis is named above, where it reads without turning one's head."""
    axes.grid(visible=True)
    axes.set_xlabel(x_axis)
    axes.set_title(y_axis, loc="left", fontsize=10)
    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole_steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def compact(value: float) -> str:
    """Returns a number in few letters: 12k, 0.3."""
    return EngFormatter(sep="")(value) if abs(value) >= 1000 else f"{value:g}"


def is_wide(values: Sequence[float]) -> bool:
    """Returns whether values are better shown on a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 20


def spread(heights: Sequence[float], least: float) -> list[float]:
    """Returns ascending heights moved apart to be `least` apart, about where they were, none below 0."""
    placed: list[list[float]] = []  # groups: [sum of wished centres, members]
    for height in heights:
        placed.append([height, 1])
        while len(placed) > 1 and _top(placed[-2], least) > _bottom(placed[-1], least):
            total, members = placed.pop()
            placed[-1] = [placed[-1][0] + total, placed[-1][1] + members]
    apart: list[float] = []
    for group in placed:
        for index in range(int(group[1])):
            wished = _bottom(group, least) + (index + 0.5) * least
            apart.append(max(wished, apart[-1] + least if apart else least / 2))
    return apart


def _bottom(group: Sequence[float], least: float) -> float:
    return group[0] / group[1] - group[1] * least / 2


def _top(group: Sequence[float], least: float) -> float:
    return group[0] / group[1] + group[1] * least / 2
