"""Which jobs of a run are open, and who may do them: workers of any number, on any machine, take jobs from here.

The run folder is the only truth. A worker takes jobs under the ledger's lock, says in its own file that it holds
them, and appends how they ended; whoever looks next sees it. Not here: doing jobs (`worker.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import ceil

from lingport.grid.jobs import CellJob, Job, LanguageJob, Plan, TaskJob, parents
from lingport.grid.ledger import JOBS, Ledger, Row, Tail
from lingport.grid.presence import Presence, Sign, Watch, signs
from lingport.grid.ready import OpenJobs
from lingport.grid.work import cell_record, coordinates, module_job

#: a job whose worker died so often is not tried again in this run
MAX_LOSSES = 4
#: status of a job whose worker died: it is open again
LOST = "lost"
#: most cells that a worker takes at once
CELLS_AT_ONCE = 32
# Enough to choose from; with thousands of jobs that can begin, looking at all would take the time of a job.
_MOST_LOOKED_AT = 256


class Board:
    """The open jobs of a run, as one process knows them.

    Args:
        plan: What the run is asked for.
        ledger: The run's folder.
        done: Ids of the jobs that need not be done again.
        since: Where this session begins in the list of ended jobs, in bytes: what failed before is tried again.
        learners_at_once: Most modules that a worker trains in one pass.
        alone: Whether a job's module cannot be trained in one pass with others.

    Attributes:
        ended: Job id -> `done`, `failed` or `blocked`.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        *,
        done: set[str],
        since: int,
        learners_at_once: int = 1,
        alone: Callable[[LanguageJob | TaskJob], bool] = lambda job: False,
    ) -> None:
        self.plan = plan
        self.ledger = ledger
        self.ended = dict.fromkeys(done, "done")
        self._open = OpenJobs(plan.jobs, done=done)
        self._needs = {job.id: [parent.id for parent in parents(job)] for job in plan.jobs}
        self._names = {job.id: job.name for job in plan.jobs}
        self._tail = Tail(ledger.run_dir / JOBS, offset=since)
        self._watch = Watch(ledger)
        self._losses: Counter[str] = Counter()
        self._news: list[Row] = []
        self._is_broken = False  # a job has failed, and its dependants have not been told
        self._learners_at_once = learners_at_once
        self._alone = alone

    @property
    def is_over(self) -> bool:
        """Whether all jobs have ended."""
        return not self._open

    def news(self) -> list[Row]:
        """Returns the records of jobs of this plan that have ended since the last call, whoever did them."""
        self._look()
        news, self._news = self._news, []
        return news

    def workers(self) -> list[Sign]:
        """Returns what the living workers say of themselves."""
        return self._watch.workers()[0]

    def take(self, presence: Presence) -> list[Job]:
        """Returns jobs that the worker now holds and that can be done in one pass; none if it must wait.

        Raises:
            SupersededError: The worker was thought dead.
        """
        with self.ledger.lock():
            self._look()
            living, dead = self._watch.workers()
            self._free_jobs_of(dead)
            self._block()
            held = {job_id for worker in living for job_id in worker.jobs}
            ready = list(islice((job for job in self._open.ready() if job.id not in held), _MOST_LOOKED_AT))
            if not ready:
                return []
            group = self._group(ready, num_workers=len(living))
            presence.hold((job.id, job.name) for job in group)
            return group

    def record(self, presence: Presence, jobs: Sequence[Row], results: Sequence[Row]) -> None:
        """Appends how jobs of a worker ended, and lets go of them.

        Raises:
            SupersededError: The worker was thought dead: nothing is recorded, others do the jobs.
        """
        with self.ledger.lock():
            presence.insist()
            # Results first: a process killed in between leaves a result without its job's record, and it is the
            # result that counts (`finished`, `settle`).
            self.ledger.add_results(*results)
            self.ledger.add_jobs(*jobs)
            presence.release(row["job"] for row in jobs)
        self.ledger.sync()

    def free(self, name: str) -> None:
        """Gives back the jobs of a worker that is known to be dead."""
        with self.ledger.lock():
            self._free_jobs_of(sign for sign in signs(self.ledger) if sign.name == name)

    def settle(self) -> None:
        """Records the jobs of cells whose result is there and whose job's record was never written.

        A sweep that came to the recipe since says where in it a cell lies that was there before.
        """
        with self.ledger.lock():
            records, results = self.ledger.jobs(), self.ledger.results()
            cells = [job for job in self.plan.cells if self.ended.get(job.id) == "done"]
            placed = [{**results[job.id], **coordinates(job)} for job in cells]
            self.ledger.add_results(*(row for row in placed if row != results[row["cell"]]))
            lacking = [job for job in cells if records.get(job.id, {}).get("status") != "done"]
            self.ledger.add_jobs(*(job_row(job, cell_record(results[job.id])) for job in lacking))

    def _look(self) -> None:
        for row in self._tail.rows():
            job_id, status = row["job"], row["status"]
            if status == LOST:
                self._losses[job_id] += 1
            elif job_id in self._open or self.ended.get(job_id) in ("failed", "blocked"):
                self.ended[job_id] = status
                self._open.end(job_id, is_done=status == "done")
                self._news.append(row)
                self._is_broken |= status != "done"

    def _block(self) -> None:
        """Ends the jobs whose parents did not come to be; parents stand before their dependants."""
        if not self._is_broken:
            return
        lost: dict[str, str] = {}
        for job in self._open:
            gone = (p for p in self._needs[job.id] if p in lost or self.ended.get(p) in ("failed", "blocked"))
            if (parent := next(gone, None)) is not None:
                lost[job.id] = f"{self._names[parent]} failed"
        self._end("blocked", lost)
        self._is_broken = False

    def _free_jobs_of(self, dead: Iterable[Sign]) -> None:
        for sign in dead:
            self._watch.forget(sign)
            results = self.ledger.results() if sign.jobs else {}
            rows: list[Row] = []
            hopeless: dict[str, str] = {}
            for job in (self._open[job_id] for job_id in sign.jobs if job_id in self._open):
                if results.get(job.id, {}).get("status") == "done":  # it died between the two records
                    rows.append(job_row(job, cell_record(results[job.id])))
                    continue
                why = f"its worker {sign.name} on {sign.host} died"
                rows.append(job_row(job, {"status": LOST, "error": why}))
                if self._losses[job.id] + 1 >= MAX_LOSSES:
                    often = f"{why}, as did {MAX_LOSSES - 1} before it"
                    hopeless[job.id] = f"{often}; perhaps there is too little memory"
            self.ledger.add_jobs(*rows)
            self._end("failed", hopeless)

    def _end(self, status: str, errors: dict[str, str]) -> None:
        jobs = [(self._open[job_id], error) for job_id, error in errors.items()]
        self.ledger.add_results(*(row for job, error in jobs for row in failed_result(job, error)))
        self.ledger.add_jobs(*(job_row(job, {"status": status, "error": error}) for job, error in jobs))
        self._look()

    def _group(self, ready: list[Job], *, num_workers: int) -> list[Job]:
        """Returns what one worker does in one go: jobs that are alike, no more than its share of them."""
        first = ready[0]
        if self._losses[first.id]:  # perhaps it is what kills workers: alone, it takes no others with it
            return [first]
        if isinstance(first, CellJob):
            cells = [job for job in ready if isinstance(job, CellJob)]
            # Cells on the same test data stand together: the data are read and cut into tokens once.
            alike, most = sorted(cells, key=lambda cell: _data(cell) != _data(first)), CELLS_AT_ONCE
        else:
            # Only what is trained alike can be trained in one pass.
            trained = [job for job in ready if not isinstance(job, CellJob) and job.phase == first.phase]
            alike = [job for job in trained if job.training == first.training]
            most = 1 if self._alone(first) else self._learners_at_once
        # Shares that shrink towards the end, so that no worker is left with many when the others have none
        # (guided self-scheduling, Polychronopoulos and Kuck 1987).
        share = len(alike) if num_workers <= 1 else ceil(len(alike) / (2 * num_workers))
        size = min(most, share)
        return [job for job in alike if not self._losses[job.id]][:size]


def finished(plan: Plan, ledger: Ledger) -> set[str]:
    """Returns the ids of the jobs that need not be done again: whose module or result is there."""
    records, results = ledger.jobs(), ledger.results()
    done = set()
    for job in plan.jobs:
        if isinstance(job, CellJob):
            found = results.get(job.id, {})
            is_there = found.get("status") == "done" and found["name"] == job.name
        else:
            recorded = records.get(job.id, {}).get("status") == "done"
            is_there = recorded and module_job(ledger.module_dir(job.name)) == job.id
        if is_there:
            done.add(job.id)
    return done


def job_row(job: Job, record: Row) -> Row:
    """Returns how a job ended, as it is recorded."""
    return {"job": job.id, "phase": job.phase, "name": job.name, "error": None, **record}


def failed_result(job: Job, error: str) -> list[Row]:
    """Returns the result of a cell that could not be evaluated; nothing for other jobs."""
    return [{**coordinates(job), "status": "failed", "error": error}] if isinstance(job, CellJob) else []


def _data(cell: CellJob) -> tuple[str, str]:
    return cell.task.name, cell.target
