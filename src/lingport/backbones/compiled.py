"""Loops over numbers, compiled for the processor at hand: what `loops.py` gives tensors to.

A row is read once, computed in float32 in registers, and written once. Random numbers are a hash of a seed and a place,
so that they can be drawn again. Compiled by numba when first used, and kept on disk; what a loop calls is in this file,
for numba looks at no other to find out whether what it has kept is old. Source: ours, and where it is said.
Shapes: N rows, D numbers of a row.
dtypes: arrays of float32, or of bfloat16 as its 16 bits. `limit` is the rate of dropout as a share of 2^32, `scale`
what is kept is multiplied by, `seed` has 64 bits.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numba.extending
import numpy as np
from llvmlite import ir
from numba import njit, prange, types

logger = logging.getLogger(__name__)

_EXACT = {"contract", "nsz"}  # NaN stays NaN
_ANY_ORDER = {*_EXACT, "reassoc"}  # of sums
_ROWS_AT_ONCE = 16  # that use the same memory in between
_SLOPE = np.float32(2 * math.sqrt(2 / math.pi))
_CURVE = np.float32(2 * math.sqrt(2 / math.pi) * 0.044715)
_ZERO, _HALF, _ONE, _THREE = (np.float32(number) for number in (0, 0.5, 1, 3))
_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_LEAST, _MOST = np.float32(-126 * math.log(2)), np.float32(127.4 * math.log(2))  # whose powers of e float32 holds
_LOWEST = np.float32(-3.4e38)
_32 = np.uint32


def _has_threads() -> bool:
    """Returns whether numba shares torch's threads: its own are slower beside them than one thread."""
    try:
        import numba.np.ufunc.omppool  # noqa: F401
    except ImportError as error:
        logger.info("loops are computed by one thread, for numba finds no OpenMP: %s", error)
        return False
    return True


_PARALLEL = _has_threads()


def _compiled(function: Callable[..., Any]) -> Any:
    options: dict[str, Any] = {"parallel": _PARALLEL, "nogil": True, "error_model": "numpy", "fastmath": _ANY_ORDER}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that can be written to: compiled in every process
        return njit(**options)(function)


_scalar: Any = njit(error_model="numpy", fastmath=_EXACT)
_intrinsic: Any = numba.extending.intrinsic


@_intrinsic
def _as_float(_context: Any, bits: Any) -> Any:
    """Returns the float32 of 32 bits."""
    return types.float32(types.uint32), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.FloatType())


@_intrinsic
def _as_bits(_context: Any, x: Any) -> Any:
    """Returns the 32 bits of a float32."""
    return types.uint32(types.float32), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.IntType(32))


@_intrinsic
def _wide(_context: Any, x: Any) -> Any:
    """Returns a number of an array as float32."""
    if x == types.float32:
        return types.float32(x), lambda _c, _builder, _s, args: args[0]

    def generate(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        bits = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.uint16), generate


@_intrinsic
def _narrow(_context: Any, x: Any, like: Any) -> Any:
    """Returns a float32 as a number of an array: rounded to the nearest bfloat16, to even ones between two."""
    if like == types.float32:
        return types.float32(x, like), lambda _c, _builder, _s, args: args[0]

    def generate(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        whole = ir.IntType(32)
        sixteen = ir.Constant(whole, 16)
        bits = builder.bitcast(args[0], whole)
        odd = builder.and_(builder.lshr(bits, sixteen), ir.Constant(whole, 1))
        rounded = builder.lshr(builder.add(builder.add(bits, ir.Constant(whole, 0x7FFF)), odd), sixteen)
        return builder.trunc(rounded, ir.IntType(16))

    return types.uint16(types.float32, types.uint16), generate


@_intrinsic
def _larger(_context: Any, one: Any, other: Any) -> Any:
    """Returns the larger of two numbers, either if one is NaN: what numba makes of `max` is not computed in vectors."""

    def generate(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        flags = ["nnan", "nsz"]
        return builder.select(builder.fcmp_ordered(">", *args, flags=flags), *args, flags=flags)

    return types.float32(one, other), generate


@_scalar
def _exp(x: Any) -> Any:
    """Returns e^x to the last bits of float32 (Cephes' expf): 0 below what float32 holds, at most 2^127.4."""
    small = x < _LEAST
    x = _LEAST if small else x
    x = _MOST if x > _MOST else x
    n = np.floor(x * _LOG2E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * (r * r) + r + _ONE
    return _ZERO if small else _as_float(_32(_as_bits(p) + _32(_32(np.int32(n)) << _32(23))))


@_intrinsic
def _times(_context: Any, one: Any, other: Any) -> Any:
    """Returns the last 32 bits of a product: what numba makes of `*` has 64 bits, and half as many in a vector."""
    return types.uint32(types.uint32, types.uint32), lambda _c, builder, _s, args: builder.mul(*args)


@_scalar
def _mixed(x: Any) -> Any:
    """Returns 32 bits that hang together with those of `x` in no simple way (Wellons' `lowbias32`)."""
    x = _32(x ^ _32(x >> _32(16)))
    x = _times(x, _32(0x7FEB352D))
    x = _32(x ^ _32(x >> _32(15)))
    x = _times(x, _32(0x846CA68B))
    return _32(x ^ _32(x >> _32(16)))


@_scalar
def _row_key(seed: Any, row: Any) -> Any:
    return _mixed(_32(_32(seed) + _mixed(_32(row))))


@_scalar
def _row_step(seed: Any, key: Any) -> Any:
    """Returns an odd number by which a row's places are told apart, so that no two rows draw the same numbers."""
    return _32(_mixed(_32(_32(seed >> np.uint64(32)) + key)) | _32(1))


@_compiled
def softmax(
    scores: Any, bias: Any, shape: Any, bias_shape: Any, scale: Any, limit: Any, seed: Any, dropped: Any
) -> None:
    """Writes `dropout(softmax(scores + bias))` in place of the scores; what is dropped is multiplied by `dropped`.

    Args:
        scores: (B * H * Q, K).
        bias: Rows of K numbers.
        shape: (H, Q).
        bias_shape: (B or 1, H or 1, Q or 1).
        scale: Of dropout, as `limit` and `seed`.
        limit: 0 for no dropout.
        seed: Decides what is dropped.
        dropped: -1 or 0.
    """
    heads, queries = shape
    biases, bias_heads, bias_queries = bias_shape
    for block in prange(-(-len(scores) // _ROWS_AT_ONCE)):
        x = np.empty(scores.shape[1], np.float32)
        for row in range(block * _ROWS_AT_ONCE, min(len(scores), (block + 1) * _ROWS_AT_ONCE)):
            own = scores[row]
            batch, head, query = row // (heads * queries), row // queries % heads, row % queries
            added = bias[((batch % biases) * bias_heads + head % bias_heads) * bias_queries + query % bias_queries]
            for j in range(len(own)):
                x[j] = _wide(own[j]) + _wide(added[j])
            highest = _LOWEST
            for j in range(len(own)):
                highest = _larger(x[j], highest)
            total = _ZERO
            for j in range(len(own)):
                power = _exp(x[j] - highest)
                x[j] = power
                total += power
            whole = total / scale
            if limit:
                key = _row_key(seed, row)
                step = _row_step(seed, key)
                for j in range(len(own)):
                    kept = x[j] / whole
                    own[j] = _narrow(kept * dropped if _mixed(key) < limit else kept, own[j])
                    key = _32(key + step)
            else:
                for j in range(len(own)):
                    own[j] = _narrow(x[j] / whole, own[j])


@_compiled
def softmax_back(grads: Any, kept: Any, unscale: Any) -> None:
    """Writes the gradient of the scores in place of `grads`, and in place of `kept` what was not dropped.

    `kept` is what `softmax` wrote with `dropped` -1, and `unscale` 1 / `scale`.
    """
    for row in prange(len(grads)):
        grad, own = grads[row], kept[row]
        along = _ZERO
        for j in range(len(grad)):
            share = _wide(own[j])
            along += (share if share > _ZERO else _ZERO) * _wide(grad[j])
        along *= unscale
        for j in range(len(grad)):
            share = _wide(own[j])
            used = share if share > _ZERO else _ZERO
            grad[j] = _narrow(used * _wide(grad[j]) - abs(share) * along, grad[j])
            own[j] = _narrow(used, own[j])


@_compiled
def gated(gates: Any, values: Any, out: Any, scale: Any, limit: Any, seed: Any) -> None:
    """Writes `dropout(gelu(gates) * values)`: `x (1 + tanh u) / 2` is `x / (1 + e^-2u)`."""
    for row in prange(len(gates)):
        gate, value, own = gates[row], values[row], out[row]
        key = _row_key(seed, row)
        step = _row_step(seed, key)
        for j in range(len(gate)):
            x = _wide(gate[j])
            gelu = x / (_ONE + _exp(-x * (_SLOPE + _CURVE * x * x)))
            product = gelu * _wide(value[j]) * scale
            own[j] = _narrow(_ZERO if _mixed(key) < limit else product, own[j])
            key = _32(key + step)


@_compiled
def gated_back(
    gates: Any, values: Any, grads: Any, of_gates: Any, of_values: Any, scale: Any, limit: Any, seed: Any
) -> None:
    """Writes the gradients of gates and values: gelu' is `s + gelu (1 - s) (2u)'`, where s is `1 / (1 + e^-2u)`."""
    for row in prange(len(gates)):
        gate, value, grad, of_gate, of_value = gates[row], values[row], grads[row], of_gates[row], of_values[row]
        key = _row_key(seed, row)
        step = _row_step(seed, key)
        for j in range(len(gate)):
            x = _wide(gate[j])
            given = _ZERO if _mixed(key) < limit else _wide(grad[j]) * scale
            square = _CURVE * x * x
            share = _ONE / (_ONE + _exp(-x * (_SLOPE + square)))
            gelu = x * share
            of_value[j] = _narrow(gelu * given, of_value[j])
            slope = share + gelu * (_ONE - share) * (_SLOPE + _THREE * square)
            of_gate[j] = _narrow(slope * given * _wide(value[j]), of_gate[j])
            key = _32(key + step)


@_compiled
def norm(x: Any, weight: Any, out: Any, epsilon: Any) -> None:
    """Writes `weight * x / rms(x)`."""
    for row in prange(len(x)):
        own, normed = x[row], out[row]
        squares = 0.0  # float64: the last bits of float32 would depend on how many numbers a vector has
        for j in range(len(own)):
            squares += np.float64(_wide(own[j])) ** 2
        scale = np.float32(1 / np.sqrt(squares / len(own) + epsilon))
        for j in range(len(own)):
            normed[j] = _narrow(_wide(own[j]) * scale * _wide(weight[j]), normed[j])


@_compiled
def norm_back(x: Any, weight: Any, grads: Any, out: Any, epsilon: Any) -> None:
    """Writes the gradient of x."""
    for row in prange(len(x)):
        own, grad, of_own = x[row], grads[row], out[row]
        squares, along = 0.0, _ZERO
        for j in range(len(own)):
            squares += np.float64(_wide(own[j])) ** 2
            along += _wide(own[j]) * _wide(grad[j]) * _wide(weight[j])
        square = squares / len(own) + epsilon
        scale, share = np.float32(1 / np.sqrt(square)), np.float32(along / (square * len(own)))
        for j in range(len(own)):
            found = (_wide(grad[j]) * _wide(weight[j]) - _wide(own[j]) * share) * scale
            of_own[j] = _narrow(found, of_own[j])


@_compiled
def drop(x: Any, out: Any, scale: Any, limit: Any, seed: Any) -> None:
    """Writes `dropout(x)`."""
    for row in prange(len(x)):
        own, kept = x[row], out[row]
        key = _row_key(seed, row)
        step = _row_step(seed, key)
        for j in range(len(own)):
            kept[j] = _narrow(_ZERO if _mixed(key) < limit else _wide(own[j]) * scale, kept[j])
            key = _32(key + step)


@_compiled
def powers(scores: Any, highest: Any, totals: Any) -> None:
    """Writes e to the power of scores less their row's highest, and adds their sums to `totals`."""
    for row in prange(len(scores)):
        own, down = scores[row], highest[row]
        total = _ZERO
        for j in range(len(own)):
            power = _narrow(_exp(_wide(own[j]) - down), own[j])
            own[j] = power
            total += _wide(power)
        totals[row] += total


@_compiled
def best(scores: Any, start: Any, highest: Any, places: Any, totals: Any) -> None:
    """Updates a row's highest score, its place counted from `start`, and the sum of powers of e of scores less it."""
    for row in prange(len(scores)):
        own, before = scores[row], highest[row]
        found = before
        for j in range(len(own)):
            found = _larger(_wide(own[j]), found)
        if found > before:
            for j in range(len(own)):
                if _wide(own[j]) == found:
                    places[row] = start + j
                    break
        total = _ZERO
        for j in range(len(own)):
            total += _exp(_wide(own[j]) - found)
        totals[row] = totals[row] * _exp(before - found) + total
        highest[row] = found
