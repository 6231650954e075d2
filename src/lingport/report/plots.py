"""The plots of a report as SVG text: heat map, gain, training curves, cost.

Not here: how a figure becomes text that reads on light and dark pages (`svg.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from lingport.report.read import Row, Run
from lingport.report.scores import Scores, is_trained
from lingport.report.svg import INK, LINE, drawing, svg_text
from lingport.report.tables import FAILED, MISSING, Table

# Okabe and Ito's palette without black: told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6d31", "#7d8590")
#: dashes in units of the line's width, as SVG and matplotlib both take them; with COLOURS 32 distinct lines
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5))
_MARKERS = "os^DvPX*"
_CELL_INCHES = (0.62, 0.3)
_GAP = 0.16  # of a cell, before the column that is not a zero-shot target
_POINTS_OF_A_CURVE = 60


@dataclass(frozen=True)
class Line:
    """How the lines of one language or configuration are drawn.

    Attributes:
        label: Whose they are.
        colour: As `#rrggbb`.
        dashes: Lengths on and off in line widths; empty for a whole line.
    """

    label: str
    colour: str
    dashes: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """Training curves of a group of jobs: pictures and the key to their lines."""

    title: str
    pictures: list[str]
    lines: list[Line]


def heat_map(scores: Scores) -> str | None:
    """Returns configuration × target as colours with the numbers in them, or None without any score."""
    grid = [[scores.mean(label, target) for target in scores.targets] for label in scores.labels]
    known = [value for row in grid for value in row if value is not None]
    if not known:
        return None
    top = max(known) or 1.0
    texts = [
        [
            f"{value:.0f}" if value is not None else (FAILED if (label, target) in scores.failed else MISSING)
            for target, value in zip(scores.targets, row, strict=True)
        ]
        for label, row in zip(scores.labels, grid, strict=True)
    ]
    alt = (
        f"Heat map of {scores.score} on {scores.name}: {len(scores.labels)} rows by {len(scores.targets)} target "
        f"languages, from {min(known):.0f} to {max(known):.0f}. The numbers are in the table above."
    )
    names = [f"{target}\n(source)" if target == scores.source else target for target in scores.targets]
    return _grid(scores.labels, names, grid, texts, _shades("Blues", 0.04, 0.92, 0.0, top), alt)


def gain_map(scores: Scores, table: Table) -> str | None:
    """Returns the gains of a gain table as colours about zero, or None without any gain."""
    grid = [[cell.value for cell in cells] for _, cells in table.rows]
    known = [value for row in grid for value in row if value is not None]
    if not known:
        return None
    # An untrained backbone is so far below that the others would all look alike.
    trained = [
        abs(value)
        for (label, _), row in zip(table.rows, grid, strict=True)
        for value in row
        if value is not None and is_trained(label)
    ]
    top = max(trained, default=0.0) or 1.0
    texts = [[MISSING if value is None else _signed(value) for value in row] for row in grid]
    alt = f"Heat map of the gain over ta on {scores.name}, from {min(known):+.1f} to {max(known):+.1f} points."
    names = [label for label, _ in table.rows]
    return _grid(names, table.head[1:], grid, texts, _shades("RdBu", 0.12, 0.88, -top, top), alt)


def curves(run: Run, title: str, jobs: Sequence[tuple[str, Row]]) -> Curves | None:
    """Returns training loss and validation of a group of jobs against steps, or None before there is any.

    Args:
        run: The run.
        title: What the jobs have in common.
        jobs: (language or configuration, job); the seeds of one share its line style.
    """
    found = [(label, job, run.metrics[job["name"]]) for label, job in jobs if run.metrics.get(job["name"])]
    if not found:
        return None
    styles = itertools.product(DASHES, COLOURS)
    lines: dict[str, Line] = {}
    for label, _, _ in found:
        if label not in lines:
            dashes, colour = next(styles, ((), COLOURS[-1]))
            lines[label] = Line(label, colour, dashes)
    training = [(lines[label], _smooth([e for e in events if e["event"] == "train"])) for label, _, events in found]
    checks = [(lines[label], _checks(job, events)) for label, job, events in found]
    is_score = any("score" in e.get("scores", {}) for _, _, events in found for e in events)
    with drawing():
        pictures = [
            _lines(training, "training loss", f"{title}: training loss of {len(found)} jobs by step", small=False),
            _lines(
                checks,
                "validation score" if is_score else "held-out loss",
                f"{title}: validation of {len(found)} jobs by step",
                small=True,
            ),
        ]
    return Curves(title, [picture for picture in pictures if picture is not None], list(lines.values()))


def cost_plots(scores: Scores, table: Table) -> list[str]:
    """Returns the zero-shot average against trained numbers and against seconds, from a cost table."""
    measured = [
        (label, [cell.value for cell in cells[:4]], cells[-1].value)
        for label, cells in table.rows
        if cells[-1].value is not None
    ]
    if len(measured) < 2:
        return []
    with drawing():
        return [
            _scatter(
                [(label, (c[first] or 0.0) + (c[first + 1] or 0.0), y) for label, c, y in measured if y is not None],
                axis,
                f"average {scores.score}",
                f"{scores.name}: average {scores.score} against {axis}",
            )
            for first, axis in ((0, "trained numbers"), (2, "seconds of training"))
        ]


def _shades(name: str, low: float, high: float, bottom: float, top: float) -> Callable[[float], Any]:
    shades = mpl.colormaps[name]
    return lambda value: shades(low + (high - low) * (value - bottom) / (top - bottom))


def _grid(
    labels: Sequence[str],
    columns: Sequence[str],
    grid: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    shade: Callable[[float], Any],
    alt: str,
) -> str:
    is_apart = ["(source)" in name or name == "average" for name in columns]
    places = [x + (_GAP if apart else 0.0) for x, apart in enumerate(is_apart)]
    width, height = _CELL_INCHES
    with drawing():
        figure = Figure(figsize=((len(columns) + _GAP) * width, len(labels) * height))
        axes = figure.add_axes((0, 0, 1, 1))
        for y, row in enumerate(grid):
            for x, value, text in zip(places, row, texts[y], strict=True):
                fill = "none" if value is None else shade(value)
                edge = LINE if value is None else "none"
                axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=fill, edgecolor=edge))
                colour = INK if value is None else _readable_on(fill)
                size = 10 if len(text) < 5 else 8
                axes.text(x, y, text, ha="center", va="center_baseline", color=colour, fontsize=size)
        axes.set_xlim(-0.5, len(columns) - 0.5 + _GAP)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xticks(places, columns)
        axes.set_yticks(range(len(labels)), labels)
        axes.xaxis.tick_top()
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return svg_text(figure, alt)


def _signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "\u2212") if round(value) else "0"


def _readable_on(fill: Any) -> str:
    red, green, blue = fill[:3]
    return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else "#14171a"


def _lines(
    series: Sequence[tuple[Line, tuple[list[float], list[float]]]], axis: str, alt: str, *, small: bool
) -> str | None:
    if not any(steps for _, (steps, _) in series):
        return None
    figure = Figure(figsize=(4.4, 2.5))
    axes = figure.add_axes((0.1, 0.19, 0.88, 0.69))
    for line, (steps, values) in series:
        style = (0, line.dashes) if line.dashes else "-"
        marker = "o" if small and len(steps) < 20 else None
        axes.plot(steps, values, color=line.colour, linestyle=style, linewidth=1.2, marker=marker, markersize=2.5)
    _finish(axes, "step", axis)
    return svg_text(figure, alt, is_cropped=False)


def _scatter(points: Sequence[tuple[str, float, float]], x_axis: str, y_axis: str, alt: str) -> str:
    """Points with their names in a column at the right, since many lie on top of each other."""
    figure = Figure(figsize=(4.4, 2.6))
    axes = figure.add_axes((0.1, 0.19, 0.72, 0.69))
    places = [x for _, x, _ in points]
    if min(places) > 0 and max(places) / min(places) > 20:
        axes.set_xscale("log")
    for index, (_, x, y) in enumerate(points):
        axes.plot([x], [y], _MARKERS[index % len(_MARKERS)], color=COLOURS[index % len(COLOURS)], markersize=6)
    axes.margins(0.1, 0.12)
    low, high = axes.get_ylim()
    ordered = sorted(range(len(points)), key=lambda index: points[index][2])
    heights = _spread([(points[index][2] - low) / (high - low) for index in ordered], 0.1)
    for index, height in zip(ordered, heights, strict=True):
        label, x, y = points[index]
        axes.annotate(
            label,
            (x, y),
            xytext=(1.05, height),
            textcoords="axes fraction",
            va="center_baseline",
            color=INK,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": LINE, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4},
        )
    _finish(axes, x_axis, y_axis)
    return svg_text(figure, alt, is_cropped=False)


def _finish(axes: Axes, x_axis: str, y_axis: str) -> None:
    axes.grid(visible=True)
    axes.set_xlabel(x_axis)
    axes.set_title(y_axis, loc="left", fontsize=10)
    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=x_axis == "step"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _compact(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _compact(value: float) -> str:
    return EngFormatter(sep="")(value) if value >= 1000 else f"{value:g}"


def _spread(heights: Sequence[float], least: float) -> list[float]:
    """Moves ascending heights apart so that neighbours are `least` apart, about where they were, none below 0."""
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


def _checks(job: Row, events: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Validations as (steps, values): scores where there are any, else losses from before the first step on."""
    checks = [event for event in events if event["event"] == "evaluate"]
    if any("score" in event["scores"] for event in checks):
        return [e["step"] for e in checks], [100 * e["scores"].get("score", math.nan) for e in checks]
    before = job.get("initial", {}).get("validation_loss")
    start = [] if before is None else [(0, before)]
    pairs = start + [(e["step"], e["scores"].get("validation_loss", math.nan)) for e in checks]
    return [step for step, _ in pairs], [value for _, value in pairs]


def _smooth(events: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Means over equal stretches, at most 60 of them: single steps are too noisy to read."""
    size = max(1, math.ceil(len(events) / _POINTS_OF_A_CURVE))
    parts = [events[start : start + size] for start in range(0, len(events), size)]
    return (
        [sum(event["step"] for event in part) / len(part) for part in parts],
        [sum(event["loss"] for event in part) / len(part) for part in parts],
    )
