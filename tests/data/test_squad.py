"""SQuAD files, versions 1 and 2, right and wrong."""

from __future__ import annotations

import json

import pytest

from lingport.data.answers import answer_fields
from lingport.errors import DataError


def squad(*questions, context="Žilina je mesto. Je na Váhu."):
    qas = [{"id": f"q{index}", "question": "Čo?", **question} for index, question in enumerate(questions)]
    return json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}, ensure_ascii=False)


def answer(text, start):
    return {"text": text, "answer_start": start}


def test_version_one(read, tmp_path):
    text = squad({"answers": [answer("Žilina", 0), answer("mesto", 10), answer("Žilina", 0)]})
    assert read("a.json", text, format="squad") == [
        {
            "id": "q0",
            "where": f"{tmp_path}/a.json: data[0].paragraphs[0].qas[0]",
            "question": "Čo?",
            "context": "Žilina je mesto. Je na Váhu.",
            "answers": ["Žilina", "mesto"],
            "answer_starts": [0, 10],
        }
    ]


def test_version_two_has_questions_without_an_answer(read):
    text = squad({"is_impossible": True, "answers": [], "plausible_answers": [answer("Žilina", 0)]}, {"answers": []})
    assert [example["answers"] for example in read("a.json", text, format="squad")] == [[], []]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"answers": [answer("mesto", 9)]}, "answer_start 9 gives ' mest', not the answer 'mesto'; it begins at 10"),
        ({"answers": [answer("Brno", 0)]}, "the context does not hold it"),
        ({"answers": [answer("Žilina", -1)]}, "answer_start -1"),
        ({"answers": [answer("", 0)]}, "the gold answer is an empty text"),
        ({"answers": "x" and [5]}, "`answers` is missing or unreadable"),
        ({}, "`answers` is missing"),
        ({"question": " ", "answers": []}, "`question` is empty"),
        ({"question": 5.5, "answers": None}, "`answers` is missing"),
        ({"is_impossible": True, "answers": [answer("mesto", 10)]}, "is_impossible is true"),
        ({"is_impossible": False, "answers": []}, "is_impossible is false"),
    ],
)
def test_wrong_questions_are_named_with_their_key_path(read, question, message):
    with pytest.raises(DataError, match=message) as error:
        read("a.json", squad({"answers": []}, question), format="squad")
    assert "a.json: data[0].paragraphs[0].qas[1]" in str(error.value.where)


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ('{"data": [\n{"paragraphs": oops}]}', "a.json:2:16", "not valid JSON"),
        ('{"dta": []}', "a.json: data", "`data` is missing; did you mean|`data` is missing"),
        ("[]", "a.json: data", "expected an object with `data`"),
        ('{"data": [{"paragraphs": 3}]}', "a.json: data[0].paragraphs", "is no list but 3"),
        ('{"data": [{"paragraphs": [{"qas": [7]}]}]}', "data[0].paragraphs[0].qas[0]", "with `question`, found 7"),
        ('{"data": []}', "a.json", "holds no examples"),
        ("", "a.json:1:1", "not valid JSON"),
    ],
)
def test_wrong_files_are_named(read, text, where, message):
    with pytest.raises(DataError, match=message) as error:
        read("a.json", text, format="squad")
    assert str(error.value.where).endswith(where)


def test_offsets_are_not_checked_when_told_so(read):
    example = read("a.json", squad({"answers": [answer("mesto", 9)]}), format="squad", check_offsets=False)[0]
    assert example["answers"] == ["mesto"]
    assert "answer_starts" not in example


def test_blank_answers_mean_what_is_set(read):
    text = squad({"answers": [answer("", 0)]}, {"answers": [answer("mesto", 10)]})
    examples = read("a.json", text, format="squad", blank_answers="unanswerable")
    assert [example["answers"] for example in examples] == [[], ["mesto"]]
    examples = read("a.json", text, format="squad", blank_answers="skip")
    assert [example["id"] for example in examples] == ["q1"]


def test_repeated_ids_get_a_number(read):
    text = squad({"id": "x", "answers": []}, {"id": "x", "answers": []}, {"id": 7, "answers": []})
    assert [example["id"] for example in read("a.json", text, format="squad")] == ["x", "x#2", "7"]


def test_answers_come_in_many_shapes(intake):
    shapes = ["mesto", ["mesto"], answer("mesto", 10), {"text": ["mesto"], "answer_start": [10]}, [answer("mesto", 10)]]
    record = {"question": "?", "context": "Žilina je mesto."}
    for shape in shapes:
        found = answer_fields({**record, "answers": shape}, intake, "here")
        assert found is not None
        assert found["answers"] == ["mesto"]
    none = answer_fields({**record, "answers": {"text": [], "answer_start": []}}, intake, "here")
    assert none is not None
    assert none["answers"] == []
    assert intake.problems.num_found == 0
