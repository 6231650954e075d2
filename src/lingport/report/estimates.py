"""From a run's kept outputs to an estimate of each of its scores: examples and seeds drawn again.

Not here: the statistics themselves (`lingport.evaluate.stats`), and what is made of the estimates (`scores.py`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from lingport.evaluate.stats import Draws, Estimate, over_seeds, resampled_scores
from lingport.report.read import Point, Row, Run, point_of
from lingport.tasks.base import Task

logger = logging.getLogger(__name__)
# A score that the kept outputs give again may differ by so much from the recorded one.
_SAME = 1e-6


def estimate_scores(run: Run, *, draws: Draws | None = None) -> dict[Point, Estimate]:
    """Returns an estimate of the main score of each point whose cells are done and whose outputs are kept.

    A point is left out where a seed's outputs are not kept, or give another score than was recorded.
    """
    draws = draws or Draws()
    tests: dict[tuple[str, str], list[Row]] = {}
    for row in run.results:
        if row["status"] == "done":
            tests.setdefault((row["task"], row["target"]), []).append(row)
    found: dict[Point, Estimate] = {}
    definitions: dict[str, Task[Any, Any] | None] = {}
    for (name, target), rows in tests.items():
        if name not in definitions:
            definitions[name] = run.definition(name)
        task = definitions[name]
        if task is None:
            logger.warning("the task %s is not known any more: its scores have no intervals", name)
            continue
        found |= _of_test(run, task, target, rows, draws)
    return found


def _of_test(run: Run, task: Task[Any, Any], target: str, rows: Sequence[Row], draws: Draws) -> dict[Point, Estimate]:
    """Estimates the scores on one task in one language: usually all on the same examples."""
    measure = task.measure(task.main_score, language=target)
    seeds: dict[Point, int] = {}
    by_examples: dict[str, list[tuple[Row, np.ndarray]]] = {}
    for row in rows:
        seeds[point_of(row)] = seeds.get(point_of(row), 0) + 1
        kept = run.predictions(row)
        if not kept:
            continue
        tally = measure.tally(*([_hashable(each[key]) for each in kept] for key in ("answer", "gold")))
        if abs(float(measure.value(tally.sum(axis=0))) - row["scores"].get(task.main_score, -1.0)) > _SAME:
            logger.warning("the outputs kept of %s do not give its score: it has no interval", row["name"])
            continue
        known_by = hashlib.blake2b("\n".join(str(each["id"]) for each in kept).encode(), digest_size=8).hexdigest()
        by_examples.setdefault(known_by, []).append((row, tally))
    found: dict[Point, Estimate] = {}
    for known_by, tallied in by_examples.items():
        resampled = resampled_scores(draws, [tally for _, tally in tallied], measure.value)
        points: dict[Point, list[int]] = {}
        for place, (row, _) in enumerate(tallied):
            points.setdefault(point_of(row), []).append(place)
        for point, places in points.items():
            if len(places) == seeds[point]:
                own = [tallied[place][0] for place in places]
                values = [row["scores"][task.main_score] for row in own]
                found[point] = over_seeds(draws, [row["seed"] for row in own], values, resampled[places], known_by)
    return found


def _hashable(value: Any) -> Any:
    """Answers as tasks give them: tuples, which JSON writes as lists."""
    return tuple(_hashable(each) for each in value) if isinstance(value, list) else value
