"""The loss at a frozen head, without ever holding the scores of all tokens.

The head's weights need no gradient, so the gradient of the hidden states is known as soon as a token's scores are:
both come out of one pass over small pieces of tokens. Padding is never scored. Same numbers as a softmax over all
scores, up to float rounding. Source: ours.
Shapes: N target tokens, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_SCORES_AT_ONCE = 2**21  # 8 MiB in float32: stays in a processor's cache


class _FrozenHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor) -> Tensor:
        losses = torch.empty(len(hidden_nd), dtype=torch.float32, device=hidden_nd.device)
        grads = torch.empty_like(hidden_nd) if ctx.needs_input_grad[0] else None
        size = max(1, _SCORES_AT_ONCE // len(weight_vd))
        for start in range(0, len(hidden_nd), size):
            part = slice(start, start + size)
            targets = targets_n[part, None]
            scores = F.linear(hidden_nd[part], weight_vd).float()
            total = scores.logsumexp(dim=-1, keepdim=True)
            losses[part] = (total - scores.gather(1, targets)).squeeze(1)
            if grads is not None:
                shares = scores.sub_(total).exp_()
                shares.scatter_add_(1, targets, shares.new_full(targets.shape, -1.0))
                grads[part] = shares.to(weight_vd.dtype) @ weight_vd
        ctx.save_for_backward(*([] if grads is None else [grads]))
        return losses

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, None, None]:
        (grads,) = ctx.saved_tensors
        return grads * outputs[0][:, None].to(grads.dtype), None, None


def frozen_head_loss(hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor) -> Tensor:
    """Returns the negative log-likelihood (N,) in nats of each target, in float32.

    Args:
        hidden_nd: Last hidden states, as the head takes them.
        weight_vd: The head's weights; no gradient flows into them.
        targets_n: Token ids.
    """
    return _FrozenHeadLoss.apply(hidden_nd, weight_vd, targets_n)  # type: ignore[return-value]
