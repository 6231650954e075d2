"""Data sets of the hub against a server on this machine: pinned to a commit, fetched once, refused clearly."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars
from pyarrow import parquet

from lingport.config.data import ExampleSource, TextSource
from lingport.data.fetch import commit_of, known_commit
from lingport.data.readers import read_examples
from lingport.data.text import read_text
from lingport.errors import DataError
from tests.dataset_server import FIRST, SECOND, Hub, ServedDataset, dataset_server

NAME = "someone/tagged"
SPANS = ExampleSource(format="hub", name=NAME, config="{language}", split="test")


def table(tokens: list[list[str]], tags: list[list[int]]) -> bytes:
    """A parquet file as the hub writes it, with the names of the classes in its metadata."""
    classes = {"feature": {"names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}, "_type": "List"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"ner_tags": classes}}})}
    content = pyarrow.table({"tokens": tokens, "ner_tags": tags}).replace_schema_metadata(metadata)
    stream = io.BytesIO()
    parquet.write_table(content, stream)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    disable_progress_bars()


@pytest.fixture
def served() -> dict[str, ServedDataset]:
    first = {
        "sk/test-00000-of-00001.parquet": table([["Jan", "Novák", "."]], [[1, 2, 0]]),
        "sk/train-00000-of-00001.parquet": table([["Eva"]], [[1]]),
        "de/test-00000-of-00001.parquet": table([["Max"]], [[1]]),
    }
    second = {**first, "sk/test-00000-of-00001.parquet": table([["Eva"]], [[1]])}
    return {NAME: ServedDataset({FIRST: first, SECOND: second})}


@contextmanager
def hub(served, monkeypatch) -> Iterator[Hub]:
    with dataset_server(served) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        template = running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


def names(source: ExampleSource) -> list[str]:
    return [text for example in read_examples(source, language="sk") for _, text in example["spans"]]


def test_only_the_split_asked_for_is_fetched_and_only_once(served, monkeypatch, caplog):
    with hub(served, monkeypatch) as running, caplog.at_level(logging.INFO, logger="lingport.data.fetch"):
        assert names(SPANS) == ["Jan Novák"]
        assert running.count("GET datasets/") == 1
        assert running.count("train") == running.count("de/") == 0
        told = [record.getMessage() for record in caplog.records]
        assert any("fetching sk/test-00000-of-00001.parquet" in line and FIRST in line for line in told)
        requests, messages = len(running.log), len(caplog.records)
        assert names(SPANS) == ["Jan Novák"]
        assert (len(running.log), len(caplog.records)) == (requests, messages)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # and the server is gone
    assert names(SPANS) == ["Jan Novák"]


def test_a_branch_stays_at_the_commit_of_its_first_use(served, monkeypatch):
    with hub(served, monkeypatch):
        assert known_commit(NAME, None) is None
        assert commit_of(NAME) == FIRST
        served[NAME].branches["main"] = SECOND
        assert commit_of(NAME) == known_commit(NAME, "main") == FIRST
        assert names(SPANS) == ["Jan Novák"]
        assert names(SPANS.model_copy(update={"revision": SECOND})) == ["Eva"]


@pytest.mark.parametrize(
    ("refusal", "message", "hint"),
    [
        ((404, "RepoNotFound"), "no such data set", "check the spelling"),
        ((401, "RepoNotFound"), "no such data set", "log in"),
        ((403, "GatedRepo"), "only to those who ask", "accept its conditions"),
        ((401, "GatedRepo"), "only to those who ask", "HF_TOKEN"),
        ((403, "Forbidden"), "answered 403", "log in"),
        ((400, "BadRequest"), "answered 400", "try again later"),
    ],
)
def test_refusals_say_what_to_do(served, monkeypatch, refusal, message, hint):
    served[NAME].refusal = refusal
    with hub(served, monkeypatch), pytest.raises(DataError, match=message) as error:
        names(SPANS)
    assert error.value.where == f"hub:{NAME}"
    assert hint in (error.value.hint or "")


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"revision": "nowhere"}, "no revision 'nowhere'", "leave it out"),
        ({"revision": "3" * 40}, "no revision", "leave it out"),
        ({"config": "skk"}, "no configuration 'skk'", "did you mean 'sk'"),
        ({"split": "validation"}, "no file is of the split 'validation'", "sk/train-00000"),
        ({"name": "a b"}, "no name of the hub", "user/name"),
    ],
)
def test_what_is_not_there_is_named(served, monkeypatch, changes, message, hint):
    with hub(served, monkeypatch), pytest.raises(DataError, match=message) as error:
        names(SPANS.model_copy(update=changes))
    assert hint in (error.value.hint or "")


def test_without_a_network_it_is_said_at_once(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot be had") as error:
        names(SPANS)
    assert "as files" in (error.value.hint or "")


def test_a_broken_file_is_told_with_its_place(served, monkeypatch):
    path = "sk/test-00000-of-00001.parquet"
    served[NAME].commits[FIRST][path] = served[NAME].commits[FIRST][path][:-9]
    with hub(served, monkeypatch), pytest.raises(DataError, match="cannot be read") as error:
        names(SPANS)
    assert "fetched again" in (error.value.hint or "")


def test_raw_files_of_a_data_set_are_read_by_any_format(served, monkeypatch):
    squad = {"data": [{"paragraphs": [{"context": "Žilina", "qas": [{"question": "?", "answers": "Žilina"}]}]}]}
    served[NAME].commits[FIRST]["data/qa.sk.json"] = json.dumps(squad).encode()
    source = ExampleSource(format="squad", name=NAME, paths=["data/qa.{language}.json"])
    with hub(served, monkeypatch) as running:
        (example,) = read_examples(source, language="sk")
        assert example["answers"] == ["Žilina"]
        assert len(read_examples(source, language="sk")) == running.count("GET datasets/") == 1
        with pytest.raises(DataError, match=r"no file 'data/qa\.de\.json'"):
            read_examples(source, language="de")


def test_articles_for_training_and_validation_are_disjoint_and_as_many_as_named(served, monkeypatch):
    articles = [f"Článok {number}.\nDruhý riadok." for number in range(50)]
    for shard in range(2):
        stream = io.BytesIO()
        parquet.write_table(pyarrow.table({"text": articles[shard::2], "title": articles[shard::2]}), stream)
        served[NAME].commits[FIRST][f"20231101.sk/train-0000{shard}-of-00002.parquet"] = stream.getvalue()
    source = TextSource(format="hub", name=NAME, config="20231101.{language}", num_train=30, num_validation=10)
    with hub(served, monkeypatch):
        train, held_out = (
            set(read_text(source.model_copy(update={"split": split}), language="sk"))
            for split in ("train", "validation")
        )
    assert (len(train), len(held_out), len(train & held_out)) == (30, 10, 0)
    assert train | held_out <= set(articles)
