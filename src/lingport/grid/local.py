"""Several worker processes on this machine, each with its own copy of the backbone.

Not here: doing the jobs in the process that was started, which needs no executor.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import platform
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from lingport.errors import ConfigError, LingportError
from lingport.grid.executor import WorkerDiedError
from lingport.grid.worker import Assignment, Worker

# Threads and CUDA do not survive a fork.
_CONTEXT = multiprocessing.get_context("spawn")


class LocalExecutor:
    """Workers as processes of this machine; see `Executor`.

    Args:
        argument: Takes none.
        num_workers: None: one per GPU, or one per processor core where there is none.
    """

    def __init__(self, argument: str | None = None, *, num_workers: int | None = None) -> None:
        if argument is not None:
            raise ConfigError(f"local:{argument} says something after `local`", hint="--on local --workers 4")
        self._num_gpus = torch.cuda.device_count()
        self._num_workers = num_workers or self._num_gpus or os.cpu_count() or 1
        self._processes: dict[int, tuple[BaseProcess, Connection]] = {}

    def open(self, assignment: Assignment) -> int:
        """Returns the number of workers; see `Executor`."""
        self._assignment = assignment
        if assignment.num_threads is None:
            share = max(1, (os.cpu_count() or 1) // self._num_workers)
            self._assignment = dataclasses.replace(assignment, num_threads=share)
        return self._num_workers

    def start(self, place: int) -> str:
        """Starts a process; see `Executor`."""
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        gpu = place % self._num_gpus if self._num_gpus else None
        process = _CONTEXT.Process(target=_work, args=(self._assignment.to_dict(), theirs, gpu), daemon=True)
        process.start()
        theirs.close()
        self._processes[place] = (process, ours)
        return f"{platform.node()}-{process.pid}"

    def has_ended(self, place: int) -> bool:
        """Returns whether the process has ended well; see `Executor`."""
        process, messages = self._processes[place]
        if process.is_alive():
            return False
        process.join()
        if process.exitcode == 0:
            return True
        name = f"{platform.node()}-{process.pid}"
        try:
            raise LingportError(messages.recv())
        except EOFError:
            raise WorkerDiedError(f"the worker {name} died with exit code {process.exitcode}") from None

    def close(self) -> None:
        """Stops the processes that are left; see `Executor`."""
        for process, messages in self._processes.values():
            process.terminate()
            process.join()
            messages.close()


def _work(assignment: dict[str, Any], messages: Connection, gpu: int | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    try:
        Worker.assigned(Assignment(**assignment), name=f"{platform.node()}-{os.getpid()}").work()
    except LingportError as error:
        messages.send(str(error))
        raise SystemExit(1) from error


def _end_with_parent() -> None:
    # A killed parent cannot stop its workers; nobody expects them to go on without it.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
