"""One module trained by several processes: each computes its share of a step's rows, the gradients are added up.

Every process holds the whole backbone and a copy of the module; only the module's gradients travel, which are small.
Not here: what a step is (`loop.py`), and starting the processes (`launch.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from lingport.errors import ConfigError, TrainingError

#: how long a process waits for the others: longer than any validation, which the first does while they wait.
#: One that died is noticed by its closed connection and by whoever started it, not by this.
_WAIT = timedelta(hours=12)
#: how long a process waits at the start for the others to load what they need
_ARRIVAL = timedelta(minutes=10)


class PartnerLostError(TrainingError):
    """Another process of the same training is gone; its own error says why."""


class Team:
    """The processes that train together; this class is a process alone.

    Attributes:
        rank: Place of this process, 0 for the first, which alone validates, writes and speaks.
        size: How many there are.
    """

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that validates, writes and speaks."""
        return self.rank == 0

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replaces each gradient by the sum over all processes; they then hold the same bits."""

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Returns the sums over all processes."""
        return list(numbers)

    def of_first(self, make: Callable[[], Any]) -> Any:
        """Returns what the first process makes, which must be JSON; the others wait for it."""
        return make()

    def check_same(self, facts: Callable[[], Any]) -> None:
        """Compares facts (JSON) that must be the same in all processes; asks for them only where there are several.

        Raises:
            TrainingError: They differ.
        """


ALONE = Team()


class _Distributed(Team):
    """A team over torch.distributed.

    Args:
        device: Where tensors must lie to travel.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._device = device

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        with _noticing():
            for parameter in parameters:
                if parameter.grad is None:  # fewer rows than processes: this one had none
                    parameter.grad = torch.zeros_like(parameter)
                dist.all_reduce(parameter.grad)

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        total = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        with _noticing():
            dist.all_reduce(total)
            return total.tolist()

    def of_first(self, make: Callable[[], Any]) -> Any:
        made = json.dumps(make()).encode() if self.first else b""
        with _noticing():
            return json.loads(self._sent_by_first(made))

    def check_same(self, facts: Callable[[], Any]) -> None:
        digest = hashlib.sha256(json.dumps(facts(), sort_keys=True).encode()).digest()
        with _noticing():
            differs = self._sent_by_first(digest) != digest
        if any(self.sum_numbers([differs])):
            raise TrainingError(
                "the processes do not begin alike: settings, data, module or checkpoint differ",
                hint="start all with the same command, and let all see the same files (a shared folder)",
            )

    def _sent_by_first(self, content: bytes) -> bytes:
        length = torch.tensor([len(content)], device=self._device)
        dist.broadcast(length, 0)
        data = torch.zeros(int(length), dtype=torch.uint8, device=self._device)
        if self.first:
            data.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(data, 0)
        return bytes(data.tolist())


def started_by_launcher() -> bool:
    """Whether this process was started as one of several: by `launch`, by torchrun, or by what sets its variables."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def joined(device: str) -> Iterator[tuple[Team, str]]:
    """Yields this process's team and its own device; alone and the device as given where it was started alone.

    The variables are those of torchrun: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT. Gradients travel
    by NCCL between GPUs and by Gloo between processors.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: The device cannot be shared out among the processes.
        PartnerLostError: The others do not come.
    """
    if not started_by_launcher():
        yield ALONE, device
        return
    own = _own_device(device, int(os.environ.get("LOCAL_RANK", os.environ["RANK"])))
    on_gpu = own.type == "cuda"
    dist.init_process_group("nccl" if on_gpu else "gloo", **_meeting(), device_id=own if on_gpu else None)
    yield _Distributed(own), str(own)
    # Not after an error: it would wait for the others, who wait for this process, and the error would not be heard.
    dist.destroy_process_group()


def _own_device(device: str, place: int) -> torch.device:
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"device {device!r} for several processes, which need one each", hint="use device cpu, cuda or auto"
        )
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if place >= torch.cuda.device_count():
        raise ConfigError(
            f"process {place + 1} of this machine has no GPU: there are {torch.cuda.device_count()}",
            hint="start as many processes as there are GPUs, or use device cpu",
        )
    torch.cuda.set_device(place)
    return torch.device("cuda", place)


def _meeting() -> dict[str, Any]:
    """Returns where the processes meet, as torch.distributed wants it; all of them have come."""
    try:
        meeting = dist.rendezvous("env://", timeout=_ARRIVAL)  # pyright: ignore[reportPrivateImportUsage]
        store, rank, size = next(meeting)
        store.set(f"process {rank}", "here")
        store.wait([f"process {each}" for each in range(size)], _ARRIVAL)
    except (RuntimeError, ValueError) as error:  # not reached in time; a variable is missing or malformed
        raise PartnerLostError(
            f"the processes do not find each other: {str(error).partition(chr(10))[0]}",
            hint="start as many as WORLD_SIZE says, each with RANK, MASTER_ADDR and MASTER_PORT, or unset WORLD_SIZE",
        ) from error
    return {"store": store, "rank": rank, "world_size": size, "timeout": _WAIT}


@contextmanager
def _noticing() -> Iterator[None]:
    """Says it in our words when another process is gone."""
    try:
        yield
    except RuntimeError as error:  # Gloo raises it plainly, NCCL as a DistError
        raise PartnerLostError(
            f"another process of this training is gone ({str(error).partition(chr(10))[0]})",
            hint="its own message says why; the same command again goes on from the last checkpoint",
        ) from error
