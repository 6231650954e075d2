"""What a run would do, told before it: counts against what the run then does, without weights and without the hub."""

from __future__ import annotations

import pytest

from lingport.backbones.base import Backbone
from lingport.backbones.outline import Outline
from lingport.errors import BackboneError
from lingport.grid.ledger import Ledger
from lingport.grid.preview import preview
from lingport.modules.base import KINDS, new_module
from tests.conftest import GOLDEN
from tests.grid_runs import recipe, run, write_data
from tests.tiny import settings_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture
def no_weights(monkeypatch):
    """Fails the test where a backbone is loaded."""

    def load(*_args, **_rest):
        raise AssertionError("the backbone's weights were read")

    monkeypatch.setattr(Backbone, "load", load)


CHANGES = {
    "configurations": ["none", "lp+ta", "la+tp", "full"],
    "shots": [0, 2],
    "few_shot": {kind: {"steps": 2, "batch_size": 2} for kind in ("adapter", "prompt", "full")},
}


def test_what_is_told_is_what_the_run_then_does(folder, tmp_path):
    before = preview(recipe(folder, **CHANGES), tmp_path)
    assert before.notes == [] and not any(job.done for job in before.jobs)
    summary, _ = run(folder, tmp_path, **CHANGES)
    assert summary.failed == {}
    did = {row["name"]: row for row in Ledger(tmp_path).jobs().values()}
    assert [job.name for job in before.jobs] == [row["name"] for row in Ledger(tmp_path).plan()]
    for job in before.jobs:
        record = did[job.name]
        assert job.rows == record["rows"], job.name
        if job.phase != "evaluate":
            assert (job.num_trained, job.steps) == (record["num_trained"], record["steps"]), job.name
        if job.phase == "language":
            assert (job.tokens, job.tokens_are) == (record["tokens"], "exact")
        if job.phase == "task":
            assert job.tokens_are == "estimated" and job.tokens == pytest.approx(record["tokens"], rel=0.2)


@pytest.fixture
def whole(folder, tmp_path):
    run(folder, tmp_path)
    return tmp_path


def test_a_finished_job_is_told_as_done_without_the_weights(folder, whole, tmp_path, no_weights):
    again = preview(recipe(folder), tmp_path)
    assert all(job.done for job in again.jobs)
    more = preview(recipe(folder, targets=["sk", "de"]), tmp_path)
    assert {job.name for job in more.jobs if not job.done} == {
        "lp-de-s1",
        "none-topic-en-de-target-s1",
        "lp+ta-topic-en-de-target-s1",
    }


def test_another_backbone_has_done_nothing(folder, tmp_path):
    run(folder, tmp_path, configurations=["none"])
    other = recipe(folder, configurations=["none"], backbone={"name": "nano", "dtype": "float32", "device": "cpu"})
    assert not any(job.done for job in preview(other, tmp_path).jobs)


def test_jobs_name_their_parents(folder, tmp_path):
    told = {job.name: job.needs for job in preview(recipe(folder), tmp_path).jobs}
    assert told["lp+ta-topic-en-sk-target-s1"] == ["lp-sk-s1", "lp+ta-topic-en-s1"]


def test_nothing_is_written(folder, tmp_path, no_weights):
    preview(recipe(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_hub_backbone_that_is_not_here_is_told_by_its_published_sizes(folder, tmp_path, no_weights):
    asked = recipe(folder, backbone={"name": "bigscience/mt0-base", "revision": "0" * 40})
    found = preview(asked, tmp_path)
    assert ["tokenizer of 'bigscience/mt0-base' is not on this machine" in note for note in found.notes] == [True]
    told = {job.name: job for job in found.jobs}
    assert told["lp-sk-s1"].num_trained == 3 * 768
    task = told["lp+ta-topic-en-s1"]
    assert (task.num_trained, task.tokens, task.tokens_are) == (1_789_056, 4 * 2 * 256, "at most")


def test_a_backbone_that_nobody_knows_is_said_clearly(folder, tmp_path, no_weights):
    found = preview(recipe(folder, backbone={"name": "someone/something"}), tmp_path)
    assert ["'someone/something' is not on this machine" in note for note in found.notes] == [True]
    assert all(job.num_trained in (None, 0) and job.steps != 0 for job in found.jobs)


def test_data_that_are_not_here_are_noted_and_not_fetched(folder, tmp_path):
    tasks = [
        {
            "task": "nli",
            "data": {
                "en": {"train": {"dataset": "xnli/train"}, "validation": {"dataset": "xnli/validation"}},
                "sk": {"test": {"dataset": "anli-sk/test", "limit": 50}},
                "ro": {"test": {"dataset": "ronli/test"}},
            },
        }
    ]
    found = preview(recipe(folder, configurations=["ta"], targets=["sk", "ro"], tasks=tasks), tmp_path)
    assert len(found.notes) == 1 and "data set ronli/test" in found.notes[0]
    told = {job.name: (job.rows, job.tokens_are) for job in found.jobs}
    assert told == {
        "ta-nli-en-s1": (8, "at most"),
        "ta-nli-en-sk-target-s1": (50, "at most"),
        "ta-nli-en-ro-target-s1": (None, "unknown"),
    }


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_outline_gives_every_kind_its_size(kind, backbone):
    outline = Outline.find(str(GOLDEN / "base"))
    assert outline.has_tokenizer and outline.num_parameters == backbone.num_parameters
    settings = settings_of(kind)
    assert new_module(kind, settings, outline).num_trained == new_module(kind, settings, backbone).num_trained


def test_published_sizes_are_the_papers_backbone():
    outline = Outline.find("bigscience/mt0-base", revision="0" * 40)
    assert (outline.num_parameters, outline.layout.width) == (582_401_280, 768)
    with pytest.raises(BackboneError, match="is not on this machine"):
        Outline.find("someone/something")
