"""One process that does a run's jobs: takes some from the board, does them, records how they ended, until none is left.

It holds one backbone for all of them. Any number of workers may be at one run, on any machines that share its folder;
that a job fails is recorded, and the worker goes on. Not here: bringing workers to machines (`local`, `ray`, `slurm`).
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import torch

from lingport.backbones.base import Backbone
from lingport.config.schema import Recipe
from lingport.errors import ConfigError, LingportError
from lingport.grid.board import Board, failed_result, finished, job_row
from lingport.grid.jobs import CellJob, Job, LanguageJob, Plan, TaskJob
from lingport.grid.ledger import JOBS, Ledger, Row
from lingport.grid.plan import make_plan
from lingport.grid.presence import Presence, SupersededError
from lingport.grid.work import Workshop, trains_alone

logger = logging.getLogger(__name__)

#: seconds between two looks for work when there is none
_WAIT_S = 0.2
#: seconds of work that a killed worker may lose: what is done is recorded as often
_RECORD_S = 1.0


class Listener(Protocol):
    """Told of a worker's own jobs while it does them."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def progress(self, job: Job, done: int, total: int, message: str) -> None:
        """A job has made so many of its steps or rows."""

    def look(self) -> None:
        """Jobs have ended, here or elsewhere, or the worker waits."""


@dataclass(frozen=True)
class Assignment:
    """What a worker process must know, in values that JSON can say.

    Attributes:
        recipe: The resolved recipe.
        run_dir: The run's folder.
        base: Folder of the recipe, for task files.
        fingerprint: Of the backbone that the run was planned with.
        since: Where the session begins in the list of ended jobs, in bytes.
        num_threads: Threads of torch; None: its own choice.
    """

    recipe: dict[str, Any]
    run_dir: str
    base: str | None
    fingerprint: str
    since: int
    num_threads: int | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the same as a dictionary."""
        return asdict(self)


class Worker:
    """Does jobs in this process.

    Args:
        recipe: What they are part of.
        backbone: Loaded once for all.
        board: Where jobs are taken from.
        name: Of this worker, unlike that of any other that is at the run now.
        listener: Told what goes on.
    """

    def __init__(
        self, recipe: Recipe, backbone: Backbone, board: Board, *, name: str, listener: Listener | None = None
    ) -> None:
        self.board = board
        self.listener = listener
        self.workshop = Workshop(recipe, backbone, board.ledger, self._progress)
        self.presence = Presence(board.ledger, name)
        self._jobs_s = self._since = 0.0

    @classmethod
    def assigned(cls, assignment: Assignment, *, name: str) -> Self:
        """Returns a worker in a process of its own, its backbone loaded and its jobs planned.

        Raises:
            ConfigError: This machine sees another backbone than the one that the run was planned with.
        """
        if assignment.num_threads is not None:
            torch.set_num_threads(assignment.num_threads)
        recipe = Recipe.model_validate(assignment.recipe)
        backbone = load_backbone(recipe)
        if backbone.fingerprint != assignment.fingerprint:
            raise ConfigError(
                f"the backbone {backbone.name!r} has other weights here than where the run was started",
                hint="give a path that all machines share, or a hub name with its revision",
            )
        base = Path(assignment.base) if assignment.base else None
        plan = make_plan(recipe, fingerprint=backbone.fingerprint, base=base)
        ledger = Ledger(Path(assignment.run_dir))
        check_same_plan(plan, ledger)
        board = Board(
            plan,
            ledger,
            done=finished(plan, ledger),
            since=assignment.since,
            learners_at_once=recipe.learners_at_once,
            alone=trains_alone(backbone),
        )
        return cls(recipe, backbone, board, name=name)

    def work(self) -> None:
        """Does jobs until all of the run's have ended, here or elsewhere.

        Raises:
            SupersededError: Other workers thought that this one was dead.
        """
        with self.presence:
            self._start_clock()
            while not self.board.is_over:
                asked = time.perf_counter()
                jobs = self.board.take(self.presence)
                if jobs:
                    self._attempt(jobs)
                elif not self.board.is_over:  # others are at the jobs that the rest need
                    time.sleep(_WAIT_S)
                    self._since += time.perf_counter() - asked
                if self.listener:
                    self.listener.look()

    def _attempt(self, jobs: Sequence[Job]) -> None:
        if self.listener:
            for job in jobs:
                self.listener.started(job)
        try:
            self._do_and_record(jobs)
        except SupersededError:
            raise
        except Exception as error:  # a job's boundary: the others must go on, the traceback is kept
            logger.debug("job failed", exc_info=True)
            left = [job for job in jobs if job.id in self.presence.sign.jobs]
            if len(jobs) > 1:  # one of them is at fault: alone, the others succeed
                for job in left:
                    self._attempt([job])
                return
            said = str(error) if isinstance(error, LingportError) else f"{type(error).__name__}: {error}"
            self.workshop.records[jobs[0].id] = {"status": "failed", "error": said, "traceback": traceback.format_exc()}
            self._record(jobs, failed_result(jobs[0], said))

    def _do_and_record(self, jobs: Sequence[Job]) -> None:
        done: list[Job] = []
        try:
            for part in self._do(jobs):
                done += part
                if time.perf_counter() - self._since > _RECORD_S:
                    self._record(done)
                    done = []
        finally:
            if done:
                self._record(done)

    def _do(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        """Does jobs of one phase; yields those whose records are there."""
        parts = self._parts(jobs)
        while True:
            start = time.perf_counter()
            try:
                part = next(parts, None)
            finally:
                self._jobs_s += time.perf_counter() - start
            if part is None:
                return
            yield part

    def _parts(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        if isinstance(jobs[0], CellJob):
            yield from self.workshop.evaluate([job for job in jobs if isinstance(job, CellJob)])
            return
        if isinstance(jobs[0], LanguageJob):
            self.workshop.train_languages([job for job in jobs if isinstance(job, LanguageJob)])
        else:
            self.workshop.train_tasks([job for job in jobs if isinstance(job, TaskJob)])
        yield jobs

    def _record(self, jobs: Sequence[Job], results: Sequence[Row] | None = None) -> None:
        if results is None:
            results = [self.workshop.results.pop(job.id) for job in jobs if isinstance(job, CellJob)]
        # Of the worker's time since the last record, what no job took went into scheduling.
        took, all_s = self._jobs_s, time.perf_counter() - self._since
        self._start_clock()
        share = {"took_s": round(took / len(jobs), 6), "scheduling_s": round((all_s - took) / len(jobs), 6)}
        rows = [job_row(job, {**self.workshop.records.pop(job.id), **share}) for job in jobs]
        self.board.record(self.presence, rows, results)

    def _start_clock(self) -> None:
        self._jobs_s, self._since = 0.0, time.perf_counter()

    def _progress(self, job: Job, done: int, total: int, message: str) -> None:
        self.presence.progress(job.id, done, total, message)
        if self.listener:
            self.listener.progress(job, done, total, message)


def load_backbone(recipe: Recipe, *, device: str | None = None) -> Backbone:
    """Returns the recipe's backbone; the process computes from now on as the recipe wants it."""
    if recipe.deterministic:
        torch.use_deterministic_algorithms(True)
    settings = recipe.backbone
    return Backbone.load(
        settings.name, dtype=settings.dtype, device=device or settings.device, revision=settings.revision
    )


def check_same_plan(plan: Plan, ledger: Ledger) -> None:
    """Passes if this process would do the same jobs as the one that started the run.

    Raises:
        ConfigError: It sees other data, or has another version of the program.
    """
    planned = {row["job"] for row in ledger.plan()}
    if planned != {job.id for job in plan.jobs}:
        raise ConfigError(
            "this worker's jobs are not those of the run: it reads other data, or is of another version",
            where=str(ledger.run_dir),
            hint="all machines need the same version of lingport, and the same data under the same paths",
        )


def session_start(ledger: Ledger) -> int:
    """Returns where in the list of ended jobs a session begins that starts now, in bytes."""
    file = ledger.run_dir / JOBS
    # The next append takes away a line that a killed process left half written.
    return file.read_bytes().rfind(b"\n") + 1 if file.exists() else 0
