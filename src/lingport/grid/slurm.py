"""Workers as jobs of Slurm, through submitit. Slurm places them; the run folder, which all nodes must share, says which
jobs there are. A worker whose time is up is submitted again.

Submitit keeps files of its own (what it calls, and logs) in the run's folder `slurm`; nothing of them is read here.
"""

from __future__ import annotations

import shutil
import time
import uuid
from typing import Any

import yaml

from lingport.errors import ConfigError, LingportError
from lingport.grid.executor import WorkerDiedError
from lingport.grid.worker import Assignment, Worker

#: what is asked for where the user says nothing; submitit's own default is five minutes
_USUAL = {"name": "lingport", "timeout_min": 24 * 60, "cpus_per_task": 4}
#: seconds that a cancelled job has to go
_CANCEL_S = 5.0


class SlurmExecutor:
    """Workers as submitted jobs; see `Executor`.

    Args:
        argument: What submitit shall ask for: `timeout_min=600,gpus_per_node=1,slurm_partition=gpu`. With
            `cluster=local` the jobs are processes of this machine: for trying.
        num_workers: None: one.
    """

    def __init__(self, argument: str | None = None, *, num_workers: int | None = None) -> None:
        self._submitit = _library()
        self._asked = _USUAL | _parameters(argument)
        self._cluster = self._asked.pop("cluster", "slurm")
        if self._cluster == "slurm" and shutil.which("srun") is None:
            raise ConfigError("there is no Slurm on this machine: `srun` is missing", hint="see docs/cluster.md")
        self._num_workers = num_workers or 1
        self._session = f"slurm-{uuid.uuid4().hex[:8]}"
        self._jobs: dict[int, Any] = {}
        self._num_started = 0

    def open(self, assignment: Assignment) -> int:
        """Returns the number of workers; see `Executor`.

        Raises:
            ConfigError: There is no Slurm here, or it is asked for something that submitit does not know.
        """
        self._assignment = assignment.to_dict()
        try:
            self._executor = self._submitit.AutoExecutor(f"{assignment.run_dir}/slurm", cluster=self._cluster)
            self._executor.update_parameters(**self._asked)
        except (NameError, ValueError, TypeError, RuntimeError) as error:
            raise ConfigError(
                f"submitit refuses {self._asked}: {error}", where="--on slurm", hint="see docs/cluster.md"
            ) from error
        return self._num_workers

    def start(self, place: int) -> str:
        """Submits a worker; see `Executor`."""
        self._num_started += 1
        name = f"{self._session}-{self._num_started}"
        self._jobs[place] = self._executor.submit(_work, self._assignment, name)
        return name

    def has_ended(self, place: int) -> bool:
        """Returns whether the worker has nothing left to do; see `Executor`."""
        job = self._jobs[place]
        if not job.done():
            return False
        error = job.exception()
        if error is None:
            return True
        what = f"the Slurm job {job.job_id}"
        if isinstance(error, self._submitit.core.utils.FailedJobError):
            raise LingportError(f"{what} failed: {error}", where=str(job.paths.stderr))
        raise WorkerDiedError(f"{what} ended before its time", where=str(job.paths.stderr)) from error

    def close(self) -> None:
        """Cancels what is still there; see `Executor`."""
        left = [job for job in self._jobs.values() if not job.done()]
        for job in left:
            job.cancel()
        deadline = time.monotonic() + _CANCEL_S
        while not all(job.done() for job in left) and time.monotonic() < deadline:
            time.sleep(0.1)


def _work(assignment: dict[str, Any], name: str) -> None:
    Worker.assigned(Assignment(**assignment), name=name).work()


def _parameters(argument: str | None) -> dict[str, Any]:
    found = {}
    for part in argument.split(",") if argument else ():
        key, is_said, value = part.partition("=")
        if not is_said:
            raise ConfigError(f"{part!r} is not key=value", where="--on slurm", hint="slurm:timeout_min=600")
        found[key.strip()] = yaml.safe_load(value)
    return found


def _library() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "`--on slurm` needs submitit, which is not installed", hint="pip install 'lingport[slurm]'"
        ) from error
    return submitit
