"""The catalogue: every entry can be used as it is, and says what a user needs to know."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lingport.config.catalogue import entry_names, language_problem, load_entry
from lingport.config.data import ExampleSource, TextSource
from lingport.config.schema import Splits
from lingport.data.fetch import is_commit
from lingport.data.languages import STUDIED, fill_placeholders
from lingport.errors import UnknownNameError
from lingport.tasks.catalogue import load_task, task_names

TASKS = {*task_names(), "text"}


def sources(name: str):
    entry = load_entry(name)
    if not entry.splits:
        return [TextSource.model_validate({"dataset": name})]
    return [ExampleSource.model_validate({"dataset": f"{name}/{split}"}) for split in entry.splits]


@pytest.mark.parametrize("name", entry_names())
def test_every_entry_can_be_used_and_says_what_is_known(name):
    entry = load_entry(name)
    assert entry.task in TASKS
    assert set(entry.languages) <= set(STUDIED)
    assert entry.license
    assert entry.homepage.startswith("http")
    assert entry.verified
    for source in sources(name):
        filled = fill_placeholders(source, entry.languages[0])
        assert type(source).model_validate(source.model_dump()) == source  # as a run's folder keeps it
        if entry.is_brought:
            for path in filled.paths:
                folder, own, first = path.split("/")[:3]
                assert (folder, own) == ("data", name)
                assert f"data/{name}" in entry.obtain
                assert first in entry.obtain, "what to bring is not named"
        else:
            assert filled.name is not None
            assert "/" in filled.name
            is_open = any("Commit" in line and "first use" in line for line in entry.unverified)
            assert is_commit(filled.revision) or is_open, "a revision that is no commit must be said to be open"


@pytest.mark.parametrize("name", [name for name in entry_names() if load_entry(name).splits])
def test_labels_and_columns_are_those_of_the_task(name):
    task = load_task(load_entry(name).task)
    for source in sources(name):
        assert isinstance(source, ExampleSource)
        assert {label for label in source.label_map.values() if label} <= set(task.config.labels or {})
        if source.columns:
            gold = {"tokens": "spans"}.get(task.fields[0], task.gold_field)
            assert {*task.fields, gold} <= set(source.columns)


def test_what_a_recipe_says_goes_over_the_entry():
    source = ExampleSource.model_validate({"dataset": "xnli/test", "limit": 10, "revision": "main"})
    assert (source.limit, source.revision, source.name) == (10, "main", "facebook/xnli")
    source = ExampleSource.model_validate({"dataset": "ronli/test", "folder": "/mine"})
    assert source.paths == ["/mine/test.json"]


def test_a_data_set_stands_for_all_its_splits():
    splits = Splits.model_validate({"dataset": "xnli", "limit": 5, "train": {"limit": 50}, "validation": None})
    assert splits.train is not None
    assert splits.test is not None
    assert (splits.train.limit, splits.validation, splits.test.limit) == (50, None, 5)
    assert Splits.model_validate("xquad").train is None
    assert Splits.model_validate(splits.model_dump()) == splits


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (ExampleSource, {"dataset": "xnl/test"}, "did you mean 'xnli'"),
        (ExampleSource, {"dataset": "xnli"}, "one of its splits, such as xnli/test"),
        (ExampleSource, {"dataset": "xquad/train"}, "has no train data; it has: test"),
        (TextSource, {"dataset": "wikipedia/train"}, "raw text, which has no splits"),
        (ExampleSource, {"format": "table", "paths": "a", "folder": "b"}, "other files are named by `paths`"),
        (Splits, "wikipedia", "name it under `text`"),
        (Splits, "nowhere", "unknown data set"),
    ],
)
def test_what_it_has_not_is_refused(schema, value, message):
    with pytest.raises(ValidationError, match=message):
        schema.model_validate(value)


def test_languages_are_told():
    assert language_problem("xnli/test", "sk") == (
        "the data set 'xnli/test' has no 'sk'; it has: ar, bg, de, el, en, es, ru, sw, ur, zh"
    )
    assert language_problem("xnli/test", "el") is None
    assert language_problem(None, "sk") is None
    with pytest.raises(UnknownNameError, match="lingport data list"):
        load_entry("nothing")
