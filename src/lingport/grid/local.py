"""Does the jobs of a plan on this machine, one after another, in one process that holds the backbone.

A job that is done is not done again. A job that fails marks what depends on it, and the rest goes on.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from lingport.backbones.base import Backbone
from lingport.config.schema import Recipe
from lingport.errors import LingportError
from lingport.grid.ledger import Ledger
from lingport.grid.plan import CellJob, Job, Plan, make_plan, parents
from lingport.grid.work import Workshop, coordinates, module_job

logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Told how a run goes on; the command line shows it, tests record it."""

    def plan(self, total: int, done: int) -> None:
        """The run has so many jobs, of which so many were done before."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def progress(self, job: Job, done: int, total: int, message: str) -> None:
        """A job has made so many of its steps or rows."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """A job has ended; the record's `status` is `done`, `failed` or `blocked`."""


class Silent:
    """A reporter that says nothing."""

    def plan(self, total: int, done: int) -> None:
        """Says nothing."""

    def started(self, job: Job) -> None:
        """Says nothing."""

    def progress(self, job: Job, done: int, total: int, message: str) -> None:
        """Says nothing."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Says nothing."""


@dataclass
class RunSummary:
    """How a run ended.

    Attributes:
        run_dir: Its folder.
        num_done: Jobs done now.
        num_skipped: Jobs that were done before.
        failed: Name -> reason, of jobs that failed or were blocked by one that did.
        seconds: Time of the jobs done now.
    """

    run_dir: Path
    num_done: int = 0
    num_skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run_recipe(
    recipe: Recipe, run_dir: Path, *, base: Path | None = None, reporter: Reporter | None = None
) -> RunSummary:
    """Returns how the run ended; modules, results and metrics lie in its folder.

    Args:
        recipe: What to do; data paths resolved.
        run_dir: The run's folder; a run that is there is continued or extended.
        base: Folder of the recipe, where relative task files are looked for.
        reporter: Told of progress.
    """
    return open_run(recipe, run_dir, base=base, reporter=reporter).run()


def open_run(recipe: Recipe, run_dir: Path, *, base: Path | None = None, reporter: Reporter | None = None) -> LocalRun:
    """Returns the run with its backbone loaded and its jobs planned; nothing is written or done.

    Args:
        recipe: What to do; data paths resolved.
        run_dir: The run's folder.
        base: Folder of the recipe, where relative task files are looked for.
        reporter: Told of progress, and of the jobs before they begin.
    """
    settings = recipe.backbone
    if recipe.deterministic:
        torch.use_deterministic_algorithms(True)
    backbone = Backbone.load(settings.name, dtype=settings.dtype, device=settings.device, revision=settings.revision)
    plan = make_plan(recipe, fingerprint=backbone.fingerprint, base=base)
    return LocalRun(recipe, backbone, plan, Ledger(run_dir), reporter or Silent())


class LocalRun:
    """One run in this process.

    Args:
        recipe: What to do.
        backbone: Loaded once for all jobs.
        plan: The recipe's jobs.
        ledger: The run's folder.
        reporter: Told of progress.
    """

    def __init__(self, recipe: Recipe, backbone: Backbone, plan: Plan, ledger: Ledger, reporter: Reporter) -> None:
        self.recipe = recipe
        self.plan = plan
        self.ledger = ledger
        self.reporter = reporter
        self.workshop = Workshop(recipe, backbone, ledger, reporter.progress)
        self.summary = RunSummary(ledger.run_dir)

    def run(self) -> RunSummary:
        """Returns how the run ended."""
        self.ledger.write_recipe(self.recipe.model_dump(mode="json"))
        done = self.done_before()
        self.reporter.plan(len(self.plan.jobs), len(done))
        self.summary.num_skipped = len(done)
        ended: dict[str, str] = dict.fromkeys(done, "done")
        phases: tuple[tuple[Sequence[Job], Callable[[list[Any]], None]], ...] = (
            (self.plan.languages, self.workshop.train_languages),
            (self.plan.tasks, self.workshop.train_tasks),
            (self.plan.cells, self.workshop.evaluate),
        )
        for jobs, do in phases:
            size = 1 if jobs is self.plan.cells else self.recipe.learners_at_once
            for group in self._groups([job for job in jobs if job.id not in ended], size):
                ready = [job for job in group if all(ended.get(p.id) == "done" for p in parents(job))]
                for job in group:
                    if job not in ready:
                        lost = next(p.name for p in parents(job) if ended.get(p.id) != "done")
                        self._end(job, {"status": "blocked", "error": f"{lost} failed"}, ended)
                if ready:
                    self._attempt(ready, do, ended)
        return self.summary

    def _attempt(self, jobs: list[Job], do: Callable[[list[Any]], None], ended: dict[str, str]) -> None:
        records = self.workshop.records
        for job in jobs:
            self.reporter.started(job)
        try:
            do(jobs)
        except Exception as error:  # a job's boundary: the others must go on, the traceback is kept
            logger.debug("job failed", exc_info=True)
            if len(jobs) > 1:  # one of them is at fault: alone, the others succeed
                for job in jobs:
                    self._attempt([job], do, ended)
                return
            said = str(error) if isinstance(error, LingportError) else f"{type(error).__name__}: {error}"
            for job in jobs:
                if job.id not in records:
                    records[job.id] = {"status": "failed", "error": said, "traceback": traceback.format_exc()}
        for job in jobs:
            self._end(job, records[job.id], ended)

    def _end(self, job: Job, record: dict[str, Any], ended: dict[str, str]) -> None:
        ended[job.id] = record["status"]
        row = {"job": job.id, "phase": job.phase, "name": job.name, "error": None, **record}
        self.ledger.add_job(row)
        if record["status"] == "done":
            self.summary.num_done += 1
            self.summary.seconds += record["seconds"]
        else:
            self.summary.failed[job.name] = record["error"]
            if isinstance(job, CellJob):
                self.ledger.add_result({**coordinates(job), "status": "failed", "error": record["error"]})
        self.reporter.ended(job, row)

    def done_before(self) -> set[str]:
        """Returns the ids of the jobs that need not be done again."""
        records, results = self.ledger.jobs(), self.ledger.results()
        done = set()
        for job in self.plan.jobs:
            if records.get(job.id, {}).get("status") != "done":
                continue
            if isinstance(job, CellJob):
                is_there = results.get(job.id, {}).get("status") == "done"
            else:
                is_there = module_job(self.ledger.module_dir(job.name)) == job.id
            if is_there:
                done.add(job.id)
        return done

    def _groups(self, jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
        """Yields jobs that can be done in one pass: trained alike, at most `size` at once."""
        waiting = list(jobs)
        while waiting:
            training = getattr(waiting[0], "training", None)
            group = [job for job in waiting if getattr(job, "training", None) == training][:size]
            yield group
            waiting = [job for job in waiting if job not in group]
