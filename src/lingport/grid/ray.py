"""Workers as actors of a Ray cluster. Ray places them and tells of their deaths; the run folder, which all nodes must
share, says which jobs there are.

Nothing is sent through Ray but the assignment: no object store, no dashboard, no usage statistics.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
import uuid
from contextlib import ExitStack, redirect_stdout
from typing import Any

from lingport.errors import ConfigError, LingportError
from lingport.grid.executor import WorkerDiedError
from lingport.grid.worker import Assignment, Worker

# The least that Ray takes; all that goes through it are a few settings.
_OBJECT_STORE_BYTES = 80 * 2**20
_CONNECT_S = 20.0


class RayExecutor:
    """Workers as actors, each with a GPU where the cluster has any; see `Executor`.

    Args:
        argument: Address of a cluster (`auto`: the one of this machine); None: RAY_ADDRESS, else a cluster of this
            machine's own, which ends with the run.
        num_workers: None: one per GPU, or one per core where there is none.
    """

    def __init__(self, argument: str | None = None, *, num_workers: int | None = None) -> None:
        self._ray = _library()
        self._address = argument or os.environ.get("RAY_ADDRESS") or "local"
        self._num_workers = num_workers
        self._session = f"ray-{uuid.uuid4().hex[:8]}"
        self._actors: dict[int, Any] = {}
        self._calls: dict[int, Any] = {}
        self._num_started = 0
        self._output = ExitStack()

    def open(self, assignment: Assignment) -> int:
        """Returns the number of workers; see `Executor`.

        Raises:
            ConfigError: There is no cluster at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _look_for(self._address)
        # Ray tells of dead workers on standard output, which belongs to the answer.
        self._output.enter_context(redirect_stdout(sys.stderr))
        own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        try:
            self._ray.init(
                self._address,
                configure_logging=False,
                log_to_driver=False,
                **(own if self._address == "local" else {}),
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_cluster(self._address, error) from error
        resources = self._ray.cluster_resources()
        cores, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
        threads = assignment.num_threads or 1
        number = self._num_workers or gpus or max(1, cores // threads)
        share = cores / number
        # A share of a core is allowed, a core and a half is not.
        needs = {"num_cpus": int(share) if share >= 1 else share, "num_gpus": min(1, gpus / number)}
        if assignment.num_threads is None:
            assignment = dataclasses.replace(assignment, num_threads=max(1, int(share)))
        self._assignment = assignment.to_dict()
        self._actor = self._ray.remote(_Actor).options(**needs)
        return number

    def start(self, place: int) -> str:
        """Starts an actor; see `Executor`."""
        self._num_started += 1
        name = f"{self._session}-{self._num_started}"
        self._actors[place] = self._actor.remote()
        self._calls[place] = self._actors[place].work.remote(self._assignment, name)
        return name

    def has_ended(self, place: int) -> bool:
        """Returns whether the actor has nothing left to do; see `Executor`."""
        ready, _ = self._ray.wait([self._calls[place]], timeout=0)
        if not ready:
            return False
        try:
            self._ray.get(self._calls[place])
        except self._ray.exceptions.RayActorError as error:
            raise WorkerDiedError(f"a worker of Ray died: {str(error).splitlines()[0]}") from error
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, LingportError) else LingportError(f"a worker failed: {cause}") from error
        self._ray.kill(self._actors[place])
        return True

    def close(self) -> None:
        """Leaves the cluster, and its actors end; see `Executor`."""
        self._ray.shutdown()
        self._output.close()


class _Actor:
    """A process of the cluster."""

    def work(self, assignment: dict[str, Any], name: str) -> None:
        """Does jobs until none is left."""
        Worker.assigned(Assignment(**assignment), name=name).work()


def _look_for(address: str) -> None:
    """Passes if something listens at `host:port`; Ray itself would try for many minutes.

    Raises:
        ConfigError: Nothing does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"no Ray cluster answers at {address!r}: {error}",
        hint="start one with `ray start --head`, or say `--on ray` for one of this machine's own; one that wants a "
        "token wants RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here too",
    )


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "`--on ray` needs Ray, which is not installed", hint="pip install 'lingport[ray]' on all machines"
        ) from error
    return ray
