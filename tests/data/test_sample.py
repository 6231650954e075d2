"""Nested samples: a larger one holds every smaller one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingport.data.sample import nested_sample
from lingport.errors import DataError


def sample(items, size, *, seed=1):
    return list(nested_sample(items, size, seed=seed, identity=str, where="texts"))


@given(items=st.lists(st.text(max_size=4), max_size=60), small=st.integers(0, 60), more=st.integers(0, 60))
def test_samples_are_nested_in_order_and_of_their_size(items, small, more):
    large = min(small + more, len(items))
    small = min(small, large)
    smaller, larger = sample(items, small), sample(items, large)
    assert (len(smaller), len(larger)) == (small, large)
    places = iter(larger)
    assert all(item in places for item in smaller)  # a subsequence
    places = iter(items)
    assert all(item in places for item in larger)


def test_the_seed_decides():
    items = [f"text {index}" for index in range(100)]
    assert sample(items, 20) == sample(iter(items), 20)
    assert sample(items, 20) != sample(items, 20, seed=2)
    assert sample(items, 20) != items[:20]


def test_other_data_change_the_sample_no_more_than_they_must():
    items = [f"text {index}" for index in range(100)]
    kept = set(sample(items, 20)) & set(sample([*items, "one more"], 20))
    assert len(kept) >= 19


def test_without_a_size_all_are_taken_as_they_are():
    items = iter("abc")
    assert nested_sample(items, None, seed=1, identity=str, where="texts") is items


def test_asking_for_more_than_there_are_is_told():
    with pytest.raises(DataError, match=r"texts: 5 are asked for, but there are only 3"):
        sample("abc", 5)
