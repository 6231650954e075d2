"""What holds for every format: choosing examples, several files, the registry, the demo corpus."""

from __future__ import annotations

import sys
import types
import zipfile

import pytest

from lingport.config.data import SETTINGS_OF_FORMAT, ExampleSource, TextSource
from lingport.data.readers import FILE_FORMATS, WHOLE_FORMATS, content_share, read_examples
from lingport.data.text import read_text
from lingport.errors import DataError

ROWS = "text,label\n" + "".join(f"row {index},x\n" for index in range(200))


def ids(examples):
    return [example["id"] for example in examples]


def test_every_format_has_a_reader():
    assert {*FILE_FORMATS, *WHOLE_FORMATS} == set(SETTINGS_OF_FORMAT)
    assert all(callable(FILE_FORMATS.get(name)) for name in FILE_FORMATS)
    assert all(callable(WHOLE_FORMATS.get(name)) for name in WHOLE_FORMATS)


def test_limit_keeps_the_first_or_draws_by_seed(read):
    assert ids(read("a.csv", ROWS, format="table", limit=2)) == ["a-1", "a-2"]
    drawn = ids(read("a.csv", ROWS, format="table", limit=20, seed=1))
    assert drawn == ids(read("a.csv", ROWS, format="table", limit=20, seed=1))
    assert drawn != ids(read("a.csv", ROWS, format="table", limit=20, seed=2))
    assert drawn == sorted(drawn, key=lambda name: int(name[2:]))


def test_slices_divide_a_file(read):
    low = read("a.csv", ROWS, format="table", slice=[0.0, 0.7])
    high = read("a.csv", ROWS, format="table", slice=[0.7, 1.0])
    assert len(low) + len(high) == 200
    assert not set(ids(low)) & set(ids(high))
    assert 100 < len(low) < 180


def test_examples_with_one_context_or_premise_fall_together():
    first = {"id": "1", "where": "", "question": "a", "context": "c", "answers": []}
    assert content_share(first) == content_share({**first, "id": "2", "question": "b"})
    pair = {"id": "1", "where": "", "premise": "p", "hypothesis": "h", "label": "x"}
    assert content_share(pair) == content_share({**pair, "hypothesis": "i", "label": "y"})
    assert content_share(pair) != content_share({**pair, "premise": "q"})


def test_files_and_members_are_put_together(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/dev.tsv", "text\tlabel\none\tx\n")
        archive.writestr("__MACOSX/x/._dev.tsv", b"\xff\xfe")
        archive.writestr("x/train.tsv", "text\tlabel\ntwo\tx\n")
    (tmp_path / "b.tsv").write_text("text\tlabel\nthree\tx\n", encoding="utf-8")
    source = ExampleSource(format="table", paths=[str(tmp_path / "a.zip"), str(tmp_path / "b.tsv")][:1])
    assert [example["text"] for example in read_examples(source, language="sk")] == ["one", "two"]
    source = ExampleSource(format="table", paths=[str(tmp_path / "a.zip")], member="dev.tsv")
    (example,) = read_examples(source, language="sk")
    assert example["where"] == f"{tmp_path}/a.zip!x/dev.tsv:2"


def test_one_empty_file_among_several_is_named(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\none\tx\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("text\tlabel\n", encoding="utf-8")
    source = ExampleSource(format="table", paths=[str(tmp_path / "*.tsv")])
    with pytest.raises(DataError, match="holds no examples") as error:
        read_examples(source, language="sk")
    assert error.value.where == str(tmp_path / "b.tsv")


def test_labels_path_goes_with_one_file(tmp_path):
    for name in ("a.tsv", "b.tsv", "labels"):
        (tmp_path / name).write_text("one\ttwo\n", encoding="utf-8")
    source = ExampleSource(format="xnli", paths=[str(tmp_path / "*.tsv")], labels_path=str(tmp_path / "labels"))
    with pytest.raises(DataError, match="one labels_path for several files"):
        read_examples(source, language="sk")


def test_the_demo_corpus_is_asked_when_it_is_named(monkeypatch):
    corpus = types.ModuleType("lingport.demo.corpus")
    vars(corpus).update(
        read_examples=lambda task, language, *, split: [{"text": f"{task} {language} {split}", "label": "x"}],
        read_text=lambda language, *, split="train": [f"{language} {split}"],
    )
    monkeypatch.setitem(sys.modules, "lingport.demo.corpus", corpus)
    source = ExampleSource(format="demo", split="test")
    (example,) = read_examples(source, language="sk", task="topic")
    assert (example["text"], example["where"]) == ("topic sk test", "demo:topic/sk[test]")
    with pytest.raises(DataError, match="needs to know the task"):
        read_examples(source, language="sk")
    text = TextSource(format="demo", split="validation")
    assert list(read_text(text, language="sk")) == ["sk validation"]
    with pytest.raises(DataError, match="needs to know the language"):
        read_text(text)
