"""The optimisers and the schedule of the paper's runs (method, section 3).

Shapes: R rows, C columns of a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lingport.config.training import TrainingSettings
from lingport.registry import Registry

OPTIMIZERS: Registry[Callable[[Iterable[nn.Parameter], TrainingSettings], Optimizer]] = Registry(
    "optimizer",
    {"adamw": "lingport.train.optim:_adamw", "adafactor": "lingport.train.optim:_adafactor"},
)


class Adafactor(Optimizer):
    """Adafactor at a given rate: no relative step, no parameter scaling, no momentum.

    Shazeer and Stern 2018 (arXiv 1804.04235), algorithms 4 and 5 with the update clipped at a root mean square of
    1. The same numbers as `transformers.optimization.Adafactor(scale_parameter=False, relative_step=False)`;
    `torch.optim.Adafactor` computes something else (it scales by the parameter's own root mean square and caps the
    rate at 1 / sqrt(step)).

    Args:
        parameters: What is optimised.
        lr: Rate.
        weight_decay: Decoupled weight decay.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Makes one step; a parameter without gradient stays."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad.float(), self.state[parameter], group)
        return loss

    def _update(self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        factored = grad.dim() >= 2
        if not state:
            state["step"] = torch.tensor(0.0)
            if factored:
                state["row"] = grad.new_zeros(grad.shape[:-1])
                state["column"] = grad.new_zeros(grad.shape[:-2] + grad.shape[-1:])
            else:
                state["square"] = torch.zeros_like(grad)
        state["step"] += 1
        decay = 1.0 - state["step"].item() ** -0.8
        square = grad**2 + 1e-30
        if factored:
            state["row"].mul_(decay).add_(square.mean(dim=-1), alpha=1.0 - decay)
            state["column"].mul_(decay).add_(square.mean(dim=-2), alpha=1.0 - decay)
            row, column = state["row"], state["column"]
            scale_rc = (row / row.mean(dim=-1, keepdim=True)).rsqrt_().unsqueeze(-1) * column.unsqueeze(-2).rsqrt()
        else:
            state["square"].mul_(decay).add_(square, alpha=1.0 - decay)
            scale_rc = state["square"].rsqrt()
        update = scale_rc.mul_(grad)
        update.div_((update.norm(2) / update.numel() ** 0.5).clamp_(min=1.0)).mul_(group["lr"])
        if group["weight_decay"]:
            parameter.add_(parameter, alpha=-group["weight_decay"] * group["lr"])
        parameter.sub_(update.to(parameter.dtype))


def rate_at(step: int, settings: TrainingSettings) -> float:
    """Returns the learning rate of a step (0 is the first): linear warm-up, then linear decay or constant."""
    if step < settings.warmup_steps:
        return settings.learning_rate * step / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    left = (settings.steps - step) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * max(0.0, left)


def _adamw(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> Optimizer:
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _adafactor(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> Optimizer:
    return Adafactor(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
