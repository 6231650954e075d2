"""The loss at a frozen head on a GPU: matrix products of cuBLAS, and one Triton kernel for all that is between them.

Only imported where it is used: Triton comes with torch's builds for GPUs, and with no other. Source: ours.
Shapes: N target tokens of a chunk, D width, V vocabulary.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

#: scores held at once: 256 MiB of bfloat16, enough rows for cuBLAS to be fast
SCORES_AT_ONCE = 2**27
_BLOCK = 8192  # scores of a row that are worked on at once
_WARPS = 16


@triton.jit
def _softmax_less_target(
    scores_ptr, row_stride, vocabulary, targets_ptr, chosen_ptr, smoothing_ptr, losses_ptr, wants_grad: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """Writes a row's loss, and in the place of its scores the gradient of the loss by them.

    With smoothing e the target's distribution gives `1 - e` to the target and `e / V` to all tokens; the loss is
    `log(sum(exp(scores))) - (1 - e) scores[target] - e mean(scores)`, its gradient the softmax less that distribution.
    """
    row = tl.program_id(0).to(tl.int64)
    scores_ptr += row * row_stride
    target = tl.load(targets_ptr + row)
    smoothing = tl.load(smoothing_ptr + row)
    places = tl.arange(0, block)
    highest = tl.full((), float("-inf"), tl.float32)
    total = tl.zeros((), tl.float32)  # of exp(score - highest): the online softmax
    plain = tl.zeros((), tl.float32)
    for start in range(0, vocabulary, block):
        there = start + places < vocabulary
        scores = tl.load(scores_ptr + start + places, mask=there, other=float("-inf")).to(tl.float32)
        raised = tl.maximum(highest, tl.max(scores))
        total = total * tl.exp(highest - raised) + tl.sum(tl.exp(scores - raised))
        plain += tl.sum(tl.where(there, scores, 0.0))
        highest = raised
    chosen = tl.load(chosen_ptr + row).to(tl.float32)
    expected = (1 - smoothing) * chosen + smoothing * plain / vocabulary
    tl.store(losses_ptr + row, highest + tl.log(total) - expected)
    if wants_grad:
        for start in range(0, vocabulary, block):
            there = start + places < vocabulary
            scores = tl.load(scores_ptr + start + places, mask=there, other=float("-inf")).to(tl.float32)
            wanted = tl.where(start + places == target, 1 - smoothing, 0.0) + smoothing / vocabulary
            grads = tl.exp(scores - highest) / total - wanted
            tl.store(scores_ptr + start + places, grads.to(scores_ptr.dtype.element_ty), mask=there)


def head_loss(
    hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor, smoothing_n: Tensor | None, *, wants_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """Returns the cross-entropy (N,) in float32, and its gradient (N, D) by the hidden states if it is wanted.

    Args:
        hidden_nd: Last hidden states, as the head takes them.
        weight_vd: The head's weights.
        targets_n: Token ids.
        smoothing_n: Label smoothing; None: none.
        wants_grad: Whether to compute the gradient.
    """
    num_rows, vocabulary = len(hidden_nd), len(weight_vd)
    losses = torch.empty(num_rows, dtype=torch.float32, device=hidden_nd.device)
    grads = torch.empty_like(hidden_nd) if wants_grad else None
    smoothing = torch.zeros_like(losses) if smoothing_n is None else smoothing_n.float().contiguous()
    num_chunks = max(1, -(-num_rows * vocabulary // SCORES_AT_ONCE))
    size = max(1, -(-num_rows // num_chunks))
    buffer = hidden_nd.new_empty(min(size, num_rows), vocabulary)
    with torch.cuda.device_of(hidden_nd):  # Triton starts kernels on the current GPU
        for start in range(0, num_rows, size):
            rows = slice(start, start + size)
            targets = targets_n[rows]
            scores = torch.mm(hidden_nd[rows], weight_vd.T, out=buffer[: len(targets)])
            chosen = scores.gather(1, targets[:, None])  # before the kernel overwrites it
            _softmax_less_target[(len(targets),)](  # pyright: ignore[reportIndexIssue]
                scores, scores.stride(0), vocabulary, targets, chosen, smoothing[rows], losses[rows],
                wants_grad=wants_grad, block=_BLOCK, num_warps=_WARPS,
            )  # fmt: skip
            if grads is not None:
                torch.mm(scores, weight_vd, out=grads[rows])
    return losses, grads
