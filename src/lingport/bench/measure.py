"""Steps of several sides in turn on the same rows, against the time of their matrix products alone.

Every side is a process of its own with the same backbone, the same module and the same number of threads, and waits
while another one steps. A ratio is the median over pairs of steps that followed each other.
"""

from __future__ import annotations

import json
import logging
import platform
import random
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from lingport.backbones.base import Backbone, best_dtype
from lingport.backbones.shapes import random_backbone
from lingport.backbones.trim import save_model
from lingport.bench.environments import environment
from lingport.bench.limit import Limit, matmul_rate, products
from lingport.bench.wire import Rows
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.errors import TrainingError
from lingport.formats.load import export_module
from lingport.modules.base import new_module
from lingport.modules.store import save_module

logger = logging.getLogger(__name__)

LENGTHS = Path(__file__).with_name("lengths.json")
MODULES = {
    "adapter": AdapterSettings.model_validate({}),
    "prompt": PromptSettings.model_validate({"num_virtual_tokens": 50, "init": "vocab"}),
}
#: losses of the sides may differ by this share: one library gives its loss in bfloat16, which has eight bits
AGREEMENT = 1e-2
_IDS = range(300, 15_000)  # ordinary tokens of every shape


@dataclass(frozen=True)
class Side:
    """Whoever steps.

    Attributes:
        name: Shown and recorded; `{dtype}` stands for what the backbone computes in.
        library: `lingport`, or what has an environment of its own.
        way: How `own.py` computes, or the library again.
        dtype: What the backbone computes in; None: what is measured.
        pad_to: Length that inputs are padded to; None: the longest row.
        compiled: Whether the library's model goes through `torch.compile`.
    """

    name: str
    library: str
    way: str
    dtype: str | None = None
    pad_to: int | None = None
    compiled: bool = False

    def computing_in(self, dtype: str) -> Side:
        """Returns the side with its dtype, where it has none the one that is measured."""
        own = self.dtype or dtype
        return replace(self, name=self.name.format(dtype=own), dtype=own)


OURS = Side("lingport", "lingport", "fast")
PLAIN = Side("plain path", "lingport", "plain")
RECOMPUTED = Side("gradient checkpointing", "lingport", "recomputed")
#: kind of module -> who else trains it: as in the paper (float32, padded to 256), and as well as the library can
PEERS = {
    "adapter": (
        Side("adapters, paper's settings", "adapters", "adapters", "float32", 256),
        Side("adapters, {dtype}", "adapters", "adapters"),
    ),
    "prompt": (
        Side("peft, paper's settings", "peft", "peft", "float32", 256),
        Side("peft, {dtype}", "peft", "peft"),
    ),
}
#: kind of module -> the library at its best, compiled; not every release of every library can be
COMPILED = {kind: replace(sides[1], name=f"{sides[1].name}, compiled", compiled=True) for kind, sides in PEERS.items()}


@dataclass(frozen=True)
class Work:
    """What is measured.

    Attributes:
        name: `language` (span corruption, all rows of one length) or `ner`, `topic`, `qa` (lengths of real rows).
        kind: Kind of the module.
        num_rows: Rows of a step.
    """

    name: str
    kind: str
    num_rows: int

    @property
    def rate_unit(self) -> str:
        """What the rate counts."""
        return "source tokens/s" if self.name == "language" else "examples/s"

    def rows(self, step: int) -> Rows:
        """Returns the rows of a step: random ids, since no time depends on which they are."""
        draw = random.Random(f"{self.name} {step}")
        if self.name == "language":
            lengths = [(256, 58)] * self.num_rows  # 284 raw tokens under span corruption
        else:
            lengths = draw.sample([tuple(each) for each in json.loads(LENGTHS.read_text())[self.name]], self.num_rows)
        return [(draw.choices(_IDS, k=source), draw.choices(_IDS, k=target)) for source, target in lengths]

    def amount(self, rows: Rows) -> int:
        """Returns how much of the rate's unit the rows are."""
        return sum(len(source) for source, _ in rows) if self.name == "language" else len(rows)


class Process:
    """A side under way.

    Args:
        side: Who, and with which dtype.
        folder: Where backbone and modules lie.
        threads: Threads that it computes with.
        device: Where it computes: `cpu`, `cuda`.
    """

    def __init__(self, side: Side, folder: Path, threads: int, device: str) -> None:
        self.side = side
        own = side.library == "lingport"
        script = ["-m", "lingport.bench.own"] if own else [str(Path(__file__).with_name("peer.py"))]
        python = sys.executable if own else str(environment(side.library))
        assert side.dtype is not None
        command = [python, *script, side.way, str(folder / "backbone"), str(folder / side.library), side.dtype]
        self._errors = (folder / f"{side.way} {side.dtype}.log").open("w+")
        self._process = subprocess.Popen(
            [*command, str(threads), device, *(["compiled"] if side.compiled else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self.facts = self._answer()
        except TrainingError:
            self.close()
            raise

    def step(self, rows: Rows, *, train: bool) -> dict[str, float]:
        """Returns seconds, loss and peak memory above the weights of a step, or of scoring the rows."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"rows": rows, "pad_to": self.side.pad_to, "train": train}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries print other things too
                return json.loads(line)
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        raise TrainingError(f"{self.side.name} ended: {said[-1] if said else 'it said nothing'}")


def measure(
    work: Work, sides: Sequence[Side], *, shape: str, pairs: int, threads: int, device: str, dtype: str
) -> list[dict[str, Any]]:
    """Returns a record for each side, ours first.

    Args:
        work: What is measured.
        sides: Who steps besides ours.
        shape: Name of a shape of `backbones.shapes`.
        pairs: Steps of each side that count; one more goes before them.
        threads: Threads of every side.
        device: Where every side computes: `cpu`, `cuda`.
        dtype: What all sides compute in that have no dtype of their own: `bfloat16`, `float32`.

    Raises:
        TrainingError: A side fails, or the sides' losses differ.
    """
    computed_in: torch.dtype = getattr(torch, dtype)
    with _prepared(work.kind, shape) as (folder, backbone), ExitStack() as stack:
        running = []
        for side in (each.computing_in(dtype) for each in (OURS, *sides)):
            logger.info("%s %s: loading %s", work.name, work.kind, side.name)
            running.append(Process(side, folder, threads, device))
            stack.callback(running[-1].close)
        _check_agreement(work, running)
        torch.set_num_threads(threads)
        module = new_module(work.kind, MODULES[work.kind], backbone)
        shapes: dict[tuple[tuple[int, int], ...], Counter[tuple[int, ...]]] = {}  # of rows of the same lengths
        least: list[float] = []
        operations: list[int] = []
        found: list[list[dict[str, float]]] = [[] for _ in running]
        for step in range(pairs + 1):
            rows = work.rows(step)
            for process, steps in zip(running, found, strict=True):
                steps.append({**process.step(rows, train=True), "amount": work.amount(rows)})
            lengths = tuple((len(source), len(target)) for source, target in rows)
            if lengths not in shapes:
                shapes[lengths] = products(backbone, module, rows)
            limit = Limit(shapes[lengths], device, computed_in)
            least.append(limit.seconds())
            operations.append(limit.operations)
        rate = matmul_rate(device, computed_in)
        machine = {"device": _device_name(device), "threads": threads, "matmul_rate": rate}
        limits = {"limit_fraction": least[1:], "rate_fraction": [each / rate for each in operations[1:]]}
        return [
            _record(work, process, steps[1:], found[0][1:], limits)
            | {"shape": f"{shape}, {work.num_rows} rows"}
            | machine
            for process, steps in zip(running, found, strict=True)
        ]


@contextmanager
def _prepared(kind: str, shape: str) -> Iterator[tuple[Path, Backbone]]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        backbone = random_backbone(shape, dtype=torch.bfloat16)
        save_model(backbone.model, folder / "backbone")
        backbone.tokenizer.save_pretrained(folder / "backbone")
        module = new_module(kind, MODULES[kind], backbone)
        save_module(module, folder / "lingport")
        library = PEERS[kind][0].library
        export_module(module, folder / library, backbone, to="adapterhub" if library == "adapters" else library)
        backbone.model.to(best_dtype(backbone.device))  # only shapes count from here on; emulated, they take minutes
        yield folder, backbone


def _check_agreement(work: Work, running: Sequence[Process]) -> None:
    rows = work.rows(0)[:2]
    losses = [process.step(rows, train=False)["loss"] for process in running]
    for process, loss in zip(running, losses, strict=True):
        if abs(loss - losses[0]) > AGREEMENT * losses[0]:
            raise TrainingError(
                f"the sides do not compute the same: a loss of {losses[0]:.4f} here, {loss:.4f} by {process.side.name}"
            )
        counts = running[0].facts["num_trained"], process.facts["num_trained"]
        if counts[0] != counts[1]:
            raise TrainingError(f"{counts[0]} numbers are trained here, {counts[1]} by {process.side.name}")


def _record(
    work: Work,
    process: Process,
    steps: Sequence[dict[str, float]],
    ours: Sequence[dict[str, float]],
    limits: dict[str, list[float]],
) -> dict[str, Any]:
    seconds = [step["seconds"] for step in steps]
    return {
        "work": f"{work.name} {work.kind}",
        "side": process.side.name,
        "dtype": process.side.dtype,
        "rate": statistics.median(step["amount"] / step["seconds"] for step in steps),
        "rate_unit": work.rate_unit,
        "seconds": statistics.median(seconds),
        "peak_bytes_above_weights": max(step["peak_bytes"] for step in steps),
        "loss": steps[-1]["loss"],
        "ratio_to_peer": _median_ratio(seconds, [step["seconds"] for step in ours]),
        **{name: _median_ratio(least, seconds) for name, least in limits.items()},
        "versions": process.facts["versions"],
    }


def _median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


def _device_name(device: str) -> str:
    return f"{platform.machine()} cpu" if device == "cpu" else torch.cuda.get_device_name()
