"""Rows, padding, batches of similar length; and the order in which data is seen."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lingport.data.batch import IGNORED, Row, by_length, collate, parts_by_length, parts_by_tokens, tokenize
from lingport.data.chunks import token_chunks
from lingport.data.order import EpochOrder, generator
from lingport.errors import DataError


def test_collate_pads_on_the_right():
    batch = collate([Row([5, 6, 1], [7, 1]), Row([8, 1], [])], pad_id=0)
    assert batch.input_ids.tolist() == [[5, 6, 1], [8, 1, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.labels.tolist() == [[7, 1], [IGNORED, IGNORED]]
    assert {batch.input_ids.dtype, batch.attention_mask.dtype, batch.labels.dtype} == {torch.long}


def test_a_padding_token_within_a_text_stays_visible():
    assert collate([Row([5, 0, 1])], pad_id=0).attention_mask.tolist() == [[1, 1, 1]]


def test_tokenize_ends_the_text_and_says_whether_it_was_cut(backbone):
    whole = backbone.tokenizer("a cat", add_special_tokens=False).input_ids
    assert tokenize(backbone.tokenizer, "a cat") == ([*whole, 1], False)
    assert tokenize(backbone.tokenizer, "a cat", len(whole) + 1) == ([*whole, 1], False)
    assert tokenize(backbone.tokenizer, "a cat", len(whole)) == ([*whole[:-1], 1], True)
    assert tokenize(backbone.tokenizer, "") == ([1], False)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 40), max_size=50), st.integers(1, 8), st.integers(1, 100))
def test_batches_hold_each_row_once_and_keep_to_the_limits(lengths, max_rows, max_tokens):
    batches = list(by_length(lengths, max_rows=max_rows, max_tokens=max_tokens))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) <= max_rows
        assert len(batch) == 1 or longest * len(batch) <= max_tokens
    starts = [lengths[batch[0]] for batch in batches]
    assert starts == sorted(starts, reverse=True)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 3))
def test_each_epoch_sees_each_item_once(num_items, seed, epoch):
    order = EpochOrder(num_items, seed=seed)
    seen = [order.item(epoch * num_items + place) for place in range(num_items)]
    assert Counter(seen) == Counter(range(num_items))


def test_the_order_is_a_function_of_seed_and_position():
    forward = [EpochOrder(20, seed=3).item(position) for position in range(60)]
    order = EpochOrder(20, seed=3)
    backward = [order.item(position) for position in reversed(range(60))]
    assert forward == backward[::-1]
    assert forward[:20] != forward[20:40]
    assert forward != [EpochOrder(20, seed=4).item(position) for position in range(60)]


def test_the_order_does_not_change_between_versions():
    """Runs that were interrupted under one version go on under the next."""
    assert [EpochOrder(8, seed=1).item(position) for position in range(8)] == [4, 7, 2, 5, 0, 1, 6, 3]


def test_a_generator_depends_on_its_whole_key():
    draws = {key: generator(*key).integers(2**60) for key in (("a", 1), ("a", 2), ("b", 1), ("a", "1"), ("a1",))}
    assert len(set(draws.values())) == len(draws)
    assert generator("a", 1).integers(2**60) == draws[("a", 1)]


def test_chunks_run_across_texts_and_leave_out_the_last_part(backbone):
    texts = ["a cat", "the mat", "tea"]
    ids = [i for text in texts for i in backbone.tokenizer(text, add_special_tokens=False).input_ids]
    chunks = token_chunks(backbone.tokenizer, texts, length=4, where="text")
    assert chunks.flatten().tolist() == ids[: len(ids) // 4 * 4]
    assert chunks.shape == (len(ids) // 4, 4)


def test_many_texts_are_chunked_like_few(backbone):
    chunks = token_chunks(backbone.tokenizer, ["a cat"] * 2500, length=5, where="text")
    ids = backbone.tokenizer("a cat", add_special_tokens=False).input_ids
    assert chunks.flatten().tolist() == (ids * 2500)[: chunks.size]
    assert chunks.size > 2499 * len(ids)


def test_too_little_text_is_refused(backbone):
    with pytest.raises(DataError, match="do not fill one chunk of 50") as caught:
        token_chunks(backbone.tokenizer, ["a cat"], length=50, where="text of 'sk'")
    assert caught.value.where == "text of 'sk'"
    with pytest.raises(DataError, match="0 tokens"):
        token_chunks(backbone.tokenizer, [], length=50, where="text")


def _tokens(rows, parts):
    return [len(part) * sum(max(len(rows[row][side]) for row in part) for side in (0, 1)) for part in parts]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), min_size=1, max_size=7),
    st.integers(0, 30),
    st.one_of(st.none(), st.integers(1, 40)),
)
def test_parts_hold_every_row_once_and_cost_least(lengths, part_cost, max_tokens):
    rows = [([0] * source, [0] * target) for source, target in lengths]
    parts = parts_by_length([Row(*row) for row in rows], part_cost=part_cost, max_tokens=max_tokens)
    order = [row for part in parts for row in part]
    assert sorted(order) == list(range(len(rows)))
    assert [len(rows[row][0]) for row in order] == sorted((len(row[0]) for row in rows), reverse=True)
    found = []
    for cuts in itertools.product([False, True], repeat=len(order) - 1):
        divided = [[order[0]]]
        for row, cut in zip(order[1:], cuts, strict=True):
            if cut:
                divided.append([])
            divided[-1].append(row)
        sizes = _tokens(rows, divided)
        fits = all(
            max_tokens is None or size <= max_tokens or len(part) == 1
            for size, part in zip(sizes, divided, strict=True)
        )
        if fits:
            found.append(sum(sizes) + part_cost * len(divided))
    assert sum(_tokens(rows, parts)) + part_cost * len(parts) == min(found)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), min_size=1, max_size=12), st.integers(1, 60))
def test_parts_without_padding_hold_every_row_once_and_keep_to_their_size(lengths, max_tokens):
    rows = [Row([0] * source, [0] * target) for source, target in lengths]
    parts = parts_by_tokens(rows, max_tokens=max_tokens)
    order = [row for part in parts for row in part]
    assert sorted(order) == list(range(len(rows)))
    assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
    sizes = [sum(map(sum, (lengths[row] for row in part))) for part in parts]
    assert all(size <= max_tokens or len(part) == 1 for size, part in zip(sizes, parts, strict=True))
    longest = max(map(sum, lengths))
    assert len(parts) <= max(1, -(-sum(sizes) // max(1, max_tokens - longest))) or max_tokens <= 2 * longest
