"""A report's numbers as CSV: one row per cell, and one row per point with its interval. Not here: tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lingport.evaluate.stats import Estimate
from lingport.report.cells import cells_asked, row_label
from lingport.report.read import Point, Row, Run, point_of

_PLACE = ("task", "source", "shots", "settings", "configuration", "policy", "target")
_COSTS = ("majority", "num_trained", "seconds", "peak_bytes", "error", "cell")


def results_csv(run: Run) -> str:
    """Returns all cells with all scores (0 to 1), counts and costs; a missing value is empty."""
    names = sorted({name for row in run.results for name in row.get("scores", {})})
    count_names = sorted({name for row in run.results for name in row.get("counts", {})})
    head = [*_PLACE, "seed", "status", "main_score", *names, *(f"num_{name}" for name in count_names), *_COSTS]
    rows = []
    for row in run.results:
        values: list[Any] = [*point_of(row), row["seed"], row["status"], row.get("main_score", "")]
        values += [row.get("scores", {}).get(name, "") for name in names]
        values += [row.get("counts", {}).get(name, "") for name in count_names]
        rows.append([*values, *(row.get(key, "") for key in _COSTS)])
    return _csv(head, rows)


def points_csv(run: Run, estimates: Mapping[Point, Estimate]) -> str:
    """Returns all points that were asked for: mean over seeds with its 95 % interval (0 to 1), and what is missing.

    Nothing in it depends on time or machine: two runs of a recipe that came to the same results give the same bytes.
    """
    seeds: dict[Point, set[int]] = {}
    for point, seed in cells_asked(run):
        seeds.setdefault(point, set()).add(seed)
    done: dict[Point, list[Row]] = {}
    failed: dict[Point, int] = {}
    for row in run.results:
        point = point_of(row)
        if row["status"] == "done":
            done.setdefault(point, []).append(row)
        else:
            failed[point] = failed.get(point, 0) + 1
    head = [*_PLACE, "label", "score", "mean", "low", "high", "seeds_done", "seeds_failed", "seeds_asked"]
    rows = []
    for point in sorted(seeds):
        found = [row for row in done.get(point, []) if row["seed"] in seeds[point]]
        name = found[0]["main_score"] if found else ""
        values = [row["scores"][name] for row in found if name in row["scores"]]
        mean: Any = f"{sum(values) / len(values):.6f}" if values else ""
        bounds = [f"{bound:.6f}" for bound in estimates[point].interval()] if point in estimates else ["", ""]
        label = row_label(point.configuration, point.policy)
        rows.append([*point, label, name, mean, *bounds, len(found), failed.get(point, 0), len(seeds[point])])
    return _csv(head, rows)


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue()
