"""What bounds a step: its matrix products alone, and how fast the machine multiplies a large square matrix.

The products are those of the rows without their padding.
Shapes: B rows, S source tokens, T target tokens, H heads.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lingport.backbones.base import Backbone
from lingport.bench.wire import Rows
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.data.batch import Row, collate
from lingport.modules.base import TransferModule

_REPEATS = 3
_SIDE_ON_CPU, _SIDE_ON_GPU = 1024, 8192  # of the square matrix


class _Noting(TorchDispatchMode):
    """Notes the shapes (batch, rows, inner, columns) of all matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[int, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm"):
            left, right = args[-2:]
            self.seen[(1, *left.shape, right.shape[1])] += 1
        elif name in ("bmm", "baddbmm"):
            left, right = args[-2:]
            self.seen[(*left.shape, right.shape[2])] += 1
        return func(*args, **(kwargs or {}))


def products(backbone: Backbone, module: TransferModule, rows: Rows) -> Counter[tuple[int, ...]]:
    """Returns the shapes of the products of a step's forward pass, the head's of all target tokens included.

    Args:
        backbone: On the CPU, where rows are computed without padding.
        module: Acts on all rows.
        rows: The step's.
    """
    batch = collate([Row(source, target) for source, target in rows], pad_id=0)
    with torch.no_grad(), ComposedModel(backbone).using(Composition(task=module)) as model, _Noting() as noted:
        model.row_losses(batch.input_ids, batch.attention_mask, batch.labels)
    return noted.seen


class Limit:
    """The products alone: forward, and backward to what is not frozen.

    A product with frozen weights has one product in its backward pass, one of attention (a batch of them) has two.

    Args:
        shapes: Shape (batch, rows, inner, columns) of a product -> how often it occurs in the forward pass.
        device: Where they are computed.
        dtype: What they are computed in.

    Attributes:
        operations: Multiplications and additions of all of them.
    """

    def __init__(self, shapes: Counter[tuple[int, ...]], device: str, dtype: torch.dtype) -> None:
        self._device = device
        self._work = []
        self.operations = 0
        for (batch, rows, inner, columns), count in shapes.items():
            left, right, gradient = (
                torch.randn(size, dtype=dtype, device=device)
                for size in ((batch, rows, inner), (batch, inner, columns), (batch, rows, columns))
            )
            if batch == 1:
                weight = right[0].T.contiguous()  # as a linear layer keeps it
                products = [(left[0], weight.T), (gradient[0], weight)]
            else:
                products = [(left, right), (gradient, right.mT), (left.mT, gradient)]
            self.operations += 2 * batch * rows * inner * columns * count * len(products)
            self._work.append((count, [(one, other, one @ other) for one, other in products]))

    def seconds(self) -> float:
        """Seconds of all, into memory that is there; a shape is timed once and counts as often as it occurs."""
        total = 0.0
        for count, products in self._work:
            times = []
            for _ in range(_REPEATS):
                start = time.perf_counter()
                for one, other, out in products:
                    torch.matmul(one, other, out=out)
                _finish(self._device)
                times.append(time.perf_counter() - start)
            total += count * statistics.median(times)
        return total


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Returns multiplications and additions per second of a large square product."""
    side = _SIDE_ON_CPU if device == "cpu" else _SIDE_ON_GPU
    one, other, out = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(3))
    times = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        torch.matmul(one, other.T, out=out)  # as a linear layer keeps its weights
        _finish(device)
        times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times[1:])


def _finish(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
