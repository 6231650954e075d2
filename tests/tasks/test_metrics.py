"""Scores against numbers computed by hand and against scikit-learn."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from lingport.errors import DataError
from lingport.tasks.catalogue import load_task, task_from_text
from lingport.tasks.metrics import (
    exact_match,
    f1,
    multiset_counts,
    output_counts,
    output_rates,
    precision,
    recall,
    token_f1,
)
from lingport.tasks.normalise import normalise_label, normalise_mlqa, normalise_squad, normalise_text

ZERO: dict[str, Any] = {"zero_division": 0}
LABELS = st.sampled_from(["a", "b", "c"])


def classify(labels, **more):
    return task_from_text(json.dumps({"form": "classify", "input": "{text}", "labels": labels, **more}), name="t")


def test_span_scores_of_sums():
    totals = np.array([[3, 1, 2], [0, 0, 0], [0, 2, 0], [0, 0, 2]])
    assert precision(totals) == pytest.approx([3 / 4, 1, 0, 0])
    assert recall(totals) == pytest.approx([3 / 5, 1, 0, 0])
    assert f1(totals) == pytest.approx([6 / 9, 1, 0, 0])
    assert f1(totals.reshape(2, 2, 3)).shape == (2, 2)


def test_items_given_twice_count_twice():
    assert multiset_counts(["a", "a", "b"], ["a", "c", "a", "a"]) == (2, 1, 2)


@settings(max_examples=40)
@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_macro_f1_is_scikit_learns(pairs):
    given, gold = zip(*pairs, strict=True)
    expected = f1_score(gold, given, average="macro", **ZERO)
    assert classify(["a", "b", "c"]).score(given, gold)["f1_macro"] == pytest.approx(expected)


@settings(max_examples=40)
@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_f1_of_one_class_is_scikit_learns_binary_one(pairs):
    given, gold = zip(*pairs, strict=True)
    expected = f1_score([x == "a" for x in gold], [x == "a" for x in given], **ZERO)
    scores = classify(["a", "b", "c"], positive="a").score(given, gold)
    assert scores["f1"] == pytest.approx(expected)
    assert scores["accuracy"] == pytest.approx(accuracy_score(gold, given))


EXAMPLES = {
    "qa": ("f1_mlqa", [None, "a b", "the c"], [("b",), ("c", "b a"), ()]),
    "ner": ("precision", [None, (("PER", "a"),), (("PER", "a"), ("LOC", "b"))], [(), (("PER", "a"),) * 2, ()]),
    "claims": ("f1", ["checkworthy", None, "not_checkworthy"], ["checkworthy", "not_checkworthy", "checkworthy"]),
    "topic": ("f1_macro", ["health", None, "travel"], ["health", "travel", "sports"]),
}


@pytest.mark.parametrize("name", EXAMPLES)
@given(data=st.data())
@settings(max_examples=20)
def test_any_choice_of_examples_is_scored_by_weighting_their_counts(name, data):
    """What a bootstrap rests on: a matrix product with the tally is the score of the examples drawn."""
    score, answers, golds = EXAMPLES[name]
    task = load_task(name)
    measure = task.measure(score, language="en")
    drawn = data.draw(st.lists(st.sampled_from(range(3)), min_size=1, max_size=6))
    weights = np.bincount(drawn, minlength=3)
    expected = task.score([answers[i] for i in drawn], [golds[i] for i in drawn], language="en")[score]
    totals = np.stack([weights, weights]) @ measure.tally(answers, golds)
    assert measure.value(totals) == pytest.approx([expected, expected])


def test_token_f1_by_hand():
    # 2 shared of 4 given and 3 gold: 2 * (2/4) * (2/3) / (2/4 + 2/3) = 4/7
    assert token_f1("x y z y", ["y z w"], str) == pytest.approx(4 / 7)
    assert token_f1("x", ["y", "x z"], str) == pytest.approx(2 / 3)
    assert token_f1("the", [], normalise_squad) == 1
    assert token_f1("dog", ["the"], normalise_squad) == 0


def test_exact_match_is_the_best_over_golds():
    assert exact_match("The Dog.", ["cat", "dog"], normalise_squad) == 1
    assert exact_match("dogs", ["cat", "dog"], normalise_squad) == 0
    assert exact_match("", [], normalise_squad) == 1
    assert exact_match("no", [], normalise_squad) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  The  U.S. Army, an army ", "us army army"),
        ("theatre", "theatre"),
        ("„Äpfel“ – the", "„äpfel“ –"),
        ("A-b", "ab"),
    ],
)
def test_normalise_squad(text, expected):
    assert normalise_squad(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "„The“ dog – an X", "dog x"),
        ("es", "¿La casa de los Unos?", "casa de"),
        ("de", "Der Hund des Königs", "hund königs"),
        ("ar", "الكتاب، والقلم", "كتاب و قلم"),
        ("zh", "《上海》abc 1990年", "上 海 abc 1990 年"),
        ("zh-Hans", "上海", "上 海"),
        ("vi", "những cái nhà", "nhà"),
        ("ru", "«Война и мир»", "война и мир"),
        ("el", "Η πόλη της Αθήνας", "πόλη αθήνας"),
        ("ro", "Un oraș, o țară", "oraș țară"),
        ("cs", "der the la", "der the la"),
        ("en", "$5 + 3", "5 3"),
    ],
)
def test_normalise_mlqa(language, text, expected):
    assert normalise_mlqa(text, language) == expected


@given(st.text())
def test_normal_forms_are_stable(text):
    assert normalise_text(normalise_text(text)) == normalise_text(text)
    assert normalise_label(normalise_label(text)) == normalise_label(text)


def test_rates_of_unusable_outputs():
    ner, nli = load_task("ner"), load_task("nli")
    texts = ["LOC: Москва", "LOC: Moscow", "?? bad", ""]
    answers = [ner.parse(text, {}) for text in texts]
    assert output_counts(ner, texts, answers, "ru") == {"unreadable": 1, "wrong_script": 2}
    assert output_rates(ner, texts, answers, "ru") == {"unreadable": 0.25, "wrong_script": 0.5}
    assert output_rates(nli, ["Yes", "x"], ["entailment", None], "ru") == {"unreadable": 0.5}
    assert output_rates(nli, [], [], "ru") == {"unreadable": 0.0}


@pytest.mark.parametrize("name", ["qa", "ner", "nli"])
def test_nothing_to_score_is_said(name):
    with pytest.raises(DataError, match="nothing to score"):
        load_task(name).score([], [])
    with pytest.raises(ValueError, match="1 answers for 0 golds"):
        load_task(name).score(["x"], [])
