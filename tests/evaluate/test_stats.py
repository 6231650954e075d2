"""Intervals cover what they should, tests find what is there and little else, and draws are paired."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from lingport.evaluate.stats import Draws, Estimate, holm, mean_of, over_seeds, resampled_scores
from lingport.tasks.metrics import f1, mean

DRAWS = Draws(2000)


def tally(right) -> np.ndarray:
    values = np.asarray(right, dtype=np.float64)
    return np.stack([values, np.ones_like(values)], axis=1)


def estimate(*seeds, draws=DRAWS, examples="x") -> Estimate:
    """Of one configuration: for each seed, which examples are right."""
    tallies = [tally(right) for right in seeds]
    values = [float(each[:, 0].mean()) for each in tallies]
    return over_seeds(draws, range(1, len(seeds) + 1), values, resampled_scores(draws, tallies, mean), examples)


def some(share, num=100, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).random(num) < share


def test_one_seed_is_the_binomial_interval():
    right = np.arange(200) < 60
    low, high = estimate(right).interval()
    assert (low, high) == pytest.approx(binom.ppf([0.025, 0.975], 200, 0.3) / 200, abs=0.011)


def test_seeds_that_differ_widen_the_interval_by_their_own_variance():
    alike, apart = [np.arange(100) < 50] * 3, [np.arange(100) < count for count in (40, 50, 60)]
    assert np.var(estimate(*apart).resamples) > np.var(estimate(*alike).resamples)
    # Without chance in the examples what is left is the variance of a mean of seeds, s ** 2 / S.
    none_wrong = [np.full(10, value) for value in (0.4, 0.5, 0.6)]
    assert np.var(estimate(*none_wrong, draws=Draws(20_000)).resamples) == pytest.approx(0.01 / 3, rel=0.05)
    two = [np.full(10, value) for value in (0.4, 0.6)]
    assert np.var(estimate(*two, draws=Draws(20_000)).resamples) == pytest.approx(0.02 / 2, rel=0.05)


def test_seeds_share_their_examples():
    """The same answers under three seeds are no more evidence than under one."""
    right = some(0.5)
    assert np.var(estimate(right, right, right).resamples) == pytest.approx(np.var(estimate(right).resamples))


def test_pairs_cancel_what_two_configurations_share():
    one, other = estimate(some(0.5)), estimate(some(0.5))
    assert np.all(one.minus(other).resamples == 0) and one.minus(other).p_value() == 1


def test_a_clear_difference_is_found_and_a_small_one_is_not():
    base = np.arange(100) < 40
    clear, small = np.arange(100) < 60, np.arange(100) < 41
    assert estimate(clear).minus(estimate(base)).p_value() == pytest.approx(1 / 2001)
    assert estimate(small).minus(estimate(base)).p_value() > 0.2
    low, high = estimate(clear).minus(estimate(base)).interval()
    assert 0.1 < low < 0.2 < high < 0.3


def test_chance_alone_is_called_a_difference_about_as_often_as_said():
    draws = Draws(400)
    random = np.random.default_rng(1)
    found = [
        estimate(random.random(150) < 0.4, draws=draws).minus(estimate(random.random(150) < 0.4, draws=draws)).p_value()
        for _ in range(300)
    ]
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09


def test_intervals_hold_the_truth_about_as_often_as_said():
    draws = Draws(400)
    random = np.random.default_rng(2)
    inside = 0
    for _ in range(300):
        low, high = estimate(random.random(150) < 0.4, draws=draws).interval()
        inside += low <= 0.4 <= high
    assert 0.9 < inside / 300 < 0.98


def test_a_score_of_sums_is_resampled_as_one():
    counts = np.random.default_rng(3).integers(0, 4, size=(50, 3)).astype(float)
    draws = Draws(30)
    weights = np.concatenate(list(draws.examples(50)))
    assert weights.sum(axis=1) == pytest.approx(np.full(30, 50))
    by_hand = [f1(np.repeat(counts, row.astype(int), axis=0).sum(axis=0)) for row in weights]
    both = resampled_scores(draws, [counts, counts[::-1]], f1)
    assert both[0] == pytest.approx(np.array(by_hand))
    assert both.shape == (2, 30) and not np.array_equal(both[0], both[1])


def test_the_same_seed_gives_the_same_draws_however_much_is_kept(monkeypatch):
    monkeypatch.setattr("lingport.evaluate.stats._BLOCK", 7 * 40)
    small_blocks = [block.shape for block in Draws(20).examples(40)]
    assert small_blocks == [(7, 40), (7, 40), (6, 40)]
    again = Draws(20)
    first, second = (np.concatenate(list(again.examples(40))) for _ in range(2))
    monkeypatch.undo()
    assert np.array_equal(first, second) and np.array_equal(first, np.concatenate(list(Draws(20).examples(40))))
    assert not np.array_equal(first, np.concatenate(list(Draws(20, seed=1).examples(40))))
    assert np.array_equal(Draws(20).seeds([1, 2, 3]), Draws(20).seeds([1, 2, 3]))


def test_the_order_of_seeds_does_not_matter():
    rows = np.random.default_rng(4).random((3, 2000))
    one = over_seeds(DRAWS, [1, 2, 3], [0.1, 0.2, 0.3], rows, "x")
    other = over_seeds(DRAWS, [3, 1, 2], [0.3, 0.1, 0.2], rows[[2, 0, 1]], "x")
    assert np.array_equal(one.resamples, other.resamples) and one.value == pytest.approx(other.value)


def test_other_examples_are_not_paired():
    with pytest.raises(ValueError, match="different test examples"):
        estimate(some(0.5)).minus(estimate(some(0.5), examples="y"))


def test_means_over_languages():
    one, other = estimate(some(0.5)), estimate(some(0.3, seed=1), examples="y")
    both = mean_of([one, other])
    assert both.value == pytest.approx((one.value + other.value) / 2)
    assert np.var(both.resamples) == pytest.approx(np.var(one.resamples + other.resamples) / 4)
    assert mean_of([one, other]).minus(both).value == 0


def test_holm_by_hand():
    # 0.01 * 4; 0.02 * 3; 0.03 * 2; 0.04, but no smaller than the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0] and holm([]) == []
