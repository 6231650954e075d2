"""Scores against a swept setting, or against the number of shots: one table and one plot for each.

Not here: the drawing (`plots.py`), and scores at single points (`tables.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lingport.report.scores import AVERAGE, Scores
from lingport.report.table import Table
from lingport.report.tables import score_cell

#: the setting that is no key of a recipe
SHOTS = "shots"


@dataclass(frozen=True)
class Sweep:
    """Average scores at each value of one setting, all other settings fixed.

    Attributes:
        name: The setting's, short.
        values: What it takes.
        score: What the scores are called.
        table: Configuration x value.
    """

    name: str
    values: list[Any]
    score: str
    table: Table


def sweeps(alike: Sequence[Scores]) -> list[Sweep]:
    """Returns a sweep for each setting that varies, at each combination of the others.

    Args:
        alike: Scores of one task from one source.
    """
    settings = [{**scores.settings, **({SHOTS: scores.shots} if _varies(alike, SHOTS) else {})} for scores in alike]
    names = short_names(key for each in settings for key in each)
    found = []
    for key in names:
        fixed: dict[str, list[tuple[Any, Scores]]] = {}
        for scores, at in zip(alike, settings, strict=True):
            others = ", ".join(f"{names[other]} = {value}" for other, value in at.items() if other != key)
            fixed.setdefault(others, []).append((at[key], scores))
        for others, points in fixed.items():
            if len(points) > 1:
                found.append(_sweep(names[key], others, points))
    return found


def _sweep(name: str, others: str, points: Sequence[tuple[Any, Scores]]) -> Sweep:
    first = points[0][1]
    labels = list(dict.fromkeys(label for _, scores in points for label in scores.labels))
    # Few-shot training is on the target itself, where one source language may be all that is tested.
    rows = [(label, [score_cell(scores, label, AVERAGE) for _, scores in points]) for label in labels]
    title = f"{first.name}: average {first.score} by {name}" + (f", {others}" if others else "")
    note = f"Average {first.score} over the zero-shot targets, 0 to 100."
    if any(cell.interval for _, cells in rows for cell in cells):
        note += " In brackets the 95 % interval."
    head = ["configuration", *(str(value) for value, _ in points)]
    return Sweep(name, [value for value, _ in points], f"average {first.score}", Table(title, head, rows, note))


def point_name(scores: Scores, alike: Sequence[Scores]) -> str:
    """Returns at which shots and settings scores are, of those that vary; empty where none does."""
    names = short_names(key for each in alike for key in each.settings)
    parts = [f"{scores.shots} shots"] if _varies(alike, SHOTS) else []
    return ", ".join([*parts, *(f"{names[key]} = {value}" for key, value in scores.settings.items())])


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Returns key -> its last two parts, or the whole key where these do not tell it from another."""
    distinct = list(dict.fromkeys(keys))
    short = {key: ".".join(key.split(".")[-2:]) for key in distinct}
    return {key: name if list(short.values()).count(name) == 1 else key for key, name in short.items()}


def _varies(alike: Sequence[Scores], name: str) -> bool:
    return len({getattr(scores, name) for scores in alike}) > 1
