"""The plots of a report as SVG text: training curves, cost against score, score against a swept setting.

Not here: average ranks (`rank_plot.py`), shaded tables (`tables.py`), and how a figure becomes text that reads on
light and dark pages (`svg.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from lingport.report.axes import Line, compact, finish, is_wide, lines_of, spread
from lingport.report.read import Row, Run
from lingport.report.svg import INK, LINE, drawing, svg_text
from lingport.report.sweeps import Sweep
from lingport.report.table import Cell, Table

_POINTS_OF_A_CURVE = 60
#: the costs that scores are drawn against: name of the axis -> columns of the cost table that are summed
_COSTS = {"trained numbers": (0, 1), "seconds of training": (2, 3), "peak MiB": (4,)}


@dataclass(frozen=True)
class Plot:
    """Pictures that belong together, and the key to their lines.

    Attributes:
        title: Their heading; empty where they stand under the table that they draw.
        pictures: SVG.
        lines: Empty where the pictures name their own.
    """

    title: str
    pictures: list[str]
    lines: list[Line]


def curves(run: Run, title: str, jobs: Sequence[tuple[str, Row]]) -> Plot | None:
    """Returns training loss and validation of a group of jobs against steps, or None before there is any.

    Args:
        run: The run.
        title: What the jobs have in common.
        jobs: (language or configuration, job); the seeds of one share its line style.
    """
    found = [(label, job, events) for label, job in jobs if (events := run.events(job["name"]))]
    if not found:
        return None
    lines = lines_of(label for label, _, _ in found)
    training = [(lines[label], _smooth([e for e in events if e["event"] == "train"])) for label, _, events in found]
    checks = [(lines[label], _checks(job, events)) for label, job, events in found]
    is_score = any("score" in e.get("scores", {}) for _, _, events in found for e in events)
    said = f"{len(found)} job{'' if len(found) == 1 else 's'} by step"
    with drawing():
        pictures = [
            _lines(training, "training loss", f"{title}: training loss of {said}", small=False),
            _lines(
                checks,
                "validation score" if is_score else "held-out loss",
                f"{title}: validation of {said}",
                small=True,
            ),
        ]
    return Plot(title, [picture for picture in pictures if picture is not None], list(lines.values()))


def cost_plot(table: Table, score: str) -> Plot | None:
    """Returns the zero-shot average against trained numbers, seconds and memory; None for fewer than two points.

    Args:
        table: A cost table; its last column is the average.
        score: What the average is called.
    """
    measured = [(label, cells) for label, cells in table.rows if cells[-1].value is not None]
    if len(measured) < 2:
        return None
    lines = lines_of(label for label, _ in table.rows)
    pictures = []
    with drawing():
        for axis, columns in _COSTS.items():
            points = [
                (lines[label], sum(cells[column].value or 0.0 for column in columns), cells[-1])
                for label, cells in measured
                if cells[columns[0]].value is not None
            ]
            if len(points) > 1:
                alt = f"{table.title}: {score} against {axis}. The numbers are in the table beside."
                pictures.append(_scatter(points, axis, score, alt))
    return Plot("", pictures, []) if pictures else None


def sweep_plot(sweep: Sweep) -> Plot | None:
    """Returns the score of each configuration against a setting, with intervals; None for fewer than two values."""
    rows = [(label, cells) for label, cells in sweep.table.rows if sum(c.value is not None for c in cells) > 1]
    if not rows or len(sweep.values) < 2:
        return None
    lines = lines_of(label for label, _ in rows)
    are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in sweep.values)
    places = [float(value) for value in sweep.values] if are_numbers else list(map(float, range(len(sweep.values))))
    with drawing():
        figure = Figure(figsize=(4.4, 2.7))
        axes = figure.add_axes((0.1, 0.19, 0.88, 0.69))
        for label, cells in rows:
            line = lines[label]
            drawn = [(x, cell) for x, cell in zip(places, cells, strict=True) if cell.value is not None]
            x, y = [x for x, _ in drawn], [cell.value or 0.0 for _, cell in drawn]
            low, high = ([_bound(cell, side) for _, cell in drawn] for side in (0, 1))
            axes.fill_between(x, low, high, color=line.colour, alpha=0.1, linewidth=0)
            axes.plot(x, y, color=line.colour, linestyle=line.style, linewidth=1.4, marker=line.marker, markersize=4)
        if are_numbers and is_wide(places):
            axes.set_xscale("log")
        finish(axes, sweep.name, sweep.score)
        axes.minorticks_off()
        axes.set_xticks(places, [compact(v) if are_numbers else str(v) for v in sweep.values])
        alt = f"{sweep.table.title}. The numbers are in the table beside."
        return Plot("", [svg_text(figure, alt, is_cropped=False)], list(lines.values()))


def _bound(cell: Cell, side: int) -> float:
    return cell.interval[side] if cell.interval else cell.value or 0.0


def _lines(
    series: Sequence[tuple[Line, tuple[list[float], list[float]]]], axis: str, alt: str, *, small: bool
) -> str | None:
    if not any(steps for _, (steps, _) in series):
        return None
    figure = Figure(figsize=(4.4, 2.5))
    axes = figure.add_axes((0.1, 0.19, 0.88, 0.69))
    for line, (steps, values) in series:
        marker = "o" if small and len(steps) < 20 else None
        axes.plot(steps, values, color=line.colour, linestyle=line.style, linewidth=1.2, marker=marker, markersize=2.5)
    finish(axes, "step", axis, whole_steps=True)
    return svg_text(figure, alt, is_cropped=False)


def _scatter(points: Sequence[tuple[Line, float, Cell]], x_axis: str, y_axis: str, alt: str) -> str:
    """Points with their intervals, and their names in a column at the right, since many lie on top of each other."""
    figure = Figure(figsize=(4.4, 2.6))
    axes = figure.add_axes((0.1, 0.19, 0.72, 0.69))
    if is_wide([x for _, x, _ in points]):
        axes.set_xscale("log")
    for line, x, cell in points:
        axes.plot([x, x], [_bound(cell, 0), _bound(cell, 1)], color=line.colour, linewidth=1, alpha=0.5)
        axes.plot([x], [cell.value or 0.0], line.marker, color=line.colour, markersize=6)
    axes.margins(0.1, 0.12)
    low, high = axes.get_ylim()
    ordered = sorted(points, key=lambda point: point[2].value or 0.0)
    heights = spread([((cell.value or 0.0) - low) / (high - low) for _, _, cell in ordered], 0.1)
    for (line, x, cell), height in zip(ordered, heights, strict=True):
        axes.annotate(
            line.label,
            (x, cell.value or 0.0),
            xytext=(1.05, height),
            textcoords="axes fraction",
            va="center_baseline",
            color=INK,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": LINE, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4},
        )
    finish(axes, x_axis, y_axis)
    return svg_text(figure, alt, is_cropped=False)


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
