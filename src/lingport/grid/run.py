"""A run from its recipe: plan it, say what is missing, have it done by this process or by workers elsewhere.

Not here: doing jobs (`worker.py`), and placing workers (`executor.py`).
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from lingport.backbones.base import Backbone
from lingport.config.schema import Recipe
from lingport.grid.board import Board, finished
from lingport.grid.executor import Executor, keep_working, make_executor
from lingport.grid.follow import Follower, Reporter, RunSummary, Silent
from lingport.grid.jobs import CellJob, Plan, parents
from lingport.grid.ledger import Ledger
from lingport.grid.pins import pinned
from lingport.grid.plan import make_plan
from lingport.grid.work import coordinates, trains_alone
from lingport.grid.worker import Assignment, Worker, load_backbone, session_start


def run_recipe(
    recipe: Recipe,
    run_dir: Path,
    *,
    base: Path | None = None,
    reporter: Reporter | None = None,
    on: str | None = None,
    num_workers: int | None = None,
) -> RunSummary:
    """Returns how the run ended; modules, results and metrics lie in its folder.

    Args:
        recipe: What to do; data paths resolved.
        run_dir: The run's folder; a run that is there is continued or extended.
        base: Folder of the recipe, where relative task files are looked for.
        reporter: Told of progress.
        on: Where: `local`, `ray:address`, `slurm:key=value,...`; None: in this process.
        num_workers: How many worker processes; None: as many as there is room for. Without `on` there is one.
    """
    return open_run(recipe, run_dir, base=base, reporter=reporter, on=on, num_workers=num_workers).run()


def open_run(
    recipe: Recipe,
    run_dir: Path,
    *,
    base: Path | None = None,
    reporter: Reporter | None = None,
    on: str | None = None,
    num_workers: int | None = None,
) -> Run:
    """Returns the run with its jobs planned; none is done. Arguments are those of `run_recipe`."""
    recipe = pinned(recipe, run_dir)
    executor = make_executor(on, num_workers=num_workers) if on else None
    # Workers elsewhere load their own: here it is only looked at, and no accelerator is taken from them.
    backbone = load_backbone(recipe, device="cpu" if on else None)
    plan = make_plan(recipe, fingerprint=backbone.fingerprint, base=base)
    return Run(recipe, plan, Ledger(run_dir), backbone, base, reporter or Silent(), executor)


@dataclass
class Run:
    """A planned run.

    Attributes:
        recipe: What to do.
        plan: Its jobs.
        ledger: Its folder.
        backbone: What it was planned with.
        base: Folder of the recipe.
        reporter: Told of progress.
        executor: Brings workers to it; None: it is done in this process.
    """

    recipe: Recipe
    plan: Plan
    ledger: Ledger
    backbone: Backbone
    base: Path | None
    reporter: Reporter
    executor: Executor | None = None

    def done_before(self) -> set[str]:
        """Returns the ids of the jobs that need not be done again."""
        return finished(self.plan, self.ledger)

    def run(self) -> RunSummary:
        """Returns how the run ended."""
        self._write_plan()
        since = session_start(self.ledger)
        done = self.done_before()
        board = Board(
            self.plan,
            self.ledger,
            done=done,
            since=since,
            learners_at_once=self.recipe.learners_at_once,
            alone=trains_alone(self.backbone),
        )
        board.settle()
        self.reporter.plan(len(self.plan.jobs), len(done))
        own = f"{platform.node()}-{os.getpid()}"
        follower = Follower(board, self.reporter, own=own)
        follower.summary.num_skipped = len(done)
        if board.is_over:
            return follower.summary
        if self.executor is None:
            Worker(self.recipe, self.backbone, board, name=own, listener=follower).work()
        else:
            keep_working(self.executor, self._assignment(since), board, follower)
        return follower.summary

    def _assignment(self, since: int) -> Assignment:
        return Assignment(
            recipe=self.recipe.model_dump(mode="json"),
            run_dir=str(self.ledger.run_dir.absolute()),
            base=str(self.base.absolute()) if self.base else None,
            fingerprint=self.backbone.fingerprint,
            since=since,
            # Sums in another order have other bits: as many threads as a run in this process would have.
            num_threads=torch.get_num_threads() if self.recipe.deterministic else None,
        )

    def _write_plan(self) -> None:
        self.ledger.write_recipe(self.recipe.model_dump(mode="json"))
        named = self.recipe.backbone
        self.ledger.write_backbone(
            {"name": named.name, "revision": named.revision, "fingerprint": self.backbone.fingerprint}
        )
        self.ledger.write_plan(
            [
                {
                    **(coordinates(job) if isinstance(job, CellJob) else {}),
                    "job": job.id,
                    "phase": job.phase,
                    "name": job.name,
                    "needs": [each.id for each in parents(job)],
                }
                for job in self.plan.jobs
            ]
        )
        tasks = {cell.task.name: cell.task.task.config for cell in self.plan.cells}
        self.ledger.write_tasks({name: each.model_dump(mode="json") for name, each in tasks.items()})
