"""What the sides of the benchmark say to the one who measures: a line of JSON for each step, and one in return.

Used by our side and, as a script's neighbour, by those of other libraries: imports nothing but torch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Rows = list[tuple[list[int], list[int]]]


class ProcessMemory:
    """Bytes of this process by the kernel's count, proc(5)."""

    def reset(self) -> None:
        """Starts the peak anew."""
        Path("/proc/self/clear_refs").write_text("5")

    def now(self) -> int:
        """Bytes held."""
        return self._line("VmRSS")

    def peak(self) -> int:
        """The most since the last reset."""
        return self._line("VmHWM")

    def _line(self, key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


class GpuMemory:
    """Bytes of tensors on the GPU, as torch counts them; both counts wait for the GPU."""

    def reset(self) -> None:
        """Starts the peak anew."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()

    def now(self) -> int:
        """Bytes held."""
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    def peak(self) -> int:
        """The most since the last reset."""
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()


def serve(facts: dict[str, Any], step: Callable[[Rows, int | None, bool], float], device: str) -> None:
    """Answers until the other end closes. The first thing asked is to score, which touches all weights once.

    Args:
        facts: Said first.
        step: Given rows (input ids and label ids), a length to pad inputs to (None: the longest), and whether to
            train or only to score, returns the loss.
        device: Where it computes.
    """
    memory = ProcessMemory() if device == "cpu" else GpuMemory()
    _say(facts)
    base = None
    for line in sys.stdin:
        asked = json.loads(line)
        memory.reset()
        start = time.perf_counter()
        loss = step(asked["rows"], asked["pad_to"], asked["train"])
        peak = memory.peak()
        seconds = time.perf_counter() - start
        base = base or memory.now()
        _say({"seconds": seconds, "loss": loss, "peak_bytes": peak - base})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
