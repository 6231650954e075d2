"""The plots of a report as SVG text: heat map, gain, training curves, cost.

Drawn on figures of their own, without matplotlib's global state; the same data give the same bytes. Lines and text
use a mid grey that reads on a light and on a dark page.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from lingport.report.read import Row, Run
from lingport.report.tables import Scores

GREY = "#7d8590"
# Okabe and Ito's palette: told apart by colour-blind readers.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6d31", "#7d8590"]
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "lingport",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_CURVES_OF_A_PLOT = 8


def heat_map(scores: Scores) -> str | None:
    """Returns configuration × target as colours with the numbers in them, or None without any score."""
    grid = [[scores.mean(label, target) for target in scores.targets] for label in scores.labels]
    known = [value for row in grid for value in row if value is not None]
    if not known:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.6 + 0.75 * len(scores.targets), 0.8 + 0.36 * len(scores.labels)))
        axes = figure.add_subplot()
        top = max(known) or 1.0
        shades = mpl.colormaps["viridis"]
        numbers = [[math.nan if value is None else value for value in row] for row in grid]
        axes.imshow(numbers, cmap=shades, vmin=0, vmax=top, aspect="auto")
        for y, row in enumerate(grid):
            for x, value in enumerate(row):
                text = "–" if value is None else f"{value:.0f}"
                colour = GREY if value is None else ("black" if value > 0.6 * top else "white")
                axes.text(x, y, text, ha="center", va="center", color=colour)
        names = [f"{t} (source)" if t == scores.source else t for t in scores.targets]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(scores.labels)), scores.labels)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return _svg(figure, f"Heat map of {scores.score} on {scores.task} by configuration and target language")


def gain_plot(scores: Scores) -> str | None:
    """Returns each configuration's gain over `ta` by target in points, or None where `ta` was not run."""
    labels = [label for label in scores.labels if label not in ("ta", "none")]
    targets = scores.zero_shot()
    if not labels or not targets or any(scores.mean("ta", target) is None for target in targets):
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.8))
        axes = figure.add_subplot()
        width = 0.8 / len(labels)
        for index, label in enumerate(labels):
            gains = [_difference(scores, label, target) for target in targets]
            places = [x + (index - (len(labels) - 1) / 2) * width for x in range(len(targets))]
            axes.bar(places, gains, width, label=label, color=COLOURS[index % len(COLOURS)])
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_xticks(range(len(targets)), targets)
        axes.set_ylabel("points above ta")
        axes.legend(frameon=False, labelcolor=GREY, loc="center left", bbox_to_anchor=(1, 0.5))
        return _svg(figure, f"Gain over ta on {scores.task} by target language")


def curves(run: Run, phase: str, group: str, names: Sequence[str]) -> str | None:
    """Returns the training loss and the validation of a group of jobs against steps.

    Args:
        run: The run.
        phase: `language` or `task`; decides what is shown of validations.
        group: What the jobs have in common, for the text that stands for the picture.
        names: The jobs.
    """
    found = {name: run.metrics[name] for name in names if run.metrics.get(name)}
    if not found:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.6))
        left, right = figure.subplots(1, 2)
        for index, (name, events) in enumerate(list(found.items())[:_CURVES_OF_A_PLOT]):
            colour = COLOURS[index % len(COLOURS)]
            steps, losses = _smooth([event for event in events if event["event"] == "train"])
            left.plot(steps, losses, color=colour, linewidth=1.2, label=name)
            checks = [event for event in events if event["event"] == "evaluate"]
            values = [_shown(event["scores"], phase) for event in checks]
            right.plot(
                [event["step"] for event in checks], values, color=colour, linewidth=1.2, marker="o", markersize=3
            )
        left.set_ylabel("training loss")
        right.set_ylabel("validation score" if phase == "task" else "validation loss")
        for axes in (left, right):
            axes.set_xlabel("step")
        figure.legend(frameon=False, labelcolor=GREY, loc="center left", bbox_to_anchor=(1, 0.5))
        figure.tight_layout()
        return _svg(figure, f"Training curves of {group}")


def cost_plot(run: Run, scores: Scores) -> str | None:
    """Returns the zero-shot average against the training time of the task module."""
    points: list[tuple[str, float, float]] = []
    for label in scores.labels:
        seconds = [
            job["seconds"]
            for job in run.jobs
            if job["phase"] == "task"
            and job["status"] == "done"
            and job["name"].startswith(f"{label}-{scores.task}-{scores.source}-")
        ]
        average = scores.average(label)
        if seconds and average is not None:
            points.append((label, sum(seconds) / len(seconds), average))
    if len(points) < 2:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 2.8))
        axes = figure.add_subplot()
        for index, (label, seconds, average) in enumerate(points):
            axes.plot([seconds], [average], "o", color=COLOURS[index % len(COLOURS)])
            axes.annotate(label, (seconds, average), xytext=(5, 3), textcoords="offset points")
        axes.set_xlabel("seconds of training the task module")
        axes.set_ylabel(f"{scores.score}, zero-shot average")
        axes.margins(0.15)
        return _svg(figure, f"Cost against score on {scores.task}")


def _difference(scores: Scores, label: str, target: str) -> float:
    own, base = scores.mean(label, target), scores.mean("ta", target)
    return math.nan if own is None or base is None else own - base


def _shown(scores: dict[str, Any], phase: str) -> float:
    return 100 * scores["score"] if phase == "task" and "score" in scores else scores["validation_loss"]


def _smooth(events: Sequence[Row], points: int = 60) -> tuple[list[float], list[float]]:
    """Means over equal stretches, at most `points` of them: single steps are too noisy to read."""
    size = max(1, math.ceil(len(events) / points))
    parts = [events[start : start + size] for start in range(0, len(events), size)]
    return (
        [sum(event["step"] for event in part) / len(part) for part in parts],
        [sum(event["loss"] for event in part) / len(part) for part in parts],
    )


def _svg(figure: Figure, title: str) -> str:
    stream = io.StringIO()
    figure.savefig(
        stream, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None}
    )
    text = stream.getvalue()
    start = text.index("<svg")
    # Sized by the page, named for readers who do not see it, without links to anywhere.
    head = re.sub(r' (?:width|height|xmlns:xlink|version)="[^"]*"', "", text[start : text.index(">", start)])
    body = re.sub(r"<metadata>.*?</metadata>", "", text[text.index(">", start) :], flags=re.DOTALL)
    width = re.search(r'width="([\d.]+)pt"', text)
    style = f' style="max-width:{float(width[1]) * 4 / 3:.0f}px"' if width else ""
    return f'{head} role="img" aria-label="{title}"{style}{body.replace("xlink:href", "href")}'
