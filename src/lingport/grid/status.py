"""How far a run is, seen from outside: from its folder alone, while others work on it or after they are gone.

Loads no backbone and reads no data. Not here: telling of it as it happens (`follow.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lingport.errors import DataError
from lingport.grid.ledger import Ledger, Row
from lingport.grid.presence import SILENT_S, Sign, is_gone, signs

#: what a job can be, in the order in which they are shown
STATES = ("running", "failed", "blocked", "waiting", "done")


@dataclass(frozen=True)
class JobState:
    """How far a job is.

    Attributes:
        name: Of the job.
        phase: `language`, `task` or `evaluate`.
        state: One of `STATES`; `blocked` is waiting for one that failed.
        reason: Why it is so, for people; empty for a job that is done.
    """

    name: str
    phase: str
    state: str
    reason: str


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        jobs: In the order of the plan.
        counts: State -> number of jobs.
        workers: Name, host and number of jobs of each living worker.
    """

    jobs: list[JobState]
    counts: dict[str, int]
    workers: list[Row]


def read_status(run_dir: Path) -> RunStatus:
    """Returns how far a run is.

    Raises:
        DataError: There is no run in the folder.
    """
    ledger = Ledger(run_dir)
    plan = ledger.plan()
    if not plan:
        raise DataError("no run here: plan.jsonl is missing", where=str(run_dir), hint="give the folder of a run")
    living = [sign for sign in signs(ledger) if is_alive(sign)]
    running = {job_id: (sign, job) for sign in living for job_id, job in sign.jobs.items()}
    records = ledger.jobs()
    jobs: list[JobState] = []
    known: dict[str, JobState] = {}
    for row in plan:
        state, reason = _state(row, records.get(row["job"]), running, known, ledger)
        known[row["job"]] = JobState(row["name"], row["phase"], state, reason)
        jobs.append(known[row["job"]])
    counted = Counter(job.state for job in jobs)
    workers = [{"name": sign.name, "host": sign.host, "pid": sign.pid, "jobs": len(sign.jobs)} for sign in living]
    return RunStatus(jobs, {state: counted[state] for state in STATES}, workers)


def is_alive(sign: Sign) -> bool:
    """Returns whether a worker has given a sign of life lately; clocks of machines must agree to some seconds."""
    return not is_gone(sign) and time.time() - sign.time < SILENT_S


def _state(
    row: Row,
    record: Row | None,
    running: Mapping[str, tuple[Sign, Row]],
    known: Mapping[str, JobState],
    ledger: Ledger,
) -> tuple[str, str]:
    ended = record["status"] if record else None
    if ended == "done":
        return "done", ""
    if row["job"] in running:
        sign, job = running[row["job"]]
        how_far = f"{job['done']:,} of {job['total']:,}, " if job["total"] else ""
        said = f"{job['message']}, " if job["message"] else ""
        return "running", f"{how_far}{said}on {sign.host} ({sign.name})"
    lacking = [known[parent] for parent in row["needs"] if known[parent].state != "done"]
    broken = next((parent for parent in lacking if parent.state in ("failed", "blocked")), None)
    if broken is not None:
        return "blocked", f"needs {broken.name}, which {'failed' if broken.state == 'failed' else 'is blocked'}"
    if record and ended == "failed":
        return "failed", str(record["error"])
    if lacking:
        names = ", ".join(f"{parent.name} ({parent.state})" for parent in lacking)
        return "waiting", f"needs {names}"
    if ledger.checkpoint(row["job"]).exists():
        return "waiting", "was interrupted; goes on from its checkpoint"
    return "waiting", f"{record['error']}; will be done again" if record and record["error"] else "for a worker"
