"""Starts the processes of one training on this machine, watches them, and says what ended them.

What torchrun does for a script, for a function. Not here: what they do together (`parallel.py`).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any

import torch
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage] - documented

from lingport.errors import LingportError, TrainingError
from lingport.train.parallel import PartnerLostError

_HOST = "127.0.0.1"
#: seconds that the others get to say what is wrong with them, once one has failed
_LAST_WORDS_S = 5.0
_INTERRUPTED = 130


def launch(work: Callable[..., None], *, processes: int, **arguments: Any) -> None:
    """Runs a function in several new processes that can join (`parallel.joined`), and waits for all of them.

    Args:
        work: Called in each process; a function of a module, since the new processes import it.
        processes: How many.
        arguments: What it is called with; plain data.

    Raises:
        LingportError: What the first process that failed raised.
        TrainingError: One died or failed in another way. The others are ended.
    """
    context = multiprocessing.get_context("spawn")
    store = TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)  # they meet here; a port nobody else has
    errors = context.SimpleQueue()
    threads = max(1, torch.get_num_threads() // processes)
    members = [
        context.Process(target=_member, args=(rank, processes, store.port, threads, work, arguments, errors))
        for rank in range(processes)
    ]
    try:
        for member in members:
            member.start()
        failed = _watch(members)
    finally:
        for member in members:
            if member.is_alive():
                member.kill()
            if member.pid is not None:
                member.join()
    if failed:
        said: dict[int, LingportError] = {}
        while not errors.empty():
            rank, error = errors.get()
            said[rank] = error
        raise _cause(failed, said, processes)


def _member(
    rank: int, size: int, port: int, threads: int, work: Callable[..., None], arguments: dict[str, Any], errors: Any
) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": _HOST,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # as torchrun says that the store is held by the one who started us
    }
    torch.set_num_threads(threads)
    try:
        work(**arguments)
    except LingportError as error:
        errors.put((rank, error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _watch(members: Sequence[Any]) -> dict[int, int]:
    """Returns rank -> exit code of those that failed; comes back soon after the first failure."""
    running = {member.sentinel: rank for rank, member in enumerate(members)}
    failed: dict[int, int] = {}
    while running:
        ended = wait(list(running), timeout=_LAST_WORDS_S if failed else None)
        if not ended:
            break
        for sentinel in ended:
            rank = running.pop(sentinel)  # type: ignore[call-overload]
            members[rank].join()
            if members[rank].exitcode:
                failed[rank] = members[rank].exitcode
    return failed


def _cause(failed: dict[int, int], said: dict[int, LingportError], size: int) -> LingportError:
    own = {rank: error for rank, error in said.items() if not isinstance(error, PartnerLostError)}
    if own:  # an error of the input or the training: as one process would have raised it
        return own[min(own)]
    dumb = [rank for rank in failed if rank not in said]
    if not dumb:
        return said[min(said)]
    code = failed[dumb[0]]
    if code < 0:
        told = f"was killed ({signal.Signals(-code).name}{': perhaps the memory ran out' * (code == -signal.SIGKILL)})"
    else:
        told = f"ended with exit code {code}; what it said stands above"
    return TrainingError(
        f"process {dumb[0] + 1} of {size} {told}",
        hint="the same command again goes on from the last checkpoint",
    )
