"""Parts of a frozen T5 model computed with fewer passes over memory; the same numbers up to float rounding.

What is gained: no gradient is prepared for frozen weights, backward passes reuse what the forward pass has, and
dropout's random numbers are 16 bits each of a fast generator. On a GPU the kernels that are started cost more than
passes over memory, so that there torch's own fused ones compute the same. The model's own code stays the reference
(`Backbone.plain`). Not here: attention (`attention.py`). Source: ours.
Shapes: B rows, D width, R inner width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CACHED_NUMBERS = 2**21  # 4 MiB of bfloat16: what is worked on at once
_CACHED_ELEMENTWISE = 2**18  # of what only passes through
_SLOPE_AT_0 = 2 * math.sqrt(2 / math.pi)
_LOW_GATE = -100.0  # whose gelu and derivative are 0 in every dtype
_LEVELS = 2**16  # a rate of dropout is met to one part in so many
_WHOLE = {torch.bfloat16: torch.int16, torch.float32: torch.int32}  # whole numbers of the same width


def faster_parts(model: nn.Module) -> list[tuple[nn.Module, Callable[..., Any]]]:
    """Returns the submodules that can be computed faster, each with what computes it.

    A part is chosen by what it is made of, not by its class: the families keep copies of the same classes.
    """
    found: list[tuple[nn.Module, Callable[..., Any]]] = []
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            found.append((module, partial(_norm, module)))
        elif hasattr(module, "wi_0") and hasattr(module, "wo") and _is_tanh_gelu(module.act):
            found.append((module, partial(_gated, module)))
        elif isinstance(module, nn.Dropout):
            found.append((module, partial(_dropout_layer, module)))
    return found


def on_gpu(x: Tensor) -> bool:
    """Returns whether a tensor is computed where kernels that are started cost most, not passes over memory."""
    return x.device.type != "cpu"


def noise() -> np.random.Generator:
    """Returns a fast generator, seeded from torch's, so that `torch.manual_seed` decides it."""
    return np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))


def keep_mask(shape: torch.Size, rate: float, like: Tensor, generator: np.random.Generator) -> Tensor:
    """Returns a mask of dropout on the CPU: 0 with probability `rate`, else 1 / (1 - rate).

    Args:
        shape: Shape of the mask.
        rate: From 0 to less than 1, met to 1 / 65,536.
        like: Has the dtype of the mask.
        generator: Where random numbers come from.
    """
    drawn, kept = _draw(shape, rate, generator)
    scale = torch.tensor(kept_scale(rate), dtype=like.dtype).view(_WHOLE[like.dtype])
    return drawn.sub_(kept - 1).to(scale.dtype).mul_(scale).view(like.dtype)  # the bits of the scale, or of 0


def drop_signs(shape: torch.Size, rate: float, like: Tensor, generator: np.random.Generator) -> Tensor:
    """Returns numbers with a minus sign where something is dropped; nothing but the sign means anything."""
    drawn, kept = _draw(shape, rate, generator)
    return drawn.sub_(kept).to(_WHOLE[like.dtype]).view(like.dtype)


def _gate_limit(shape: torch.Size, rate: float, like: Tensor, generator: np.random.Generator) -> Tensor:
    """Returns the largest number there is, or `_LOW_GATE` with probability `rate`."""
    drawn, kept = _draw(shape, rate, generator)
    highest, lowest = (
        int(torch.tensor(value, dtype=like.dtype).view(_WHOLE[like.dtype]))
        for value in (torch.finfo(like.dtype).max, _LOW_GATE)
    )
    chosen = drawn.sub_(kept).to(_WHOLE[like.dtype])  # no bit where it is kept, all bits where it is dropped
    return chosen.bitwise_and_(highest ^ lowest).bitwise_xor_(highest).view(like.dtype)


def _draw(shape: torch.Size, rate: float, generator: np.random.Generator) -> tuple[Tensor, int]:
    """Returns a number where something is kept and one less where it is dropped, and the first of the two."""
    size = shape.numel()
    words = generator.integers(0, 2**64 - 1, -(-size // 4), dtype=np.uint64, endpoint=True)
    bits = torch.from_numpy(words.view(np.int16))[:size].view(shape)
    kept = _threshold(rate) - _LEVELS // 2
    return bits.clamp_(kept - 1, kept), kept


def _threshold(rate: float) -> int:
    return max(1, round(rate * _LEVELS))


def kept_scale(rate: float) -> float:
    """Returns what dropout multiplies by what it keeps."""
    return _LEVELS / (_LEVELS - _threshold(rate))


def dropout(x: Tensor, rate: float) -> Tensor:
    """Returns `x` with a share of its numbers set to 0 and the others scaled up."""
    if on_gpu(x):
        return F.dropout(x, rate)
    return x * keep_mask(x.shape, rate, x, noise())


def _dropout_layer(module: nn.Dropout, x: Tensor) -> Tensor:
    return dropout(x, module.p) if module.training and module.p else x


class _FrozenNorm(torch.autograd.Function):
    """`w * x / rms(x)` with frozen weights w (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        if x.dtype == torch.float32:  # for comparing numbers: a root that is squared again costs the last bits
            squares = x.square().mean(-1, keepdim=True)
        else:
            norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
            squares = norm.square_().div_(x.shape[-1])
        scale = squares.add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        high = scale.to(x.dtype)  # in two parts, for a product of two dtypes would copy all of x
        return torch.mul(x, high).addcmul_(x, (scale - high).to(x.dtype)).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        weighted = outputs[0] * weight
        along = (weighted * x).sum(-1, keepdim=True) * scale.pow(3).div_(x.shape[-1])
        return weighted.mul_(scale.to(x.dtype)).addcmul_(x, along.to(x.dtype), value=-1), None, None


def _norm(module: Any, x: Tensor) -> Tensor:
    if is_trained(module.weight) or x.dtype != module.weight.dtype:
        return type(module).forward(module, x)
    if on_gpu(x):
        return F.rms_norm(x, x.shape[-1:], module.weight, module.variance_epsilon)
    return _FrozenNorm.apply(x, module.weight, module.variance_epsilon)  # type: ignore[return-value]


def is_trained(weight: Tensor) -> bool:
    """Returns whether a gradient of the weight is asked for."""
    return weight.requires_grad and torch.is_grad_enabled()


class _GatedGelu(torch.autograd.Function):
    """`gelu(gate) * value` (Shazeer 2020, arXiv 2002.05202), with dropout.

    `0.5 x (1 + tanh u)` is `x sigmoid(2 u)`, and torch computes sigmoids three times as fast as this gelu. What is
    dropped has a gate so low that both it and its gradient are 0, so that no mask is kept.
    """

    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor, rate: float) -> Tensor:
        shape = gate.shape
        gate, value = gate.view(-1, shape[-1]), value.view(-1, shape[-1])
        out = torch.empty_like(gate)
        kept, drawn = (torch.empty_like(gate), noise()) if rate else (gate, None)
        for rows in cached_rows(gate.shape, _CACHED_ELEMENTWISE):
            x = gate[rows]
            if drawn is not None:
                x = torch.minimum(x, _gate_limit(x.shape, rate, x, drawn), out=kept[rows])
            # float32 is for comparing numbers: there the last bits are torch's.
            whole = x.dtype == torch.float32
            gelu = F.gelu(x, approximate="tanh") if whole else _slope(x).mul_(x).sigmoid_().mul_(x)
            torch.mul(gelu, value[rows], out=out[rows])
            if rate:
                out[rows].mul_(kept_scale(rate))
        ctx.save_for_backward(kept, value)
        ctx.rate = rate
        return out.view(shape)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        gate, value = ctx.saved_tensors
        shape, grads = outputs[0].shape, outputs[0].reshape(gate.shape)
        of_gate, of_value = torch.empty_like(gate), torch.empty_like(value)
        for rows in cached_rows(gate.shape, _CACHED_ELEMENTWISE):
            x, grad = gate[rows], grads[rows]
            if ctx.rate:
                grad = grad * kept_scale(ctx.rate)
            share = _slope(x).mul_(x).sigmoid_()
            gelu = x * share
            torch.mul(gelu, grad, out=of_value[rows])
            # gelu' = share + gelu (1 - share) (2 u)', and in (2 u)' the square counts three times.
            of_x = torch.addcmul(share, gelu.addcmul_(gelu, share, value=-1), _slope(x, curvature=3))
            torch.mul(of_x.mul_(grad), value[rows], out=of_gate[rows])
        return of_gate.view(shape), of_value.view(shape), None


class _GatedGeluOnGpu(torch.autograd.Function):
    """`gelu(gate) * value` of whole tensors; gelu is computed again in the backward pass, and not kept."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(gate, value)
        return F.gelu(gate, approximate="tanh").mul_(value)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = ctx.saved_tensors
        of_gate = torch.ops.aten.gelu_backward(outputs[0] * value, gate, approximate="tanh")
        return of_gate, F.gelu(gate, approximate="tanh").mul_(outputs[0])


def _slope(x: Tensor, curvature: int = 1) -> Tensor:
    """Returns `2 u / x` of gelu's `u = sqrt(2 / pi) (x + 0.044715 x^3)`, its square `curvature` times."""
    at_0 = torch.full((), _SLOPE_AT_0, dtype=x.dtype)
    return torch.addcmul(at_0, x, x, value=_SLOPE_AT_0 * 0.044715 * curvature)


def _is_tanh_gelu(activation: Any) -> bool:
    x = torch.linspace(-3, 3, 31)
    return torch.allclose(activation(x), F.gelu(x, approximate="tanh"), atol=1e-6, rtol=0)


def _gated(module: Any, x: Tensor) -> Tensor:
    gate, value = module.wi_0(x), module.wi_1(x)
    rate = module.dropout.p if module.training else 0.0
    if on_gpu(gate):
        inner: Any = _GatedGeluOnGpu.apply(gate, value)
        return module.wo(F.dropout(inner, rate) if rate else inner)
    return module.wo(_GatedGelu.apply(gate, value, rate))


def cached_rows(shape: torch.Size, at_once: int = _CACHED_NUMBERS) -> Iterator[slice]:
    """Yields slices of the first dimension, each of as many numbers as a processor's cache holds."""
    step = max(1, at_once // max(1, shape[1:].numel()))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)
