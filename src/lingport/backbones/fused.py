"""Parts of a frozen T5 model computed with fewer passes over memory; the same numbers up to float rounding.

What is gained: no gradient is prepared for frozen weights, backward passes keep little more than their inputs, and what
dropout drops is drawn again there in place of a mask. On a processor that is done in loops of our own (`loops.py`); on
a GPU torch's own fused kernels compute the same. The model's own code stays the reference (`Backbone.plain`). Not here:
attention (`attention.py`). Source: ours.
Shapes: B rows, D width, R inner width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lingport.backbones import loops


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


def in_loops(x: Tensor) -> bool:
    """Returns whether a tensor is computed in loops of our own, and not by torch's fused kernels."""
    return x.device.type == "cpu" and x.dtype in loops.DTYPES


class _Dropout(torch.autograd.Function):
    """Dropout (Srivastava et al. 2014), whose mask is a seed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        ctx.rate, ctx.seed = rate, loops.new_seed()
        return loops.drop(x.contiguous(), rate, ctx.seed)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:
        return loops.drop(outputs[0].contiguous(), ctx.rate, ctx.seed), None


def dropout(x: Tensor, rate: float) -> Tensor:
    """Returns `x` with a share of its numbers set to 0 and the others scaled up."""
    return _Dropout.apply(x, rate) if in_loops(x) else F.dropout(x, rate)  # type: ignore[return-value]


def _dropout_layer(module: nn.Dropout, x: Tensor) -> Tensor:
    return dropout(x, module.p) if module.training and module.p else x


class _FrozenNorm(torch.autograd.Function):
    """`w * x / rms(x)` with frozen weights w (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.epsilon = epsilon
        return loops.norm(x, weight, epsilon)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        x, weight = ctx.saved_tensors
        return loops.norm_back(x, weight, outputs[0].contiguous(), ctx.epsilon), None, None


def _norm(module: Any, x: Tensor) -> Tensor:
    if is_trained(module.weight) or x.dtype != module.weight.dtype:
        return type(module).forward(module, x)
    if in_loops(x):
        return _FrozenNorm.apply(x, module.weight, module.variance_epsilon)  # type: ignore[return-value]
    return F.rms_norm(x, x.shape[-1:], module.weight, module.variance_epsilon)


def is_trained(weight: Tensor) -> bool:
    """Returns whether a gradient of the weight is asked for."""
    return weight.requires_grad and torch.is_grad_enabled()


class _GatedGelu(torch.autograd.Function):
    """`gelu(gate) * value` (Shazeer 2020, arXiv 2002.05202), with dropout whose mask is a seed."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor, rate: float) -> Tensor:
        ctx.save_for_backward(gate, value)
        ctx.rate, ctx.seed = rate, loops.new_seed() if rate else 0
        return loops.gated_gelu(gate, value, rate, ctx.seed)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        gate, value = ctx.saved_tensors
        of_gate, of_value = loops.gated_gelu_back(gate, value, outputs[0].contiguous(), ctx.rate, ctx.seed)
        return of_gate, of_value, None


class _GatedGeluByTorch(torch.autograd.Function):
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


def _is_tanh_gelu(activation: Any) -> bool:
    x = torch.linspace(-3, 3, 31)
    return torch.allclose(activation(x), F.gelu(x, approximate="tanh"), atol=1e-6, rtol=0)


def _gated(module: Any, x: Tensor) -> Tensor:
    gate, value = module.wi_0(x), module.wi_1(x)
    rate = module.dropout.p if module.training else 0.0
    if in_loops(gate):
        return module.wo(_GatedGelu.apply(gate, value, rate))
    inner: Any = _GatedGeluByTorch.apply(gate, value)
    return module.wo(F.dropout(inner, rate) if rate else inner)
