"""What a job costs: time and peak memory of this process while it ran."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from lingport.backbones.heap import return_freed_memory

_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5): resets the peak resident set size


@dataclass
class Cost:
    """Filled in when the block ends.

    Attributes:
        seconds: Wall-clock time.
        peak_bytes: Peak memory: of the GPU where one is used, else of the process; None where it is not known.
    """

    seconds: float = 0.0
    peak_bytes: int | None = None


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Yields the cost of the block, complete when the block has ended."""
    cost = Cost()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _reset_peak()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        if on_gpu:
            torch.cuda.synchronize(device)
        cost.seconds = time.perf_counter() - start
        cost.peak_bytes = torch.cuda.max_memory_allocated(device) if on_gpu else _peak()


def _reset_peak() -> None:
    return_freed_memory()
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:  # not Linux, or not allowed: the peak is then that of the whole process
        return


def _peak() -> int | None:
    try:
        status = _STATUS.read_text()
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return int(line.split()[1]) * 1024 if line else None
