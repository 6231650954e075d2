"""Questions with several answers in rows of their own, and questions without any."""

from __future__ import annotations

import logging

import pytest

from lingport.errors import DataError

HEAD = "id,question,context,answer,answer_start\n"
COLUMNS = {
    "id": "id",
    "question": "question",
    "context": "context",
    "answers": "answer",
    "answer_start": "answer_start",
}


def rows(*lines: str) -> str:
    return HEAD + "".join(f"{line}\n" for line in lines)


@pytest.fixture
def ask(read):
    def ask(text: str, **settings):
        return read("a.jsonl" if text.startswith("{") else "a.csv", text, format="table", columns=COLUMNS, **settings)

    return ask


def test_rows_of_one_question_are_put_together(ask):
    text = rows("1,who?,a cat sat,a cat,0", "2,where?,a mat,mat,2", "1,who?,a cat sat,cat,2", "1,who?,a cat sat,cat,2")
    assert [example["id"] for example in ask(text)] == ["1", "2", "1#2", "1#3"]
    first, second = ask(text, merge_answers=True)
    assert (first["id"], first["answers"]) == ("1", ["a cat", "cat"])
    assert second["answers"] == ["mat"]
    assert "answer_starts" in second
    assert "answer_starts" not in first  # known of one of its answers only


def test_questions_without_an_answer_may_be_left_out(ask, caplog):
    text = '{"id": 1, "question": "?", "context": "c", "answer": [], "answer_start": 0}\n'
    text += '{"id": 2, "question": "?", "context": "a cat", "answer": ["cat"], "answer_start": 0}\n'
    assert [example["answers"] for example in ask(text)] == [[], ["cat"]]
    with caplog.at_level(logging.INFO):
        (example,) = ask(text, answerable_only=True)
    assert example["id"] == "2"
    assert "1 because there is no answer" in caplog.text


def test_an_empty_answer_is_no_answer_where_that_is_said(ask):
    text = '{"id": 1, "question": "?", "context": "c", "answer": "", "answer_start": -1}\n'
    with pytest.raises(DataError, match="empty text"):
        ask(text)
    assert ask(text, blank_answers="unanswerable")[0]["answers"] == []
    with pytest.raises(DataError, match="left out: 1 because there is no answer"):
        ask(text, blank_answers="unanswerable", answerable_only=True)


def test_the_place_of_a_single_answer_is_checked(ask):
    text = '{"id": 1, "question": "?", "context": "a cat", "answer": "cat", "answer_start": %d}\n'
    assert ask(text % 2)[0]["answer_starts"] == [2]
    with pytest.raises(DataError, match="it begins at 2"):
        ask(text % 3)
    assert "answer_starts" not in ask(text % 3, check_offsets=False)[0]


def test_only_questions_can_be_put_together(read):
    with pytest.raises(DataError, match="no questions"):
        read("a.csv", "text,label\na,b\n", format="table", merge_answers=True)
