"""What counts in the hash of a data source, and what does not."""

from __future__ import annotations

import pytest

from lingport.config.data import ExampleSource, TextSource
from lingport.errors import DataError
from lingport.grid.fingerprint import source_fingerprint

HUB = {"format": "hub", "name": "a/b", "split": "test"}


def of(settings: dict, *, language: str = "ro") -> str:
    return source_fingerprint(ExampleSource.model_validate(settings), language)


class NewerSource(ExampleSource):
    added_later: int = 0


def test_a_setting_at_its_default_is_no_setting():
    assert source_fingerprint(NewerSource.model_validate(HUB), "ro") == of(HUB)  # old runs are found again
    assert of(HUB) == of({**HUB, "answerable_only": False, "joiner": None})
    assert (
        len({of(each) for each in (HUB, {**HUB, "joiner": ""}, {**HUB, "revision": "1" * 40}, {**HUB, "limit": 1})})
        == 4
    )


def test_where_the_settings_and_files_came_from_does_not_count(tmp_path, monkeypatch):
    (tmp_path / "data" / "ronli").mkdir(parents=True)
    (tmp_path / "data" / "ronli" / "test.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    named = ExampleSource.model_validate({"dataset": "ronli/test"})
    told = named.model_copy(update={"dataset": None, "paths": [str(tmp_path / "data" / "ronli" / "test.json")]})
    assert source_fingerprint(named, "ro") == source_fingerprint(told, "ro")
    assert source_fingerprint(named.resolve(tmp_path / "recipes"), "ro") == source_fingerprint(named, "ro")


def test_files_of_the_catalogue_may_be_missing_in_a_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = of({"dataset": "ronli/test"})
    (tmp_path / "data" / "ronli").mkdir(parents=True)
    (tmp_path / "data" / "ronli" / "test.json").write_text("[]")
    assert of({"dataset": "ronli/test"}) != before
    with pytest.raises(DataError):
        of({"format": "table", "path": "nowhere.csv"})


def test_raw_files_on_the_hub_count_by_name():
    files = {"format": "squad", "name": "a/b", "paths": ["qa.{language}.json"]}
    assert of(files) == of(files)
    assert of(files) != of({**files, "paths": ["other.{language}.json"]})
    assert of(files) != of(files, language="sk")


def test_each_language_has_its_own_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in ("sk", "cs"):
        (tmp_path / f"{code}.txt").write_text(code)
    source = TextSource(paths=["{language}.txt"]).resolve()
    assert source_fingerprint(source, "sk") != source_fingerprint(source, "cs")
