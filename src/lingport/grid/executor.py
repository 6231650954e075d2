"""Bringing workers to a run: one small contract for this process, a Ray cluster, and Slurm.

An executor places workers and says when one is gone. Which jobs a worker does, it takes from the board itself.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

from lingport.errors import LingportError
from lingport.grid.board import Board
from lingport.grid.follow import Follower
from lingport.grid.worker import Assignment
from lingport.registry import Registry

logger = logging.getLogger(__name__)

#: seconds between two looks at the workers
_LOOK_S = 0.5
#: seconds that workers have to end by themselves when nothing is left to do
_LEAVE_S = 2.0
#: a worker may die as often as there are workers, and so often more, without any job coming to its end in between
_SPARE_DEATHS = 3


class WorkerDiedError(LingportError):
    """A worker's process ended without having finished; another takes its place."""


class Executor(Protocol):
    """Places workers. `open` comes first, then `start` for each place; a place whose worker died is started again.

    Args:
        argument: What the user wrote after the name: `ray:address`.
        num_workers: How many workers; None: the executor's choice.
    """

    def __init__(self, argument: str | None = None, *, num_workers: int | None = None) -> None: ...

    def open(self, assignment: Assignment) -> int:
        """Returns how many workers there shall be, with everything ready to start them."""
        ...

    def start(self, place: int) -> str:
        """Starts the worker of a place, 0 to the number of workers minus one; returns its name."""
        ...

    def has_ended(self, place: int) -> bool:
        """Returns whether the worker of a place has nothing left to do.

        Raises:
            WorkerDiedError: Its process is gone before that.
            LingportError: It cannot work.
        """
        ...

    def close(self) -> None:
        """Lets go of everything; workers that are still there are stopped."""
        ...


EXECUTORS: Registry[type[Executor]] = Registry(
    "executor",
    {
        "local": "lingport.grid.local:LocalExecutor",
        "ray": "lingport.grid.ray:RayExecutor",
        "slurm": "lingport.grid.slurm:SlurmExecutor",
    },
)


def make_executor(on: str, *, num_workers: int | None = None) -> Executor:
    """Returns the executor that a user names: `local`, `ray`, `ray:address`, `slurm:key=value,...`.

    Raises:
        UnknownNameError: There is none of that name.
        ConfigError: What follows the name is not what it takes.
    """
    name, _, argument = on.partition(":")
    return EXECUTORS.get(name)(argument or None, num_workers=num_workers)


def keep_working(executor: Executor, assignment: Assignment, board: Board, follower: Follower) -> None:
    """Brings workers to a run and replaces those that die, until all jobs have ended.

    Raises:
        LingportError: No worker can work, or they die again and again.
    """
    try:
        num_workers = executor.open(assignment)
        names = {place: executor.start(place) for place in range(num_workers)}
        deaths, num_ended, last = 0, len(board.ended), None
        leave_at = float("inf")
        while names and time.monotonic() < leave_at:
            for place, name in list(names.items()):
                try:
                    if executor.has_ended(place):
                        del names[place]
                except WorkerDiedError as error:
                    board.free(name)
                    deaths = deaths + 1 if len(board.ended) == num_ended else 1
                    num_ended = len(board.ended)
                    if deaths > num_workers + _SPARE_DEATHS:
                        raise
                    logger.warning("%s; another takes its place", error)
                    names[place] = executor.start(place)
                except LingportError as error:
                    logger.warning("the worker %s stops: %s", name, error)
                    del names[place]
                    last = error
            follower.look()
            if board.is_over and leave_at == float("inf"):  # one that is only starting need not be waited for
                leave_at = time.monotonic() + _LEAVE_S
            time.sleep(_LOOK_S)
        if last is not None and not board.is_over:
            raise last
    finally:
        executor.close()
