"""Hugging Face data sets, from local folders in the hub's layout; nothing here touches the network."""

from __future__ import annotations

import json

import pytest

from lingport.config.data import ExampleSource, TextSource
from lingport.data.readers import read_examples
from lingport.data.text import read_text
from lingport.errors import DataError

datasets = pytest.importorskip("datasets")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "set"
    path.mkdir()
    return path


def read(folder, **settings):
    return read_examples(ExampleSource(format="hub", name=str(folder), **settings), language="sk")


def test_json_lines_by_split(folder):
    for split in ("train", "test"):
        rows = [{"sentence": f"{split} {index}", "gold": "a", "n": index} for index in range(3)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    examples = read(folder, split="test", columns={"text": "sentence", "label": "gold"}, limit=2)
    assert [(example["id"], example["text"], example["label"]) for example in examples] == [
        ("test-1", "test 0", "a"),
        ("test-2", "test 1", "a"),
    ]
    assert examples[1]["where"] == f"{folder}/test.jsonl:2"
    with pytest.raises(DataError, match="did you mean 'sentence'"):
        read(folder, split="test", columns={"text": "sentnce", "label": "gold"})
    with pytest.raises(DataError, match="no file is of the split 'dev'") as error:
        read(folder, split="dev")
    assert "test.jsonl, train.jsonl" in (error.value.hint or "")
    texts = TextSource(format="hub", name=str(folder), field="sentence", hub_split="train", limit=2)
    assert list(read_text(texts)) == ["train 0", "train 1"]
    with pytest.raises(DataError, match="no text under 'text'"):
        list(read_text(texts.model_copy(update={"field": "text"})))


def test_numbers_of_classes_become_names(folder):
    names = ["O", "B-PER", "I-PER"]
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
            "kind": datasets.ClassLabel(names=["news", "web"]),
        }
    )
    rows = {"tokens": [["Jan", "Novák", "."]], "ner_tags": [[1, 2, 0]], "kind": [1]}
    written = datasets.Dataset.from_dict(rows, features=features)
    written.to_parquet(folder / "test.parquet", batch_size=1)
    (example,) = read(folder, split="test")
    assert example["spans"] == [["PER", "Jan Novák"]]
    (example,) = read(folder, split="test", columns={"text": "kind", "label": "kind"})
    assert (example["label"], example["where"]) == ("web", f"hub:{folder}[test]: row 0")
    with pytest.raises(DataError, match="no column 'tags'") as error:
        read(folder, split="test", columns={"tokens": "tokens", "ner_tags": "tags"})
    assert "did you mean 'ner_tags'" in (error.value.hint or "")


def test_questions_in_the_hubs_squad_shape(folder):
    row = {"id": "7", "question": "Čo?", "context": "Žilina", "answers": {"text": ["Žilina"], "answer_start": [0]}}
    (folder / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    (example,) = read(folder, split="test")
    assert (example["id"], example["answers"], example["answer_starts"]) == ("7", ["Žilina"], [0])
