"""Tells a reporter what happens in a run, whoever does its jobs, and sums it up.

Not here: showing it (`lingport.cli.progress`), and looking at a run from outside (`status.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lingport.grid.board import Board
from lingport.grid.jobs import Job


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
        seconds: Time of the jobs done now, on all machines together.
    """

    run_dir: Path
    num_done: int = 0
    num_skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Follower:
    """Looks at a run's board, and tells what is new. Also a worker's listener, where the worker is this process.

    Args:
        board: The run's.
        reporter: Told of it.
        own: Name of this process's own worker, which tells of its jobs itself.
    """

    def __init__(self, board: Board, reporter: Reporter, *, own: str | None = None) -> None:
        self.summary = RunSummary(board.ledger.run_dir)
        self._board = board
        self._reporter = reporter
        self._own = own
        self._jobs = {job.id: job for job in board.plan.jobs}
        self._told: dict[str, tuple[int, str]] = {}

    def started(self, job: Job) -> None:
        """A job of this process begins."""
        self._told[job.id] = (0, "")
        self._reporter.started(job)

    def progress(self, job: Job, done: int, total: int, message: str) -> None:
        """A job of this process has made so many of its steps or rows."""
        self._reporter.progress(job, done, total, message)

    def look(self) -> None:
        """Tells what has ended, and of others' jobs how far they are."""
        for record in self._board.news():
            self._end(self._jobs[record["job"]], record)
        for worker in self._board.workers():
            if worker.name == self._own:
                continue
            for job_id, how_far in worker.jobs.items():
                job = self._jobs.get(job_id)
                if job is not None and job_id not in self._board.ended:
                    self._follow(job, how_far["done"], how_far["total"], how_far["message"])

    def _follow(self, job: Job, done: int, total: int, message: str) -> None:
        if job.id not in self._told:
            self.started(job)
        if done and self._told[job.id] != (done, message):
            self._told[job.id] = (done, message)
            self._reporter.progress(job, done, total, message)

    def _end(self, job: Job, record: dict[str, Any]) -> None:
        if record["status"] == "done":
            self.summary.num_done += 1
            self.summary.seconds += record["seconds"]
            self.summary.failed.pop(job.name, None)
        else:
            self.summary.failed[job.name] = record["error"]
        self._reporter.ended(job, record)
