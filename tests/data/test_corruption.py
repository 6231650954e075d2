"""Span corruption: exact lengths, nothing lost, every segmentation equally likely."""

from __future__ import annotations

from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingport.data.corruption import (
    apply_mask,
    check_sentinels,
    corrupt,
    corrupted_lengths,
    noise_counts,
    noise_mask,
    raw_length,
    restore,
    segment_lengths,
)
from lingport.errors import ConfigError, DataError

SENTINELS = list(range(999, 899, -1))
END = 1

lengths = st.integers(2, 600)
densities = st.sampled_from([0.05, 0.15, 0.3, 0.5, 0.9])
means = st.sampled_from([1.0, 2.5, 3.0, 8.0])


def tokens(length: int) -> np.ndarray:
    return np.arange(10, 10 + length) % 800 + 10


def test_the_published_lengths():
    assert raw_length(256) == 284
    assert corrupted_lengths(284) == (256, 58)


@given(max_length=st.integers(4, 600), density=densities, mean=means)
def test_raw_length_is_the_largest_that_fits(max_length, density, mean):
    settings = {"density": density, "mean_span_length": mean}
    raw = raw_length(max_length, **settings)
    assert corrupted_lengths(raw, **settings)[0] <= max_length
    # far enough up that no later length can fit: each adds at least (1 - density) on average
    above = range(raw + 1, raw + 12)
    assert all(corrupted_lengths(length, **settings)[0] > max_length for length in above)


@given(length=lengths, density=densities, mean=means, seed=st.integers(0, 2**32))
def test_lengths_are_exact_and_nothing_is_lost(length, density, mean, seed):
    counts = noise_counts(length, density=density, mean_span_length=mean)
    if counts.num_spans > len(SENTINELS):
        return
    corrupted = corrupt(
        tokens(length),
        sentinel_ids=SENTINELS,
        end_id=END,
        rng=np.random.default_rng(seed),
        density=density,
        mean_span_length=mean,
    )
    expected = corrupted_lengths(length, density=density, mean_span_length=mean)
    assert (len(corrupted.input_ids), len(corrupted.target_ids)) == expected
    assert corrupted.input_ids[-1] == corrupted.target_ids[-1] == END
    used = [token for token in corrupted.input_ids if token in SENTINELS]
    assert used == SENTINELS[: counts.num_spans]
    assert used == [token for token in corrupted.target_ids if token in SENTINELS]
    assert restore(corrupted, sentinel_ids=SENTINELS).tolist() == tokens(length).tolist()


@given(length=lengths, density=densities, mean=means, seed=st.integers(0, 2**32))
def test_mask_alternates_and_has_the_counted_noise(length, density, mean, seed):
    mask = noise_mask(length, rng=np.random.default_rng(seed), density=density, mean_span_length=mean)
    counts = noise_counts(length, density=density, mean_span_length=mean)
    assert mask.sum() == counts.num_noise
    assert not mask[0]
    assert mask[-1]
    assert np.count_nonzero(np.diff(mask.astype(int)) == 1) == counts.num_spans


def test_the_same_seed_gives_the_same_corruption():
    drawn = [
        corrupt(tokens(90), sentinel_ids=SENTINELS, end_id=END, rng=np.random.default_rng(seed)) for seed in (3, 3, 4)
    ]
    assert drawn[0].target_ids.tolist() == drawn[1].target_ids.tolist()
    assert drawn[0].target_ids.tolist() != drawn[2].target_ids.tolist()


def test_every_segmentation_is_equally_likely():
    rng = np.random.default_rng(0)
    total, parts, draws = 7, 3, 6000
    seen = Counter(tuple(segment_lengths(total, parts, rng=rng).tolist()) for _ in range(draws))
    assert len(seen) == comb(total - 1, parts - 1)
    assert all(sum(segments) == total and min(segments) > 0 for segments in seen)
    expected = draws / len(seen)
    chi_square = sum((count - expected) ** 2 / expected for count in seen.values())
    assert chi_square < 36.1  # 14 degrees of freedom, one in a thousand


def test_a_chunk_by_hand():
    mask = np.array([False, True, True, False, False, True])
    made = apply_mask(np.array([10, 11, 12, 13, 14, 15]), mask, sentinel_ids=SENTINELS, end_id=END)
    assert made.input_ids.tolist() == [10, 999, 13, 14, 998, END]
    assert made.target_ids.tolist() == [999, 11, 12, 998, 15, END]


def test_too_few_sentinels_or_tokens_are_refused():
    mask = np.array([False, True, False, True])
    with pytest.raises(DataError, match="2 noise spans"):
        apply_mask(np.arange(4), mask, sentinel_ids=[999], end_id=END)
    with pytest.raises(DataError, match="1 tokens"):
        noise_counts(1)
    with pytest.raises(ConfigError, match="2 tokens"):
        raw_length(2)
    with pytest.raises(ConfigError, match="density"):
        raw_length(100, density=1.5)
    with pytest.raises(ConfigError, match="below 1"):
        raw_length(100, mean_span_length=0.5)


def test_sentinels_must_descend():
    assert check_sentinels([9, 8, 7]) == [9, 8, 7]
    for wrong in ([], [7, 8, 9], [9, 9, 8], [9, 7, 6]):
        with pytest.raises(DataError, match="descend"):
            check_sentinels(wrong)


def test_restoring_refuses_a_wrong_target():
    made = corrupt(tokens(60), sentinel_ids=SENTINELS, end_id=END, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="not those of the input"):
        restore(made._replace(target_ids=made.target_ids[:3]), sentinel_ids=SENTINELS)
    with pytest.raises(DataError, match="begin with a sentinel"):
        restore(made._replace(target_ids=made.target_ids[1:]), sentinel_ids=SENTINELS)
