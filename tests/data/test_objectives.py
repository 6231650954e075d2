"""The contract of objectives, for every registered one, and what is particular to each."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingport.config.language import ObjectiveSettings
from lingport.data.corruption import Corrupted, corrupt, restore
from lingport.data.objectives.base import OBJECTIVES, new_objective
from lingport.data.objectives.denoisers import EXTREME, REGULAR
from lingport.data.order import generator
from lingport.errors import ConfigError

SENTINELS = list(range(999, 899, -1))
IS_SENTINEL = frozenset(SENTINELS)
END = 1


def objective(name, **changes):
    return new_objective(ObjectiveSettings(name=name, **changes), sentinel_ids=SENTINELS, end_id=END)


def chunk(size, *, seed=0):
    return np.random.default_rng(seed).integers(2, 800, size)


def whole(made, row):
    """The chunk that a row was made from."""
    if made.max_spans():
        return restore(Corrupted(np.array(row.input_ids), np.array(row.label_ids)), sentinel_ids=SENTINELS).tolist()
    return [*row.input_ids[:-1], *row.label_ids[:-1]]


def test_a_recipe_may_name_every_objective():
    assert set(get_args(ObjectiveSettings.model_fields["name"].annotation)) == set(OBJECTIVES)


@pytest.mark.parametrize("name", list(OBJECTIVES))
@given(max_length=st.integers(8, 300), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_row_holds_the_whole_chunk_within_the_length(name, max_length, seed):
    made = objective(name, max_length=max_length)
    tokens = chunk(made.raw_length, seed=seed)
    row = made.row(tokens, "train", seed)
    assert whole(made, row) == tokens.tolist()
    assert len(row.input_ids) <= max_length
    assert row.input_ids[-1] == row.label_ids[-1] == END
    assert sum(each in IS_SENTINEL for each in row.input_ids) <= made.max_spans()


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_key_alone_decides_a_row(name):
    made = objective(name, max_length=48)
    tokens = chunk(made.raw_length)
    assert made.row(tokens, "a", 1, 7) == made.row(tokens, "a", 1, 7)
    assert len({tuple(made.row(tokens, "a", 1, step).input_ids) for step in range(20)}) > 3


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_expected_lengths_are_those_of_many_rows(name):
    made = objective(name, max_length=64)
    tokens = chunk(made.raw_length)
    rows = [made.row(tokens, step) for step in range(1500)]
    inputs, targets = made.lengths()
    assert np.mean([len(row.input_ids) for row in rows]) == pytest.approx(inputs, rel=0.03)
    assert np.mean([len(row.label_ids) for row in rows]) == pytest.approx(targets, rel=0.05)


def test_all_objectives_cut_text_into_the_same_chunks():
    assert {objective(name).raw_length for name in OBJECTIVES} == {284}
    other = {"max_length": 128, "noise_density": 0.3, "mean_span_length": 5}
    assert len({objective(name, **other).raw_length for name in OBJECTIVES}) == 1


def test_span_corruption_is_t5s():
    made = objective("span_corruption")
    tokens = chunk(284)
    expected = corrupt(tokens, sentinel_ids=SENTINELS, end_id=END, rng=generator("corruption", 1, 7))
    row = made.row(tokens, "corruption", 1, 7)
    assert (row.input_ids, row.label_ids) == (expected.input_ids.tolist(), expected.target_ids.tolist())
    assert made.lengths() == (256, 58)


def test_a_prefix_is_cut_anywhere_evenly():
    made = objective("prefix_lm", max_length=16)
    tokens = chunk(made.raw_length)
    cuts = Counter(len(made.row(tokens, step).input_ids) - 1 for step in range(6000))
    assert set(cuts) == set(range(1, 16))
    assert max(cuts.values()) < 1.4 * min(cuts.values())


def test_denoisers_are_ul2s_seven_and_equally_likely():
    made = objective("denoisers", max_length=256)
    tokens = chunk(284)
    kinds = Counter()
    for step in range(1400):
        row = made.row(tokens, step)
        num_spans = sum(each in IS_SENTINEL for each in row.input_ids)
        num_noise = len(row.label_ids) - 1 - num_spans
        at_the_end = row.input_ids[-2] in IS_SENTINEL and num_spans == 1
        kinds[(num_noise, num_spans) if not at_the_end or num_noise in (43, 142) else "sequential"] += 1
    # round(284 * density) noise tokens in round(noise / mean length) spans; 284 * 0.15 = 43, 284 * 0.5 = 142
    expected = {(43, 14), (43, 5), (142, 47), (142, 18), (43, 1), (142, 2), "sequential"}
    assert {kind for kind, count in kinds.items() if count > 20} == expected
    assert len([*REGULAR, *EXTREME]) + 1 == len(expected)
    assert all(130 < kinds[kind] < 280 for kind in expected)


def test_a_sequential_denoiser_hides_one_span_at_the_end_a_quarter_on_the_mean():
    made = objective("denoisers", max_length=256)
    tokens = chunk(284)
    hidden = []
    for step in range(1400):
        row = made.row(tokens, step)
        if sum(each in IS_SENTINEL for each in row.input_ids) == 1 and len(row.label_ids) - 2 not in (43, 142):
            hidden.append(len(row.label_ids) - 2)
            assert row.input_ids[:-2] == tokens[: len(row.input_ids) - 2].tolist()
    assert np.mean(hidden) == pytest.approx(284 / 4, rel=0.08)


def test_chunks_that_need_more_sentinels_than_there_are_are_refused():
    with pytest.raises(ConfigError, match="needs 189 sentinels for chunks of 1137 tokens, the vocabulary has 100"):
        objective("denoisers", max_length=1024)
    objective("prefix_lm", max_length=1024)
