"""JSON records with tokens: tags as in RONEC, written spans as in WikiANN."""

from __future__ import annotations

import json

import pytest

from lingport.errors import DataError

TOKENS = ["Jan", "Novák", "v", "Brne"]


def records(*rows):
    return json.dumps([{"tokens": TOKENS, **row} for row in rows], ensure_ascii=False)


def test_tags_and_spans_give_the_same(read):
    text = records(
        {"ner_tags": ["B-PER", "I-PER", "O", "B-LOC"], "ner_ids": [1, 2, 0, 3]},
        {"spans": ["PER: Jan Novák", "LOC: Brne"]},
        {"spans": [["PER", "Jan Novák"], ["LOC", "Brne"]]},
    )
    for example in read("a.json", text, format="spans"):
        assert example["spans"] == [["PER", "Jan Novák"], ["LOC", "Brne"]]


def test_a_span_may_hold_a_colon(read):
    text = json.dumps([{"tokens": ["Star", ":", "Trek"], "spans": ["MISC: Star : Trek"]}])
    assert read("a.json", text, format="spans")[0]["spans"] == [["MISC", "Star : Trek"]]


def test_a_mapping_with_a_star_drops_the_rest(read):
    text = records({"ner_tags": ["B-PERSON", "I-PERSON", "O", "B-GPE"]})
    example = read("a.json", text, format="spans", tag_map={"PERSON": "PER", "*": None}, tags=["PER"])[0]
    assert example["spans"] == [["PER", "Jan Novák"]]


@pytest.mark.parametrize(
    ("row", "where", "message"),
    [
        ({"ner_tags": ["O"]}, "[0]", "for each of the 4 tokens, not 1 tags"),
        ({"ner_tags": [0, 0, 0, 0]}, "[0]", "must be one tag"),
        ({"ner_tags": ["O", "I-PER", "O", "O"]}, "[0].ner_tags[1]", "was not begun"),
        ({"spans": ["PER Jan"]}, "[0].spans[0]", "is no span"),
        ({"spans": ["PER: Jana"]}, "[0].spans[0]", "is not in the sentence"),
        ({"tokens": []}, "[0]", "`tokens` is no list of texts"),
        ({"tokens": ["a", " "], "spans": []}, "[0]", r"tokens\[1\] is empty"),
        ({"nertags": []}, "[0]", "did you mean 'nertags'"),
    ],
)
def test_wrong_records_are_named(read, row, where, message):
    with pytest.raises(DataError, match=message) as error:
        read("a.json", records(row), format="spans")
    assert str(error.value.where).endswith(f"a.json: {where}")


@pytest.mark.parametrize(
    ("language", "joiner", "entity"), [("zh", None, "北京"), ("sk", None, "北 京"), ("zh", " ", "北 京")]
)
def test_tokens_are_joined_as_the_language_is_written(read, language, joiner, entity):
    tokens = {"tokens": ["在", "北", "京", "。"]}
    rows = [{**tokens, "ner_tags": ["O", "B-LOC", "I-LOC", "O"]}, {**tokens, "spans": ["LOC: 北 京"]}]
    text = json.dumps(rows, ensure_ascii=False)
    for example in read("a.json", text, format="spans", language=language, joiner=joiner):
        assert example["spans"] == [["LOC", entity]]
        assert example["tokens"] == tokens["tokens"]
        assert example.get("joiner", " ").join(example["tokens"][1:3]) == entity
