"""Muon for many small matrices: the steps of `torch.optim.Muon`, all matrices of one shape at once.

A model of this size has dozens of matrices too small to fill a core; orthogonalised one by one they took longer
than the forward and backward pass together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor

# The quintic of Keller Jordan's Muon: steep at 0, and near 1 for singular values from 0.7 to 1.2
COEFFICIENTS = (3.4445, -4.775, 2.0315)
NUM_ITERATIONS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """Returns matrices (N, A, B) with their singular values pushed towards 1.

    Newton-Schulz iteration of Muon (Jordan et al. 2024), as in `torch.optim.Muon`.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT.contiguous() if is_tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class StackedMuon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, its steps of the size that AdamW's have.

    Equal to `torch.optim.Muon(..., adjust_lr_fn="match_rms_adamw")` up to bfloat16 rounding.

    Args:
        params: Matrices only.
        lr: Learning rate.
        momentum: Of the running mean of gradients.
        weight_decay: Decoupled, times the learning rate.
        dtype: Of the products by which steps are found, which need not be exact.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        *,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Takes one step; closures are not supported."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for parameters in by_shape.values():
                self._step_together(parameters, group)

    def _step_together(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = torch.stack([cast(Tensor, parameter.grad) for parameter in parameters])
        buffers = [self._buffer(parameter) for parameter in parameters]
        averaged = torch.stack(buffers).lerp_(gradients, 1.0 - group["momentum"])
        updates = orthogonalised(gradients.lerp_(averaged, group["momentum"]).to(self._dtype)).float()
        size = 0.2 * math.sqrt(max(parameters[0].shape))
        for parameter, buffer, average, update in zip(parameters, buffers, averaged, updates, strict=True):
            buffer.copy_(average)
            parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-group["lr"] * size)

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]
