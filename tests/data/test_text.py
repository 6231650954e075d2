"""Raw text: what is yielded, and how it is divided into training and validation."""

from __future__ import annotations

import gzip
import json

import pytest

from lingport.config.data import TextSource
from lingport.data.text import read_text, text_hash
from lingport.errors import DataError, UnknownNameError


@pytest.fixture
def sentences(tmp_path):
    texts = [f"veta {index}" for index in range(500)]
    path = tmp_path / "sk.txt"
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path, texts


def texts_of(path, **settings):
    return list(read_text(TextSource(paths=[str(path)], **settings)))


def test_lines_are_stripped_and_blank_ones_left_out(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("  one \n\n\t\ntwo\n", encoding="utf-8")
    assert texts_of(path) == ["one", "two"]
    assert texts_of(path, limit=1) == ["one"]


def test_json_lines_give_the_named_field(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"body": "one\\ntwo", "id": 1}\n\n{"body": "three"}\n'))
    assert texts_of(path, field="body", unit="document") == ["one\ntwo", "three"]
    with pytest.raises(DataError, match="no text under 'text'") as error:
        texts_of(path)
    assert error.value.where == f"{path}:1"
    path.write_bytes(gzip.compress(b'{"body": "one"}\n{"body": oops}\n'))
    with pytest.raises(DataError, match="not valid JSON") as error:
        texts_of(path, field="body")
    assert error.value.where == f"{path}:2:10"


def test_files_are_read_in_the_order_given(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name, encoding="utf-8")
    paths = [str(tmp_path / "b.txt"), str(tmp_path / "a.txt")]
    assert list(read_text(TextSource(paths=paths))) == ["b", "a"]


def test_a_share_divides_without_overlap_whatever_else_is_there(sentences, tmp_path):
    path, texts = sentences
    train = texts_of(path, validation=0.2, split="train")
    held_out = texts_of(path, validation=0.2, split="validation")
    assert sorted(train + held_out) == sorted(texts)
    assert 60 <= len(held_out) <= 140
    shorter = tmp_path / "half.txt"
    shorter.write_text("\n".join(texts[::2]), encoding="utf-8")
    assert texts_of(shorter, validation=0.2, split="validation") == [text for text in held_out if text in texts[::2]]


def test_exact_numbers_are_disjoint_and_drawn_from_the_whole_file(sentences):
    path, texts = sentences
    train = texts_of(path, num_train=300, num_validation=50, split="train")
    held_out = texts_of(path, num_train=300, num_validation=50, split="validation")
    assert (len(train), len(held_out)) == (300, 50)
    assert not set(train) & set(held_out)
    assert train == sorted(train, key=texts.index)
    assert max(texts.index(text) for text in held_out) > 400
    assert len(texts_of(path, num_validation=50, split="train")) == 450


def test_too_few_texts_are_refused_and_repeated_ones_count_once(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("same\n" * 10 + "other\n", encoding="utf-8")
    assert len(texts_of(path, num_train=1, num_validation=1, split="train")) == 1
    with pytest.raises(DataError, match="only 2 different"):
        texts_of(path, num_train=2, num_validation=1, split="train")


def test_the_hash_is_pinned():
    assert text_hash("Bratislava") == 13981296908786481338


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no text"):
        texts_of(path)


def test_placeholders_stand_for_the_language(tmp_path):
    (tmp_path / "slk_Latn.txt").write_text("ahoj", encoding="utf-8")
    source = TextSource(paths=[str(tmp_path / "{flores}.txt")])
    assert list(read_text(source, language="sk")) == ["ahoj"]
    with pytest.raises(UnknownNameError, match="no language"):
        list(read_text(source))


def test_a_json_text_may_hold_line_separators(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a\u2028b"}, ensure_ascii=False), encoding="utf-8")
    assert texts_of(path) == ["a\u2028b"]
