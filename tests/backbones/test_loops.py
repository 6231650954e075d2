"""The loops on a processor against torch in float64: numbers, gradients, what dropout drops, what is no number."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from lingport.backbones import compiled, loops

dtypes = pytest.mark.parametrize("dtype", loops.DTYPES)
# Of the largest number: two roundings to bfloat16, and the last bits of float32.
TOLERANCES = {torch.float32: 1e-6, torch.bfloat16: 2**-7}
RATE = 0.25


def numbers(*shape, dtype, seed=0):
    return (2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


def assert_close(found, expected):
    assert found.isfinite().all()
    assert (found.double() - expected).abs().max() <= TOLERANCES[found.dtype] * expected.abs().max()


@dtypes
@pytest.mark.parametrize(
    "bias_shape", [None, (1, 3, 5, 37), (1, 1, 1, 37), (2, 1, 5, 37), (2, 1, 1, 37), (2, 3, 5, 37)]
)
def test_a_softmax_with_a_bias_is_torchs(dtype, bias_shape):
    scores = numbers(2, 3, 5, 37, dtype=dtype)
    bias = None if bias_shape is None else numbers(*bias_shape, dtype=dtype, seed=1)
    if bias is not None:
        bias[..., 30:] = torch.finfo(dtype).min  # as padding is told
    expected = torch.softmax(scores.double() + (0 if bias is None else bias.double()), -1)
    found = loops.softmax(scores.clone(), bias, 0.0, 7)
    assert_close(found, expected)
    if bias is not None:
        assert not found[..., 30:].any()


@dtypes
def test_gradients_of_a_softmax_with_dropout_are_those_of_what_was_kept(dtype):
    scores, grad = (numbers(2, 3, 50, 64, dtype=dtype, seed=seed) for seed in (0, 1))
    used = loops.softmax(scores.clone(), None, RATE, 7)
    kept = loops.softmax(scores.clone(), None, RATE, 7, signed=True)
    assert torch.equal(kept.clamp(min=0), used)
    assert (kept < 0).float().mean().item() == pytest.approx(RATE, abs=0.01)
    whole = scores.double().requires_grad_()
    expected = torch.softmax(whole, -1) * (kept > 0) / (1 - RATE)
    (of_scores,) = torch.autograd.grad(expected, whole, grad.double())
    assert_close(used, expected.detach())
    found, weights = loops.softmax_back(grad.clone(), kept, RATE)
    assert_close(found, of_scores)
    assert torch.equal(weights, used)


@dtypes
@pytest.mark.parametrize("rate", [0.0, RATE])
def test_a_gated_gelu_and_its_gradients_are_torchs(dtype, rate):
    gate, value, grad = (numbers(40, 65, dtype=dtype, seed=seed) for seed in range(3))
    found = loops.gated_gelu(gate, value, rate, 7)
    kept = found != 0
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=0.02)
    of_gate, of_value = gate.double().requires_grad_(), value.double().requires_grad_()
    expected = F.gelu(of_gate, approximate="tanh") * of_value * kept / (1 - rate)
    assert_close(found, expected.detach())
    expected_grads = torch.autograd.grad(expected, (of_gate, of_value), grad.double())
    for each, wanted in zip(loops.gated_gelu_back(gate, value, grad, rate, 7), expected_grads, strict=True):
        assert_close(each, wanted)


@dtypes
def test_gelu_is_exact_far_from_0(dtype):
    gate = torch.tensor([[-1e4, -100.0, -8.0, -1e-3, 0.0, 1e-3, 8.0, 100.0, 1e4]]).to(dtype)
    ones = torch.ones_like(gate)
    whole = gate.double().requires_grad_()
    expected = F.gelu(whole, approximate="tanh")
    found, (of_gate, _) = loops.gated_gelu(gate, ones, 0.0, 0), loops.gated_gelu_back(gate, ones, ones, 0.0, 0)
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(found.double(), expected.detach(), rtol=tolerance, atol=1e-12)
    (slopes,) = torch.autograd.grad(expected.sum(), whole)
    torch.testing.assert_close(of_gate.double(), slopes, rtol=tolerance, atol=1e-12)


@dtypes
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_a_norm_and_its_gradient_are_torchs(dtype, size):
    x, grad = (numbers(2, 30, 48, dtype=dtype, seed=seed) * size for seed in (0, 1))
    weight = numbers(48, dtype=dtype, seed=2)
    whole = x.double().requires_grad_()
    expected = F.rms_norm(whole, (48,), weight.double(), 1e-6)
    assert_close(loops.norm(x, weight, 1e-6), expected.detach())
    (of_x,) = torch.autograd.grad(expected, whole, grad.double())
    assert_close(loops.norm_back(x, weight, grad, 1e-6), of_x)


@dtypes
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(dtype, rate):
    ones = torch.ones(301, 333, dtype=dtype)
    once, other = loops.drop(ones, rate, 7), loops.drop(ones, rate, 8)
    assert set(once.unique().tolist()) == {0.0, torch.tensor(1 / (1 - rate)).to(dtype).item()}
    assert (once == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert torch.equal(once, loops.drop(ones, rate, 7))
    assert ((once == 0) & (other == 0)).float().mean().item() == pytest.approx(rate**2, abs=0.005)


def test_what_is_dropped_hangs_together_neither_along_rows_nor_across_them():
    dropped = (loops.drop(torch.ones(512, 512), 0.5, 7) == 0).float() - 0.5
    spread = 0.25 / 512  # of a mean of 512 x 512 products of two coins
    for down in range(4):
        for along in range(-3, 4):
            if (down, along) > (0, 0):
                moved = dropped.roll((down, along), (0, 1))
                assert abs((dropped * moved).mean().item()) < 4.5 * spread, (down, along)
    assert dropped.mean(0).abs().max() < 5 * 0.5 / math.sqrt(512)  # no column is dropped more often
    assert dropped.mean(1).abs().max() < 5 * 0.5 / math.sqrt(512)


@dtypes
def test_what_is_dropped_depends_on_all_of_a_seed(dtype):
    ones = torch.ones(64, 64, dtype=dtype)
    found = [loops.drop(ones, 0.5, seed) for seed in (0, 1, 2**32, 2**61)]
    for place, one in enumerate(found):
        for other in found[:place]:
            assert 0.4 < (one == other).float().mean() < 0.6


@dtypes
def test_powers_of_e_and_their_sums_are_torchs(dtype):
    scores, highest, totals = numbers(9, 70, dtype=dtype), torch.randn(9, 1), torch.ones(9, 1)
    expected = (scores.double() - highest).exp()
    found = loops.powers_of_e(scores, highest, totals)
    torch.testing.assert_close(found.double(), expected, rtol=TOLERANCES[dtype], atol=0)
    torch.testing.assert_close(totals.double(), 1 + found.double().sum(-1, keepdim=True), rtol=1e-6, atol=0)


@dtypes
def test_the_best_of_tiles_is_that_of_the_whole_row(dtype):
    scores = numbers(6, 90, dtype=dtype)
    scores[2, 10] = scores[2, 55] = 9.0  # equal ones: the first
    scores[3, 70] = 30.0  # in a tile that is not the first
    highest, places, totals = torch.full((6,), -math.inf), torch.zeros(6, dtype=torch.long), torch.zeros(6)
    for start in range(0, 90, 40):
        loops.update_best(scores[:, start : start + 40].contiguous(), start, highest, places, totals)
    assert torch.equal(highest, scores.float().max(-1).values)
    assert places.tolist() == scores.float().argmax(-1).tolist()
    assert (places[2], places[3]) == (10, 70)
    expected = (scores.double() - highest.double()[:, None]).exp().sum(-1)
    torch.testing.assert_close(totals.double(), expected, rtol=1e-6, atol=0)


def test_powers_of_e_at_the_ends_of_what_float32_holds():
    scores = torch.tensor([[-math.inf, -200.0, -87.0, -1e-8, 0.0, 88.0]])
    found = loops.powers_of_e(scores.clone(), torch.zeros(1, 1), torch.zeros(1, 1))
    torch.testing.assert_close(found, scores.exp(), rtol=1e-6, atol=1e-30)
    huge = loops.powers_of_e(torch.tensor([[89.0, 1e30, math.inf]]), torch.zeros(1, 1), torch.zeros(1, 1))
    assert (huge > 1e38).all()  # the loss sees by the total that this is not to be relied on


@dtypes
def test_what_is_no_number_stays_none(dtype):
    x = numbers(3, 40, dtype=dtype)
    x[1, 5] = math.nan
    ones, totals = torch.ones(40, dtype=dtype), torch.zeros(3, 1)
    loops.powers_of_e(x.clone(), torch.zeros(3, 1), totals)
    found = (
        totals,
        loops.softmax(x.clone()[None, None], None, 0.0, 0)[0, 0],
        loops.norm(x, ones, 1e-6),
        loops.norm_back(x, ones, x, 1e-6),
        loops.gated_gelu(x, x, 0.0, 0),
        *loops.gated_gelu_back(x, x, x, 0.0, 0),
        loops.drop(x, 0.0, 0),
    )
    for each in found:
        assert each.isnan().any(-1).tolist() == [False, True, False]


@dtypes
def test_numbers_do_not_depend_on_how_many_threads_there_are(dtype):
    scores, value = numbers(4, 4, 64, 64, dtype=dtype), numbers(512, 256, dtype=dtype)

    def computed():
        return (
            loops.softmax(scores.clone(), None, RATE, 7),
            *loops.gated_gelu_back(value, value, value, RATE, 7),
            loops.norm(value, value[0], 1e-6),
        )

    threads = torch.get_num_threads()
    found = []
    for number in (1, 2):
        torch.set_num_threads(number)
        found.append(computed())
        assert torch.get_num_threads() == number
    torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


CODE = """
import hashlib, torch
from lingport.backbones import compiled, loops
torch.manual_seed(0)
x = torch.randn(1, 3, 50, 333)
found = loops.softmax_back(x.clone(), loops.softmax(x.clone(), None, 0.1, 7, signed=True), 0.1)
found += loops.norm_back(x[0, 0], x[0, 0, 0], x[0, 1], 1e-6), loops.powers_of_e(x[0, 0], *torch.zeros(2, 50, 1))
loops.use_all()
loops_found = [each for each in vars(compiled).values() if hasattr(each, "signatures")]
kernels = [each for each in loops_found if each.targetoptions.get("parallel")]
missed = sum(sum(each.stats.cache_misses.values()) for each in kernels)
print(len(kernels), missed, hashlib.sha256(b"".join(each.numpy().tobytes() for each in found)).hexdigest())
"""


def test_the_first_process_computes_the_bits_of_all_later_ones(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    number, missed, _ = first.split()
    assert int(missed) == 0, "compiled in the process that computes"
    assert int(number) == (9 if compiled.softmax.targetoptions.get("parallel") else 0)
