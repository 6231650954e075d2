"""Commits of hub data: written into the run's folder, and the same whenever the run goes on."""

from __future__ import annotations

import json
import logging

import pytest
from huggingface_hub import constants

from lingport.config.schema import Recipe
from lingport.grid.fingerprint import source_fingerprint
from lingport.grid.pins import pinned
from tests.dataset_server import FIRST, SECOND, ServedDataset, dataset_server

HUB = {"format": "hub", "name": "a/pairs", "split": "test"}
PINNED = {**HUB, "revision": SECOND}
LOCAL = {"format": "hub", "name": ".", "split": "test"}


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "x",
            "configurations": ["ta"],
            "sources": ["en"],
            "targets": ["sk"],
            "text": {"default": {"format": "hub", "name": "a/text"}},
            "tasks": [{"task": "nli", "data": {"default": {"train": PINNED, "validation": LOCAL, "test": HUB}}}],
        }
    )


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    served = {name: ServedDataset({FIRST: {}, SECOND: {}}) for name in ("a/pairs", "a/text")}
    with dataset_server(served) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield served


def revisions(recipe: Recipe) -> dict[str, str | None]:
    splits = recipe.tasks[0].data["default"]
    named = {
        "text": recipe.text["default"],
        "train": splits.train,
        "validation": splits.validation,
        "test": splits.test,
    }
    return {name: source.revision for name, source in named.items() if source is not None}


def test_branches_become_commits_and_are_written_down(recipe, served, tmp_path):
    run = tmp_path / "run"
    assert revisions(pinned(recipe, run)) == {"text": FIRST, "train": SECOND, "validation": None, "test": FIRST}
    written = json.loads((run / "data.json").read_text())
    assert written == {"a/pairs@main": FIRST, "a/text@main": FIRST}
    assert pinned(pinned(recipe, run), run) == pinned(recipe, run)


def test_the_commits_of_a_run_outlive_the_cache_and_the_hub(recipe, served, tmp_path, monkeypatch):
    first = pinned(recipe, tmp_path / "run")
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "another"))  # another machine, and newer data
    for dataset in served.values():
        dataset.branches["main"] = SECOND
    assert pinned(recipe, tmp_path / "run") == first
    assert revisions(pinned(recipe, tmp_path / "new"))["test"] == SECOND


def test_a_dry_run_asks_nobody_and_writes_nothing(recipe, served, tmp_path):
    run = tmp_path / "run"
    assert pinned(recipe, run, ask=False) == recipe
    assert not run.exists()
    asked = pinned(recipe, run)
    assert pinned(recipe, tmp_path / "other", ask=False) == asked  # this machine remembers
    assert not (tmp_path / "other").exists()


def test_what_the_hub_refuses_stays_as_it_is(recipe, served, tmp_path, caplog):
    served["a/text"].refusal = (403, "GatedRepo")
    with caplog.at_level(logging.WARNING):
        assert revisions(pinned(recipe, tmp_path / "run")) == {
            "text": None,
            "train": SECOND,
            "validation": None,
            "test": FIRST,
        }
    assert "accept its conditions" in caplog.text


def test_a_commit_is_part_of_what_decides_a_result(recipe, served, tmp_path):
    source = pinned(recipe, tmp_path / "run").tasks[0].data["default"].test
    assert source is not None
    before = recipe.tasks[0].data["default"].test
    assert source_fingerprint(source, "sk") != source_fingerprint(before, "sk")
