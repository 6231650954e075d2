"""Windows over long contexts: everything is covered, neighbours overlap, nothing is too long."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingport.errors import DataError
from lingport.tasks.base import Rendered
from lingport.tasks.catalogue import load_task
from lingport.tasks.windows import fit, training_windows, truncate, windows

QA = load_task("qa")
BASE = Path(__file__).resolve().parents[2] / "../shared/golden/base"
NUM_BARE = 3 + 1  # question: x context: </s>


class Words:
    """A tokenizer whose tokens are words, or single characters of words that begin with a tilde."""

    def __call__(self, text, *, add_special_tokens, return_offsets_mapping=False, verbose=True):
        spans = []
        for match in re.finditer(r"\S+", text):
            if match.group().startswith("~"):  # as byte pieces: several tokens share a character
                spans += [match.span()] * len(match.group())
            else:
                spans.append(match.span())
        encoding = {"input_ids": [0] * len(spans), "offset_mapping": spans}
        return type("Encoding", (dict,), {"__getattr__": dict.__getitem__})(encoding)


def example_of(context, **more):
    return {"id": "7", "where": "f:1", "question": "x", "context": context, "answers": [], **more}


def cut(context, limit, stride, **more):
    return windows(QA, example_of(context, **more), "en", Words(), max_input_tokens=limit, stride_tokens=stride)


def assert_covering(found, context, tokenizer, limit):
    assert found[0].start == 0
    assert found[-1].stop == len(context)
    for left, right in pairwise(found):
        assert left.start < right.start <= left.stop < right.stop
    for index, window in enumerate(found):
        assert window.input == f"question: x context: {context[window.start : window.stop]}"
        assert len(tokenizer(window.input, add_special_tokens=False).input_ids) + 1 <= limit
        assert (window.index, window.group) == (index, "7")


@given(
    words=st.lists(st.sampled_from(["a", "bcd", "é", "~", "~~~", " ", "\n"]), max_size=60),
    limit=st.integers(NUM_BARE + 3, 30),
    stride=st.integers(0, 30),
)
def test_windows_cover_the_context(words, limit, stride):
    context = " ".join(words)
    found = cut(context, limit, stride)
    assert_covering(found, context, Words(), limit)


def test_neighbours_share_the_stride():
    context = " ".join(f"w{i}" for i in range(20))
    found = cut(context, NUM_BARE + 8, 3)
    assert [window.input.split()[3:] for window in found] == [
        [f"w{i}" for i in range(start, min(start + 8, 20))] for start in (0, 5, 10, 15)
    ]


def test_a_stride_longer_than_half_a_window_is_held_back():
    found = cut(" ".join("abcdefgh"), NUM_BARE + 4, 50)
    assert [window.input.split()[3] for window in found] == ["a", "c", "e"]


def test_what_fits_is_one_window():
    found = cut("a b c", NUM_BARE + 3, 1)
    assert len(found) == 1
    assert len(cut("a b c", NUM_BARE + 2, 1)) == 2


def test_a_question_that_leaves_no_room_is_refused():
    with pytest.raises(DataError, match=r"f:1: the wording without the context takes 4 of 4 tokens"):
        cut("a b", NUM_BARE, 0)
    with pytest.raises(DataError, match="takes 4 of 3 tokens"):
        cut("", NUM_BARE - 1, 0)
    with pytest.raises(DataError, match="no room"):
        cut("~~~ a", NUM_BARE + 2, 0)


def test_training_takes_the_windows_with_the_answer():
    context = "a b c d a f g h"
    found = cut(context, NUM_BARE + 4, 0, answers=["a"], answer_starts=[8])
    assert [window.has_answer for window in found] == [False, True]
    assert training_windows(found) == found[1:]
    by_text = cut(context, NUM_BARE + 4, 0, answers=["a"])
    assert [window.has_answer for window in by_text] == [True, True]
    wrong_place = cut(context, NUM_BARE + 4, 0, answers=["g h"], answer_starts=[0])
    assert [window.has_answer for window in wrong_place] == [False, True]
    assert all(window.target == "g h" for window in wrong_place)


def test_training_takes_all_windows_of_an_unanswerable_question():
    found = cut("a b c d e f", NUM_BARE + 3, 0)
    assert [window.has_answer for window in found] == [None, None]
    assert training_windows(found) == found


def test_training_takes_no_window_where_the_answer_is_in_none():
    assert training_windows(cut("a b c d e f", NUM_BARE + 3, 0, answers=["z"])) == []
    single = cut("a b", 20, 0, answers=["z"])
    assert training_windows(single) == single


def test_fit_follows_the_task():
    example = example_of(" ".join("abcdefgh"))
    assert len(fit(QA, example, "en", Words(), max_input_tokens=NUM_BARE + 4)) > 1
    cutting = load_task("qa", overrides={"overflow": "truncate"})
    (window,) = fit(cutting, example, "en", Words(), max_input_tokens=NUM_BARE + 4)
    assert (window.input, window.cut) == ("question: x context: a b c d ", True)
    (window,) = fit(cutting, example, "en", Words())
    assert not window.cut


def test_fit_needs_no_gold_when_told_so():
    example = example_of("a b c d e f")
    del example["answers"]
    found = fit(QA, example, "en", Words(), max_input_tokens=NUM_BARE + 4, with_target=False)
    assert {window.target for window in found} == {""}


def test_truncate_keeps_the_beginning_and_the_target():
    rendered = Rendered("tag: a b c", "LOC: c")
    assert truncate(rendered, Words(), max_input_tokens=5) == (rendered, False)
    assert truncate(rendered, Words(), max_input_tokens=4) == (Rendered("tag: a b ", "LOC: c"), True)


def test_windows_need_a_form_with_a_context():
    with pytest.raises(ValueError, match="no windows"):
        windows(load_task("ner"), {}, "en", Words(), max_input_tokens=9, stride_tokens=1)


def test_windows_with_a_real_tokenizer():
    if not BASE.is_dir():
        pytest.skip(f"{BASE} is not there")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    context = "Bratislava leží na Dunaji\u2026 \ufb01n 北京。 " * 8
    found = windows(QA, example_of(context), "en", tokenizer, max_input_tokens=70, stride_tokens=9)
    assert len(found) > 3
    assert_covering(found, context, tokenizer, 70)
