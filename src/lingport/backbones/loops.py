"""What stands beside the matrix products on a processor, each part in one pass over memory (`compiled.py`).

torch computes a softmax with a bias and dropout, or a gated GELU, as many small operations, each of which reads and
writes all numbers once, and draws the random numbers of a mask besides; beside products in bfloat16 that is most of a
step. What dropout drops is decided by a seed, so that no mask is kept: the backward pass is told the same seed.
As many threads as torch has. Source: ours.
Shapes: N rows, D numbers of a row; B rows of a batch, H heads, Q queries, K keys, V tokens of a tile of a vocabulary.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from lingport.backbones import compiled

logger = logging.getLogger(__name__)

DTYPES = (torch.float32, torch.bfloat16)
_FEW = 2**15  # numbers that one thread is done with before a second one has woken up
_COMPILING = "LINGPORT_COMPILING"  # set in the process that compiles
_LEVELS = 2**32  # a rate of dropout is met to one part in so many


def _numbers(x: Tensor) -> np.ndarray:
    """Returns the rows (N, D) of a tensor; its numbers are contiguous."""
    x = x.detach()
    x = x.view(torch.uint16) if x.dtype == torch.bfloat16 else x
    return x.view(-1, x.shape[-1]).numpy()


@cache
def _most_threads() -> int:
    """Returns how many threads numba has. Where it starts them it sets torch's number too, which is set back."""
    wanted = torch.get_num_threads()
    found = numba.get_num_threads()
    torch.set_num_threads(wanted)
    return found


@cache
def compile_elsewhere() -> None:
    """Compiles all loops in a process of its own, once, so that this one finds them kept on disk.

    The same loop has other last bits in the process that compiled it than in those that find it kept (numba 0.68).
    """
    kept = getattr(compiled.softmax.stats, "cache_path", None)
    if kept is None or os.environ.get(_COMPILING):
        return
    source = Path(compiled.__file__).stat()
    processor = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    made_of = (*processor, numba.__version__, sys.version, source.st_mtime_ns, source.st_size)
    done = Path(kept) / f"loops-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}.done"
    if done.exists():
        return
    with FileLock(done.with_suffix(".lock")):
        if not done.exists():
            logger.info("compiling loops for this processor (some ten seconds, once)")
            command = [sys.executable, "-c", f"from {__name__} import use_all; use_all()"]
            ended = subprocess.run(
                command, env=os.environ | {_COMPILING: "1"}, capture_output=True, text=True, check=False
            )
            if ended.returncode:
                logger.warning("no loops could be compiled in a process of their own: %s", ended.stderr[-2000:])
                return  # they are compiled in this one
            done.touch()


def _run(kernel: Any, *arguments: Any) -> None:
    compile_elsewhere()
    most = _most_threads()
    numba.set_num_threads(1 if arguments[0].size < _FEW else min(torch.get_num_threads(), most))
    kernel(*arguments)


def _limit(rate: float) -> np.uint32:
    return np.uint32(min(_LEVELS - 1, round(rate * _LEVELS)))


def _scale(rate: float) -> np.float32:
    """Returns what dropout multiplies by what it keeps."""
    return np.float32(1 / (1 - rate))


def new_seed() -> int:
    """Returns a seed of torch's random numbers, so that `torch.manual_seed` decides what is dropped."""
    return int(torch.randint(2**62, ()))


def softmax(scores: Tensor, bias: Tensor | None, rate: float, seed: int, *, signed: bool = False) -> Tensor:
    """Returns `dropout(softmax(scores + bias))` in place of the scores.

    Args:
        scores: (B, H, Q, K), contiguous.
        bias: (B or 1, H or 1, Q or 1, K), of the same dtype; None: none.
        rate: Of dropout.
        seed: Decides what is dropped.
        signed: Whether what is dropped is kept with a minus sign, as `softmax_back` wants it, and is not 0.
    """
    bias = scores.new_zeros(1, 1, 1, scores.shape[-1]) if bias is None else bias.contiguous()
    _run(
        compiled.softmax,
        _numbers(scores),
        _numbers(bias),
        tuple(scores.shape[1:3]),
        tuple(bias.shape[:3]),
        _scale(rate),
        _limit(rate),
        np.uint64(seed),
        np.float32(-1 if signed else 0),
    )
    return scores


def softmax_back(grads: Tensor, kept: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the scores, and what the values were weighted with, each in place of what is given.

    Args:
        grads: (B, H, Q, K) gradients of what the values were weighted with.
        kept: What `softmax(..., signed=True)` returned.
        rate: Of dropout.
    """
    _run(compiled.softmax_back, _numbers(grads), _numbers(kept), np.float32(1 - rate))
    return grads, kept


def gated_gelu(gate: Tensor, value: Tensor, rate: float, seed: int) -> Tensor:
    """Returns `dropout(gelu(gate) * value)`, with GELU's form of a tanh."""
    out = torch.empty_like(gate)
    _run(compiled.gated, *(_numbers(each) for each in (gate, value, out)), _scale(rate), _limit(rate), np.uint64(seed))
    return out


def gated_gelu_back(gate: Tensor, value: Tensor, grad: Tensor, rate: float, seed: int) -> tuple[Tensor, Tensor]:
    """Returns the gradients of gate and value; `grad` is that of what `gated_gelu` returned."""
    of_gate, of_value = torch.empty_like(gate), torch.empty_like(value)
    arrays = (_numbers(each) for each in (gate, value, grad, of_gate, of_value))
    _run(compiled.gated_back, *arrays, _scale(rate), _limit(rate), np.uint64(seed))
    return of_gate, of_value


def norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Returns `weight * x / rms(x)`, with `epsilon` added to the mean square."""
    out = torch.empty_like(x)
    _run(compiled.norm, _numbers(x), _numbers(weight)[0], _numbers(out), epsilon)
    return out


def norm_back(x: Tensor, weight: Tensor, grad: Tensor, epsilon: float) -> Tensor:
    """Returns the gradient of x; `grad` is that of what `norm` returned."""
    out = torch.empty_like(x)
    _run(compiled.norm_back, _numbers(x), _numbers(weight)[0], _numbers(grad), _numbers(out), epsilon)
    return out


def drop(x: Tensor, rate: float, seed: int) -> Tensor:
    """Returns x with a share of its numbers set to 0 and the others scaled up; the same for a gradient of it."""
    out = torch.empty_like(x)
    _run(compiled.drop, _numbers(x), _numbers(out), _scale(rate), _limit(rate), np.uint64(seed))
    return out


def powers_of_e(scores: Tensor, highest: Tensor, totals: Tensor) -> Tensor:
    """Returns e to the power of each score less its row's `highest`, in place; adds their sums to `totals`.

    Args:
        scores: (N, V).
        highest: (N, 1) in float32.
        totals: (N, 1) in float32.
    """
    _run(compiled.powers, _numbers(scores), highest.numpy().ravel(), totals.numpy().ravel())
    return scores


def update_best(scores: Tensor, start: int, highest: Tensor, places: Tensor, totals: Tensor) -> None:
    """Updates what is known of rows of which a tile is seen after the other.

    Args:
        scores: (N, V) of the tile.
        start: Its place in the row.
        highest: (N,) highest score so far, in float32, -inf at first.
        places: (N,) its place in the row; the first of equal ones.
        totals: (N,) sum of e to the power of scores less the highest, in float32, 0 at first.
    """
    _run(compiled.best, _numbers(scores), start, highest.numpy(), places.numpy(), totals.numpy())


def use_all() -> None:
    """Calls each loop for each dtype, so that all are compiled."""
    for dtype in DTYPES:
        x_bhqk = torch.ones(1, 1, 2, 2, dtype=dtype)
        x, zeros = x_bhqk[0, 0], torch.zeros(2, 1)
        softmax_back(softmax(x_bhqk.clone(), None, 0.0, 0), x_bhqk.clone(), 0.0)
        gated_gelu_back(x, gated_gelu(x, x, 0.0, 0), x, 0.0, 0)
        norm_back(x, x[0], norm(x, x[0], 1e-6), 1e-6)
        powers_of_e(drop(x, 0.0, 0), zeros, zeros.clone())
        update_best(x, 0, zeros[:, 0], torch.zeros(2, dtype=torch.long), zeros[:, 0].clone())
