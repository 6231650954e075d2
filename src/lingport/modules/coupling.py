"""Invertible coupling of the encoder's input embeddings: additive coupling layers (NICE).

Dinh et al. 2015 (arXiv 1410.8516, section 3.2), as MAD-X puts it behind the embeddings (Pfeiffer et al. 2020,
arXiv 2005.00052, section 4.3). Difference to MAD-X: the inverse before the output embeddings is not computed, as
AdapterHub does not compute it in `T5ForConditionalGeneration` and `MT5ForConditionalGeneration` either.
Shapes: B rows, S tokens, D model width, A = D // 2 and C = D - A the two halves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lingport.errors import ModuleError


class Coupling(nn.Module):
    """`[a ; c] -> [a' ; c']` with `a' = a + F(c)` and `c' = c + G(a')`; F and G are bottlenecks.

    Args:
        tensors: `first_down_weight` (C // reduction, C), `first_up_weight` (A, C // reduction) of F, `second_...` of G
            with A and C exchanged, and a bias for each.
    """

    NAMES = tuple(
        f"{net}_{way}_{part}" for net in ("first", "second") for way in ("down", "up") for part in ("weight", "bias")
    )

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name in self.NAMES:
            self.register_parameter(name, nn.Parameter(tensors[name]))

    @staticmethod
    def shapes(width: int, reduction: float) -> dict[str, tuple[int, ...]]:
        """Returns the shape of each tensor for a width D.

        Raises:
            ModuleError: The reduction leaves no bottleneck.
        """
        a, c = width // 2, width - width // 2
        shapes: dict[str, tuple[int, ...]] = {}
        for net, wide, out in (("first", c, a), ("second", a, c)):
            narrow = int(wide // reduction)
            if narrow < 1:
                raise ModuleError(
                    f"coupling_reduction={reduction} leaves no bottleneck of a width of {wide}",
                    hint=f"use a reduction of at most {wide}",
                )
            shapes |= {f"{net}_down_weight": (narrow, wide), f"{net}_down_bias": (narrow,)}
            shapes |= {f"{net}_up_weight": (out, narrow), f"{net}_up_bias": (out,)}
        return shapes

    @classmethod
    def build(cls, width: int, reduction: float, *, std: float, generator: torch.Generator) -> Self:
        """Returns a coupling with weights N(0, std) and biases 0."""
        return cls(
            {
                name: torch.zeros(shape) if name.endswith("bias") else torch.randn(shape, generator=generator) * std
                for name, shape in cls.shapes(width, reduction).items()
            }
        )

    def transform(self, activation: Callable[[Tensor], Tensor], x_bsd: Tensor) -> Tensor:
        """Returns the coupled embeddings (B, S, D)."""
        a_bsa, c_bsc = x_bsd.split([x_bsd.shape[-1] // 2, x_bsd.shape[-1] - x_bsd.shape[-1] // 2], dim=-1)
        a_bsa = a_bsa + self._net("first", activation, c_bsc)
        c_bsc = c_bsc + self._net("second", activation, a_bsa)
        return torch.cat([a_bsa, c_bsc], dim=-1)

    def _net(self, net: str, activation: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        def part(name: str) -> Tensor:
            return self.get_parameter(f"{net}_{name}").to(x.dtype)

        hidden = activation(linear(x, part("down_weight"), part("down_bias")))
        return linear(hidden, part("up_weight"), part("up_bias"))
