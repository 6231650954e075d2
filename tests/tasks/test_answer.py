"""Question answering: gold answers, SQuAD and MLQA scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingport.tasks.catalogue import load_task

QA = load_task("qa")
EXAMPLE = {"question": "q", "context": "c"}


@given(st.text().map(str.strip))
def test_target_reads_back_as_the_first_answer(answer):
    example = {**EXAMPLE, "answers": [answer, "other"]}
    assert QA.parse(QA.render(example, "en").target, example) == QA.gold(example)[0]


def test_an_unanswerable_question_has_an_empty_target():
    example = {**EXAMPLE, "answers": []}
    assert QA.render(example, "en").target == ""
    assert QA.gold(example) == ()


def test_scores_by_hand():
    answers = ["the Cat!", "a black dog", "", "something", None]
    golds = [("cat",), ("dog", "white dog"), (), (), ("x",)]
    scores = QA.score(answers, golds, language="en")
    # f1: 1; best of (1/2, 1) -> 2*(1/2)*1/(3/2) = 2/3; 1; 0; 0
    assert scores["f1"] == pytest.approx((1 + 2 / 3 + 1 + 0 + 0) / 5)
    assert scores["exact_match"] == pytest.approx((1 + 0 + 1 + 0 + 0) / 5)
    assert scores["f1_mlqa"] == pytest.approx(scores["f1"])


def test_mlqa_scores_differ_by_language():
    answers, golds = ["der Hund"], [("Hund",)]
    assert QA.score(answers, golds, language="de")["exact_match_mlqa"] == 1
    assert QA.score(answers, golds, language="sk")["exact_match_mlqa"] == 0
    assert QA.score(answers, golds, language="de")["exact_match"] == 0
    assert QA.score(["上海市"], [("上海",)], language="zh")["f1_mlqa"] == pytest.approx(0.8)
    assert QA.score(["上海市"], [("上海",)], language="zh")["f1"] == 0


def test_without_a_language_there_are_no_scores_that_need_one():
    assert set(QA.score(["a"], [("a",)])) == {"f1", "exact_match"}
    with pytest.raises(ValueError, match="needs the language"):
        QA.measure("f1_mlqa")


@pytest.mark.parametrize(
    ("name", "expected"),
    # English normalisation takes the article "a" away, German does not
    [("f1", 2 / 3), ("exact_match", 2 / 3), ("f1_mlqa", (2 / 3 + 1) / 3), ("exact_match_mlqa", 1 / 3)],
)
def test_scores_are_means_of_their_examples(name, expected):
    answers, golds = ["a b", "c", None], [("b",), ("c", "d"), ("e",)]
    assert QA.score(answers, golds, language="de")[name] == pytest.approx(expected)
