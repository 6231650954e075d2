"""The loss at a frozen head, and its most likely token, without ever holding the scores of all tokens.

The head's weights need no gradient, so the gradient of the hidden states is the expected row of the head minus the
target's row. Both the softmax's total and that expectation are gathered in one pass over tiles of the vocabulary, so
that each of the head's weights is read once. Usual scores are raised to powers of e as they are, which float32 and
bfloat16 both hold up to e^88; large ones are rescaled whenever a larger one turns up (the online softmax of Milakov and
Gimelshein 2018, arXiv 1805.02867). Same numbers as a softmax over all scores, up to float rounding.
On a GPU a kernel does it in chunks of target tokens (`kernels.py`), and this is what stands in for it.
Shapes: N target tokens, D width, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lingport.backbones import loops
from lingport.backbones.fused import in_loops

logger = logging.getLogger(__name__)

HeadLoss = Callable[..., tuple[Tensor, Tensor | None]]

# Scores held at once: 8 MiB of bfloat16, which a processor's caches hold; an accelerator wants larger products.
_SCORES_ON_CPU = 2**22
_SCORES_ON_ACCELERATOR = 2**27
_ROWS_OF_A_PRODUCT = 320  # of many terms; oneDNN may leave one of more rows to one thread
_LARGE_SCORE = 40.0  # of a target: others may be so much larger that their powers of e are no numbers
_LARGE_TOTAL = 1e25


class _Sums(NamedTuple):
    """Of each token's softmax: what scores were taken down by, and the total (N, 1) of their powers of e.

    `expected` (N, D) is the expected row of the head times that total, or None if no gradient is wanted.
    """

    highest: Tensor
    total: Tensor
    expected: Tensor | None


def _softmax_sums(hidden_nd: Tensor, weight_vd: Tensor, *, online: bool, wants_grad: bool) -> _Sums:
    """Gathers a softmax's sums over tiles of the vocabulary; `online` takes scores down by the highest so far."""
    num_rows = len(hidden_nd)
    highest = hidden_nd.new_full((num_rows, 1), -torch.inf if online else 0.0)
    total = hidden_nd.new_zeros((num_rows, 1), dtype=torch.float32)
    expected = torch.zeros_like(hidden_nd, dtype=torch.float32) if wants_grad else None
    at_once = _rows_of_a_product(hidden_nd)
    for scores, tile_vd in _scored_tiles(hidden_nd, weight_vd):
        if online:
            raised = torch.maximum(highest, scores.amax(-1, keepdim=True))
            shrink = (highest.float() - raised.float()).exp_()
            highest = raised
            total.mul_(shrink)
            if expected is not None:
                expected.mul_(shrink)
        shares = _powers_of_e(scores, highest, total)
        if expected is not None:
            for rows, own in zip(expected.split(at_once), shares.split(at_once), strict=True):
                rows.add_(own @ tile_vd)
    return _Sums(highest, total, expected)


class _FrozenHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor, smoothing_n: Tensor | None
    ) -> Tensor:
        wants_grad = ctx.needs_input_grad[0]
        if by_kernel := _kernel(hidden_nd.device, hidden_nd.dtype):
            losses, grads = by_kernel(hidden_nd, weight_vd, targets_n, smoothing_n, wants_grad=wants_grad)
            if wants_grad:
                ctx.save_for_backward(grads)
            return losses
        rows = weight_vd[targets_n].float()
        # Rounded as the scores in the total are: the target's share of it is then not counted askew.
        chosen = (hidden_nd.float() * rows).sum(-1).to(hidden_nd.dtype).float()
        # Where asking for a number means waiting for an accelerator, it is not asked how large scores are.
        online = hidden_nd.device.type != "cpu" or bool((chosen.abs() > _LARGE_SCORE).any())
        sums = _softmax_sums(hidden_nd, weight_vd, online=online, wants_grad=wants_grad)
        if not online and not bool(((sums.total > 1 / _LARGE_TOTAL) & (sums.total < _LARGE_TOTAL)).all()):
            sums = _softmax_sums(hidden_nd, weight_vd, online=True, wants_grad=wants_grad)
        if smoothing_n is not None:  # the mean score of all tokens is the score of the head's mean row
            mean = weight_vd.mean(0, dtype=torch.float32)
            chosen = chosen.lerp(hidden_nd.float() @ mean, smoothing_n)
            rows = rows.lerp(mean.expand_as(rows), smoothing_n[:, None])
        if sums.expected is not None:
            ctx.save_for_backward(sums.expected.div_(sums.total).sub_(rows).to(hidden_nd.dtype))
        return (sums.highest.float() + sums.total.log()).squeeze(1) - chosen

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (grads,) = ctx.saved_tensors
        return grads * outputs[0][:, None].to(grads.dtype), None, None, None


@cache
def _kernel(device: torch.device, dtype: torch.dtype) -> HeadLoss | None:
    """Returns `kernels.head_loss` where it runs and gives the right numbers; None: nowhere but on a GPU with Triton."""
    if device.type != "cuda":
        return None
    try:
        from lingport.compose.kernels import head_loss

        check_kernel(head_loss, device, dtype)
    except Exception as error:  # Triton calls compilers of the user's machine, and that can fail in any way
        logger.warning("no Triton kernel for the loss, which takes more time without: %s", error, exc_info=True)
        return None
    return head_loss


def check_kernel(head_loss: HeadLoss, device: torch.device, dtype: torch.dtype) -> None:
    """Compares a kernel's numbers with torch's.

    Raises:
        RuntimeError: They differ.
    """
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(size, 4, generator=generator).to(device, dtype) / 2 for size in (4, 9001))
    targets, smoothing = torch.tensor([0, 8191, 8192, 9000], device=device), torch.full((4,), 0.1, device=device)
    losses, grads = head_loss(hidden, weight, targets, smoothing, wants_grad=True)
    assert grads is not None
    with torch.enable_grad():
        whole = hidden.double().requires_grad_()
        expected = F.cross_entropy(whole @ weight.double().T, targets, reduction="none", label_smoothing=0.1)
        (of_whole,) = torch.autograd.grad(expected.sum(), whole)
    for found, wanted in ((losses, expected.detach()), (grads, of_whole)):
        if not (found - wanted).abs().max() <= 0.02 * wanted.abs().mean():  # nor if one is no number
            raise RuntimeError("its numbers are not those of torch")


def _scored_tiles(hidden_nd: Tensor, weight_vd: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the scores of tiles of the vocabulary, all in the same memory, and the tiles."""
    num_rows = len(hidden_nd)
    at_once = _SCORES_ON_CPU if hidden_nd.device.type == "cpu" else _SCORES_ON_ACCELERATOR
    tiles = weight_vd.split(max(1, at_once // max(1, num_rows)))
    held = hidden_nd.new_empty(num_rows * len(tiles[0]))
    for tile_vd in tiles:
        scores = held[: num_rows * len(tile_vd)].view(num_rows, len(tile_vd))
        yield torch.mm(hidden_nd, tile_vd.T, out=scores), tile_vd


def _rows_of_a_product(hidden_nd: Tensor) -> int:
    num_rows = max(1, len(hidden_nd))
    if hidden_nd.device.type != "cpu" or torch.get_num_threads() == 1:
        return num_rows
    return -(-num_rows // -(-num_rows // _ROWS_OF_A_PRODUCT))


def _powers_of_e(scores_nv: Tensor, highest_n1: Tensor, totals_n1: Tensor) -> Tensor:
    """Returns e to the power of each score less its row's highest, in place; adds their sums to `totals_n1`."""
    if in_loops(scores_nv):
        return loops.powers_of_e(scores_nv, highest_n1.float(), totals_n1)
    powers = scores_nv.sub_(highest_n1).exp_()
    totals_n1.add_(powers.sum(-1, keepdim=True, dtype=torch.float32))
    return powers


def frozen_head_loss(
    hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor, *, smoothing_n: Tensor | None = None
) -> Tensor:
    """Returns the cross-entropy (N,) in nats of each target, in float32.

    Args:
        hidden_nd: Last hidden states, as the head takes them.
        weight_vd: The head's weights; no gradient flows into them.
        targets_n: Token ids.
        smoothing_n: Label smoothing: this share of the target's probability is spread over all tokens (Szegedy et al.
            2016, arXiv 1512.00567, section 7); None: none.
    """
    return _FrozenHeadLoss.apply(hidden_nd, weight_vd, targets_n, smoothing_n)  # type: ignore[return-value]


def most_likely(hidden_nd: Tensor, weight_vd: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the most likely token (N,) and its log-probability (N,) in float32.

    Args:
        hidden_nd: Last hidden states, as the head takes them.
        weight_vd: The head's weights.
    """
    highest = hidden_nd.new_full((len(hidden_nd),), -torch.inf, dtype=torch.float32)
    token = torch.zeros_like(highest, dtype=torch.long)
    total = torch.zeros_like(highest)
    start = 0
    for scores, tile_vd in _scored_tiles(hidden_nd, weight_vd):
        if in_loops(scores):
            loops.update_best(scores, start, highest, token, total)
        else:
            best, place = scores.max(-1)
            raised = torch.maximum(highest, best.float())
            token = torch.where(raised > highest, place + start, token)
            total.mul_((highest - raised).exp_())
            highest = raised
            _powers_of_e(scores, highest[:, None].to(scores.dtype), total[:, None])
        start += len(tile_vd)
    return token, -total.log()
