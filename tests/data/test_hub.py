"""Hugging Face data sets, from local folders in the hub's layout; nothing here touches the network."""

from __future__ import annotations

import json

import pytest

from lingport.config.data import ExampleSource, TextSource
from lingport.data.readers import read_examples
from lingport.data.text import read_text
from lingport.errors import DataError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def cache_of_this_test(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


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
        ("test-0", "test 0", "a"),
        ("test-1", "test 1", "a"),
    ]
    assert examples[1]["where"] == f"hub:{folder}[test]: row 1"
    with pytest.raises(DataError, match="no column 'sentnce'") as error:
        read(folder, split="test", columns={"text": "sentnce", "label": "gold"})
    assert "did you mean 'sentence'" in (error.value.hint or "")
    with pytest.raises(DataError, match=r"cannot be read: .*dev") as error:
        read(folder, split="dev")
    texts = TextSource(format="hub", name=str(folder), field="sentence", hub_split="train", limit=2)
    assert list(read_text(texts)) == ["train 0", "train 1"]
    with pytest.raises(DataError, match="no column 'text'"):
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
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "test.parquet")
    (example,) = read(folder, split="test")
    assert example["spans"] == [["PER", "Jan Novák"]]
    (example,) = read(folder, split="test", columns={"text": "kind", "label": "kind"})
    assert example["label"] == "web"


def test_questions_in_the_hubs_squad_shape(folder):
    row = {"id": "7", "question": "Čo?", "context": "Žilina", "answers": {"text": ["Žilina"], "answer_start": [0]}}
    (folder / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    (example,) = read(folder, split="test")
    assert (example["id"], example["answers"], example["answer_starts"]) == ("7", ["Žilina"], [0])


def test_what_the_library_is_asked_for_and_an_offline_machine(monkeypatch):
    asked = {}

    def load_dataset(name, config, **settings):
        asked.update(name=name, config=config, **settings)
        raise ConnectionError("Couldn't reach the hub\nmore lines")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match="cannot be had: Couldn't reach the hub") as error:
        read("unimelb-nlp/wikiann", config="{language}", split="test", revision="main")
    assert asked == {"name": "unimelb-nlp/wikiann", "config": "sk", "split": "test", "revision": "main"}
    assert error.value.where == "hub:unimelb-nlp/wikiann/sk[test]"
    assert "offline" in (error.value.hint or "")
