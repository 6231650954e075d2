"""Which open jobs can begin now: those whose parents are all done, in the order of the plan.

Kept up to date as jobs end, since a worker asks after each job and there may be a hundred thousand. Not here: who does
them (`board.py`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from lingport.grid.jobs import Job, parents


class OpenJobs:
    """Jobs that have not ended.

    Args:
        jobs: All of a plan, parents before their dependants.
        done: Ids of those that are done.
    """

    def __init__(self, jobs: Sequence[Job], *, done: set[str]) -> None:
        self._place = {job.id: index for index, job in enumerate(jobs)}
        self._jobs = jobs
        self._open = {job.id: job for job in jobs if job.id not in done}
        self._lacking: dict[str, set[str]] = {}
        self._dependants: dict[str, list[str]] = {}
        for job in self._open.values():
            self._lacking[job.id] = {parent.id for parent in parents(job)} - done
            for parent in self._lacking[job.id]:
                self._dependants.setdefault(parent, []).append(job.id)
        self._ready = [self._place[job_id] for job_id, lacking in self._lacking.items() if not lacking]

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._open

    def __getitem__(self, job_id: str) -> Job:
        return self._open[job_id]

    def __iter__(self) -> Iterator[Job]:
        """All open jobs, parents first."""
        return iter(self._open.values())

    def ready(self) -> Iterator[Job]:
        """Yields those that can begin, in the order of the plan."""
        return (self._jobs[place] for place in self._ready)

    def end(self, job_id: str, *, is_done: bool) -> None:
        """A job has ended; if it is done, what waited for it alone can begin."""
        if self._open.pop(job_id, None) is not None:
            at = bisect_left(self._ready, self._place[job_id])
            if at < len(self._ready) and self._ready[at] == self._place[job_id]:
                del self._ready[at]
        if not is_done:
            return
        for dependant in self._dependants.pop(job_id, ()):
            self._lacking[dependant].discard(job_id)
            if dependant in self._open and not self._lacking[dependant]:
                insort(self._ready, self._place[dependant])
