"""What a run offers for a task in a language: its trained pairs of modules with their validation scores.

Of results only the names of the modules are read, no test score. Not here: the choice (`recommend.py`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lingport.config.modules import CONFIGURATIONS
from lingport.report.cells import MIXTURE, REFERENCE, is_trained, settings_of
from lingport.report.job_tables import kind_of, language_of
from lingport.report.read import Point, Row, Run, point_of
from lingport.report.sweeps import short_names


@dataclass(frozen=True)
class Candidate:
    """A configuration as it was trained: from a source, with shots, at a point of a sweep.

    Attributes:
        name: What it is called.
        point: Where it lies; the target is the language that is asked for.
        on_target: Whether it was validated on data of the language itself, not on its source language's.
        scores: Seed -> validation score, 0 to 1.
        task_modules: Seed -> name of the task module.
        language_modules: Seed -> name of the language module; empty for a configuration without one.
        num_trained: Trained numbers of both together.
        losses: Held-out loss on raw text of the language without and with the language modules, means over seeds.
    """

    name: str
    point: Point
    on_target: bool
    scores: dict[int, float]
    task_modules: dict[int, str]
    language_modules: dict[int, str]
    num_trained: int
    losses: tuple[float, float] | None

    @property
    def score(self) -> float:
        """The mean over seeds, as 0 to 100."""
        return 100 * statistics.fmean(self.scores.values())

    @property
    def seed(self) -> int:
        """The seed whose modules to take: the one that validates best, the first of several."""
        return max(sorted(self.scores), key=lambda seed: self.scores[seed])

    def plain(self) -> dict[str, Any]:
        """Returns the evidence as JSON can hold it."""
        return {
            "name": self.name,
            "configuration": self.point.configuration,
            "source": self.point.source,
            "shots": self.point.shots,
            "settings": settings_of(self.point),
            "validated_on": "target" if self.on_target else "source",
            "score": round(self.score, 4),
            "seeds": {str(seed): round(100 * score, 4) for seed, score in sorted(self.scores.items())},
            "num_trained": self.num_trained,
            "held_out_loss": self.losses and [round(loss, 6) for loss in self.losses],
        }


def candidates(run: Run, task: str, language: str, sources: Sequence[str]) -> tuple[list[Candidate], dict[str, str]]:
    """Returns what can be taken for a task in a language, and the name of what cannot -> why.

    Args:
        run: What was trained.
        task: Name of the task.
        language: Code of the language that texts will be in.
        sources: Source languages to look at.
    """
    jobs = {job["name"]: job for job in run.jobs if job["status"] == "done"}
    rows: dict[Point, list[Row]] = {}
    for row in run.results:
        point = point_of(row)
        is_own = row["status"] == "done" and point.task == task and point.policy == "target" and point.source in sources
        # Untrained, there is nothing to validate; the upper reference is no small module.
        is_open = is_trained(point.configuration) and point.configuration != REFERENCE
        if is_own and is_open and (not point.shots or point.target == language):
            rows.setdefault(point._replace(target=language), []).append(row)
    short = short_names(key for point in rows for key in settings_of(point))
    found, left_out = [], {}
    for point, own in rows.items():
        name = _name(point, short)
        made = _candidate(name, point, own, jobs)
        if isinstance(made, Candidate):
            found.append(made)
        else:
            left_out[name] = made
    return found, left_out


def _candidate(name: str, point: Point, rows: Sequence[Row], jobs: Mapping[str, Row]) -> Candidate | str:
    """A point as a candidate, or why it is none."""
    shape = CONFIGURATIONS[point.configuration]
    tasks: dict[int, str] = {}
    languages: dict[int, str] = {}
    scores: dict[int, float] = {}
    on_target = True
    lacks_language = False
    for row in rows:
        seed, module = row["seed"], (row.get("modules") or {}).get("task") or ""
        score, here = _validation(jobs.get(module, {}), point)
        below = _language_module(rows, jobs, shape.language, point.target, seed)
        if shape.language is not None and below is None:
            lacks_language = True
        elif score is not None:
            scores[seed], tasks[seed], on_target = score, module, on_target and here
            languages |= {seed: below} if below else {}
    if not scores:
        return f"no language module for {point.target}" if lacks_language else "no validation score"
    trained = statistics.fmean(jobs[each]["num_trained"] for each in tasks.values())
    trained += statistics.fmean(jobs[each]["num_trained"] for each in languages.values()) if languages else 0
    losses = _losses([jobs[each] for each in languages.values()])
    return Candidate(name, point, on_target, scores, tasks, languages, round(trained), losses)


def _validation(job: Row, point: Point) -> tuple[float | None, bool]:
    """The validation score of a task module, and whether it was measured on the language that is asked for."""
    final: Mapping[str, Any] = job.get("final") or {}
    own = final.get(f"score of {point.task} ({point.target})")
    if own is not None:
        return own, True
    sources = point.source.split("+")
    of_sources = [final.get(f"score of {point.task} ({each})") for each in sources]
    known = [score for score in of_sources if score is not None]
    if known:
        return statistics.fmean(known), False
    return final.get("score"), bool(point.shots) or sources == [point.target]


def _language_module(
    rows: Sequence[Row], jobs: Mapping[str, Row], kind: str | None, language: str, seed: int
) -> str | None:
    """The language module of a seed: the one that was tested in the language, else one that was trained for it."""
    if kind is None:
        return None
    tested = [row["modules"]["language"] for row in rows if (row["target"], row["seed"]) == (language, seed)]
    trained = [
        job["name"]
        for job in jobs.values()
        if job["phase"] == "language" and kind_of(job) == kind and language_of(job) == language
    ]
    of_seed = [name for name in trained if name.endswith(f"-s{seed}")]
    return next((name for name in [*tested, *of_seed] if name in jobs), None)


def _losses(jobs: Sequence[Row]) -> tuple[float, float] | None:
    pairs = [(job.get("initial") or {}, job.get("final") or {}) for job in jobs]
    known = [
        (before["validation_loss"], after["validation_loss"])
        for before, after in pairs
        if "validation_loss" in before and "validation_loss" in after
    ]
    if not known:
        return None
    return statistics.fmean(before for before, _ in known), statistics.fmean(after for _, after in known)


def _name(point: Point, names: Mapping[str, str]) -> str:
    settings = settings_of(point)
    mixture = settings.pop(MIXTURE, None)
    parts = [f"{point.configuration} from {point.source}"]
    parts += [f"{point.shots} shots"] if point.shots else []
    parts += [f"mixture {mixture}"] if mixture else []
    return ", ".join([*parts, *(f"{names[key]} = {json.dumps(value)}" for key, value in settings.items())])
