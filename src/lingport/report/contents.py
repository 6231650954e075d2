"""What a report says, in its order: sections of sentences, tables and plots. Not here: how they are written down."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lingport.report import job_tables, words
from lingport.report.cells import task_names
from lingport.report.plots import Plot, cost_plot, curves, sweep_plot
from lingport.report.rank_plot import rank_plot
from lingport.report.read import Row, Run
from lingport.report.scores import Scores
from lingport.report.standings import Standings, collect_standings, duel_table, rank_table
from lingport.report.sweeps import point_name, sweeps
from lingport.report.table import Table
from lingport.report.tables import BASELINE, control_table, gain_table, score_table, transfer_tables

#: points of a sweep whose single tables are shown; of more, the curves must do
MAX_POINTS = 12
#: panels of a sweep over several settings that are shown
MAX_PANELS = 24


@dataclass(frozen=True)
class Folded:
    """What only some readers want to see."""

    title: str
    parts: list[Part]


@dataclass(frozen=True)
class Grid:
    """Small tables side by side."""

    tables: list[Table]


@dataclass(frozen=True)
class Pair:
    """A table, and beside it what it looks like."""

    table: Table
    plot: Plot


Part = str | Table | Plot | Grid | Pair | Folded


@dataclass(frozen=True)
class Section:
    """A part of the report under one heading."""

    title: str
    parts: list[Part] = field(default_factory=list)

    def tables(self) -> list[Table]:
        """Returns all tables, in their order."""
        return list(_tables(self.parts))


def _tables(parts: Sequence[Part]) -> Iterator[Table]:
    for part in parts:
        if isinstance(part, Table):
            yield part
        elif isinstance(part, Grid):
            yield from part.tables
        elif isinstance(part, Pair):
            yield part.table
        elif isinstance(part, Folded):
            yield from _tables(part.parts)


def contents(run: Run, all_scores: Sequence[Scores]) -> list[Section]:
    """Returns the sections of a run's report."""
    alike: dict[tuple[str, str, str], list[Scores]] = {}
    for scores in all_scores:
        alike.setdefault((scores.task, scores.source, scores.mixture), []).append(scores)
    standings = collect_standings([scores for scores in all_scores if not scores.mixture])
    sections = [_overall(standings)] if standings else []
    for task in dict.fromkeys(scores.task for scores in all_scores):
        groups = [group for key, group in alike.items() if key[0] == task]
        sections += [_of_source(run, group) for group in groups]
        first = [group[0] for group in groups if not group[0].mixture]
        if len(first) > 1:
            sections.append(_transfer(task, first))
    learnt = [drawn for drawn in _curves(run) if drawn is not None]
    if learnt:
        note = "One line per seed. Training losses are means over equal stretches of steps."
        sections.append(Section("Training curves", [*learnt, note]))
    makers = (
        job_tables.failure_table,
        job_tables.language_table,
        job_tables.unusable_table,
        job_tables.job_table,
    )
    sections += [Section(table.title, [table]) for make in makers if (table := make(run)) is not None]
    return sections


def _overall(standings: Standings) -> Section:
    parts: list[Part] = [rank_table(standings)]
    ranking = standings.ranking()
    picture = rank_plot(standings.labels, ranking) if ranking else None
    if ranking and picture:
        said = "Groups joined by a bar are not told apart by Nemenyi's test. " if ranking.cliques() else ""
        title = f"Average ranks over {words.plural(ranking.num_sets, 'test set')}, the best at the left"
        parts += [Plot(title, [picture], []), f"{said}Test sets: each task from each source in each zero-shot target."]
    duels = duel_table(standings)
    if duels is not None:
        parts.append(duels)
    return Section("All tasks together", parts)


def _of_source(run: Run, group: Sequence[Scores]) -> Section:
    """Scores of one task from one source; first the curves, where there are several points."""
    first = group[0]
    parts: list[Part] = []
    found = sweeps(group)
    for sweep in found[:MAX_PANELS]:
        plot = sweep_plot(sweep)
        parts.append(Pair(sweep.table, plot) if plot else sweep.table)
    if len(found) > MAX_PANELS:
        parts.append(f"{len(found) - MAX_PANELS} more curves are left out.")
    if len(group) == 1:
        parts.append(words.best(first).removeprefix(f"{first.name}: "))
        parts += _tables_of(first, first.name)
        costs = job_tables.cost_table(run, first, name=first.name)
        plot = cost_plot(costs, f"average {first.score}") if costs else None
        parts += [part for part in (costs, plot) if part is not None]
    elif len(group) <= MAX_POINTS:
        for scores in group:
            name = point_name(scores, group)
            parts.append(Folded(f"All scores at {name}", [*_tables_of(scores, f"{scores.name}, {name}")]))
    else:
        parts.append(f"{len(group)} points are too many to show each of them: they are in points.csv.")
    return Section(first.name, parts)


def _tables_of(scores: Scores, name: str) -> list[Table]:
    others = [label for label in scores.labels if label != BASELINE and BASELINE in scores.labels]
    compared = scores.compare((label, BASELINE) for label in others)
    gains = gain_table(scores, compared, name=name)
    controls = control_table(scores, scores.compare(scores.controls.items()), name=name)
    return [score_table(scores, compared, name=name), *(table for table in (gains, controls) if table is not None)]


def _transfer(task: str, of_sources: Sequence[Scores]) -> Section:
    first = of_sources[0]
    what = f"{first.score}, 0 to 100; rows are sources, columns targets."
    if first.settings or first.shots:
        what += " At the first point of the sweep."
    return Section(f"{task}: transfer from source to target", [what, Grid(transfer_tables(task, of_sources))])


def _curves(run: Run) -> Iterator[Plot | None]:
    """Groups training jobs: language modules by kind, task modules by what they learn and from which source."""
    groups: dict[str, list[tuple[str, Row]]] = {}
    trained = [job for job in run.jobs if job["name"] in run.metrics]
    for job in (job for job in trained if job["phase"] == "language"):
        kind = job_tables.kind_of(job)
        groups.setdefault(f"Language modules: {kind}", []).append((job_tables.language_of(job), job))
    mixtures = [mixture["name"] for mixture in run.recipe.get("mixtures") or []]
    for task, source in itertools.product([*task_names(run), *mixtures], run.recipe["sources"]):
        name = re.compile(rf"(?P<configuration>.+?)-{re.escape(task)}-{re.escape(source)}[-.]s\d+(?P<rest>.*)")
        for job in (job for job in trained if job["phase"] == "task"):
            if match := name.fullmatch(job["name"]):
                rest = match["rest"].strip("-")
                label = match["configuration"] + (f" ({rest})" if rest else "")
                groups.setdefault(f"Task modules: {task} from {source}", []).append((label, job))
    for title, jobs in groups.items():
        yield curves(run, title, jobs)
