"""Settings of data sources: what they accept, what they refuse, and where relative paths are looked for."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from lingport.config.data import SETTINGS_OF_FORMAT, ExampleSource, TextSource
from lingport.data.text import read_text
from lingport.errors import DataError


def test_text_source_accepts_a_plain_path_and_path_for_paths():
    assert TextSource.model_validate("a.txt").paths == ["a.txt"]
    assert TextSource.model_validate(["a.txt", "b.txt"]).paths == ["a.txt", "b.txt"]
    assert ExampleSource.model_validate({"format": "squad", "path": "a.json"}).paths == ["a.json"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs `paths`"),
        ({"format": "hub"}, "needs `name`"),
        ({"format": "demo", "paths": "a.txt"}, "takes no `paths`"),
        ({"paths": "a", "validation": 0.1, "num_validation": 3}, "not both"),
        ({"paths": "a", "split": "validation"}, "split validation needs"),
        ({"paths": "a", "languge": "sk"}, "Extra inputs"),
    ],
)
def test_text_source_refuses(settings, message):
    with pytest.raises(ValidationError, match=message):
        TextSource.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "squad", "paths": "a", "tag_column": 2}, "means nothing with format squad"),
        ({"format": "hub", "name": "x"}, "needs `split`"),
        ({"format": "table", "paths": "a", "seed": 1}, "give `limit` too"),
        ({"format": "table", "paths": "a", "slice": [0.5, 0.5]}, "slice is"),
        ({"format": "sqad", "paths": "a"}, "squad"),
        ({"format": "table"}, "needs `paths`"),
    ],
)
def test_example_source_refuses(settings, message):
    with pytest.raises(ValidationError, match=message):
        ExampleSource.model_validate(settings)


def test_label_map_reads_numbers_and_refuses_yaml_booleans():
    source = {"format": "table", "paths": "a"}
    settings = yaml.safe_load("label_map: {0: no claim, 1: claim}")
    assert ExampleSource.model_validate(source | settings).label_map == {"0": "no claim", "1": "claim"}
    settings = yaml.safe_load("label_map: {Yes: claim, No: other}")
    with pytest.raises(ValidationError, match="put them in quotes"):
        ExampleSource.model_validate(source | settings)


def test_a_dumped_source_can_be_read_again():
    for name in SETTINGS_OF_FORMAT:
        remote = {"name": "x", "split": "test"} if name in ("hub", "demo") else {"paths": "a"}
        source = ExampleSource.model_validate({"format": name, **remote})
        assert ExampleSource.model_validate(source.model_dump()) == source


def test_every_setting_is_described_and_belongs_to_a_format():
    for model in (TextSource, ExampleSource):
        assert all(field.description for field in model.model_fields.values())
    everywhere = {"format", "limit", "seed", "slice", "skip_empty", "dataset", "folder", "base_folders"}
    assert set(ExampleSource.model_fields) == everywhere.union(*SETTINGS_OF_FORMAT.values())


def test_relative_paths_are_looked_for_here_then_beside_the_recipe(tmp_path, monkeypatch):
    here, recipe = tmp_path / "here", tmp_path / "recipe"
    here.mkdir()
    recipe.mkdir()
    monkeypatch.chdir(here)
    (recipe / "a.txt").touch()
    assert TextSource(paths=["a.txt"]).resolve(recipe).paths == [str(recipe / "a.txt")]
    (here / "a.txt").touch()
    assert TextSource(paths=["a.txt"]).resolve(recipe).paths == [str(here / "a.txt")]
    with pytest.raises(DataError) as error:
        TextSource(paths=["b.txt"]).resolve(recipe)
    assert str(here / "b.txt") in str(error.value)
    assert str(recipe / "b.txt") in str(error.value)
    with pytest.raises(DataError, match="is a folder"):
        TextSource(paths=[str(recipe)]).resolve()


def test_patterns_are_expanded_sorted_and_placeholders_kept(tmp_path):
    for name in ("b.sk.txt", "a.sk.txt", "a.de.txt"):
        (tmp_path / name).touch()
    assert TextSource(paths=["*.sk.txt"]).resolve(tmp_path).paths == [
        str(tmp_path / "a.sk.txt"),
        str(tmp_path / "b.sk.txt"),
    ]
    resolved = TextSource(paths=["a.{language}.txt"]).resolve(tmp_path)
    assert (resolved.paths, resolved.base_folders[-1]) == (["a.{language}.txt"], str(tmp_path))
    with pytest.raises(DataError, match="is not there"):
        TextSource(paths=["c.{language}.txt"]).resolve(tmp_path)


def test_each_language_is_looked_for_in_every_folder(tmp_path, monkeypatch):
    here, recipe = tmp_path / "here", tmp_path / "recipe"
    for folder, codes in ((here, ("de",)), (recipe, ("de", "sk"))):
        folder.mkdir()
        for code in codes:
            (folder / f"{code}.txt").write_text(f"{folder.name} {code}")
    monkeypatch.chdir(here)
    source = TextSource(paths=["{language}.txt"]).resolve(recipe)
    monkeypatch.chdir(tmp_path)  # where it was resolved counts, not where it is read
    assert [next(read_text(source, language=code)) for code in ("de", "sk")] == ["here de", "recipe sk"]
    with pytest.raises(DataError) as error:
        list(read_text(source, language="cs"))
    assert str(here / "cs.txt") in str(error.value)
    assert str(recipe / "cs.txt") in str(error.value)


def test_labels_path_is_resolved_too(tmp_path):
    (tmp_path / "a.tsv").touch()
    (tmp_path / "labels.txt").touch()
    source = ExampleSource(format="xnli", paths=["a.tsv"], labels_path="labels.txt").resolve(tmp_path)
    assert source.labels_path == str(tmp_path / "labels.txt")
