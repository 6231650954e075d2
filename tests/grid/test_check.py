"""What `check_recipe` works out: sizes, lengths, what is cut, and all problems together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lingport.errors import ConfigError
from lingport.grid.check import Checked, ExampleSet, Lengths, TextSet, check_recipe
from tests.conftest import GOLDEN

LONG = "a cat sat on the mat and " * 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Raw text, short and long examples of two tasks."""
    (tmp_path / "en.txt").write_text("\n".join(f"a cat sat on mat {n} and ran" for n in range(100)))
    (tmp_path / "qa.jsonl").write_text(
        "".join(
            json.dumps({"question": "who?", "context": context, "answers": answers}) + "\n"
            for context, answers in (("a cat sat", ["cat"]), (LONG, ["dog"]), (LONG + "dog", ["dog"]))
        )
    )
    (tmp_path / "kind.tsv").write_text(f"text\tlabel\na cat\tcat\n{LONG}\tdog\n")
    (tmp_path / "kind.yaml").write_text("form: classify\ninput: '{text}'\nlabels: {cat: a big grey cat, dog: dog}\n")
    return tmp_path


def check(folder: Path, *overrides: str, **changes: Any) -> Checked:
    def splits(path: str) -> dict[str, Any]:
        source = {"format": "table", "path": path}
        return {"data": {"en": {"train": source, "validation": source, "test": source}}}

    prompt = {"modules": {"prompt": {"num_virtual_tokens": 4}}}
    recipe: dict[str, Any] = {
        "name": "tiny",
        "backbone": {"name": str(GOLDEN / "base")},
        "configurations": ["lp+tp"],
        "sources": ["en"],
        "targets": ["en"],
        "text": {"en": {"path": "en.txt", "validation": 0.3}},
        "language_training": {"objective": {"max_length": 24}, "validation_chunks": 1000, **prompt},
        "task_training": prompt,
        "tasks": [
            {"task": "qa", "overrides": {"max_input_tokens": 40, "stride_tokens": 0}, **splits("qa.jsonl")},
            {"task": "kind.yaml", "overrides": {"max_input_tokens": 20, "max_target_tokens": 1}, **splits("kind.tsv")},
        ],
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe | changes))
    return check_recipe(path, overrides)


def test_lengths():
    assert Lengths.of(range(1, 101)) == Lengths(50, 95, 100)
    assert Lengths.of([7]) == Lengths(7, 7, 7)


def test_data_sets_are_measured(folder):
    found = check(folder)
    assert found.problems == []
    sets = {(getattr(each, "task", "text"), each.split): each for each in found.data}
    assert list(sets) == [("text", "train"), ("text", "validation")] + [
        (task, split) for task in ("qa", "kind") for split in ("train", "validation", "test")
    ]
    text = sets["text", "validation"]
    assert isinstance(text, TextSet)
    assert text.size + sets["text", "train"].size == 100
    assert 0 < text.num_chunks < text.num_needed == 1000
    assert "<extra_id_0>" in text.examples[0].input
    assert text.examples[0].target.startswith("<extra_id_0>")
    qa = sets["qa", "train"]
    assert isinstance(qa, ExampleSet)
    assert (qa.size, qa.num_windowed, qa.num_cut, qa.num_left_out) == (3, 2, 0, 1)
    assert qa.examples[0].target == "cat"
    assert qa.input_tokens.longest > qa.max_input_tokens == 40
    tested = sets["qa", "test"]
    assert isinstance(tested, ExampleSet)
    assert tested.num_left_out == 0  # nothing is left out of a test
    kind = sets["kind", "test"]
    assert isinstance(kind, ExampleSet)
    assert (kind.size, kind.num_windowed, kind.num_cut) == (2, 0, 1)
    assert kind.num_long_targets == 0  # label words always fit


def test_targets_that_are_too_long_are_counted(folder):
    qa = check(folder, "tasks.0.overrides.max_target_tokens=1").data[2]
    assert isinstance(qa, ExampleSet)
    assert qa.num_long_targets == 3


def test_all_problems_come_together_and_once(folder):
    (folder / "kind.tsv").write_text("text\tlabel\na cat\tcat\na bird\tbird\na fish\tfish\n")
    found = check(
        folder, "text.en.path=missing.txt", "fusion=mean", "task_training.modules.prompt.num_virtual_tokens=3"
    )
    told = [str(problem) for problem in found.problems]
    assert len(told) == 3
    assert "mean" in told[0]
    assert "missing.txt" in told[1]
    assert "kind.tsv:3" in told[2]
    assert "kind.tsv:4" in told[2]  # both rows, though three splits read them
    assert {each.task for each in found.data if isinstance(each, ExampleSet)} == {"qa"}


def test_without_a_backbone_the_data_are_still_read(folder):
    (folder / "qa.jsonl").write_text("{}\n")
    told = [str(problem) for problem in check(folder, "backbone.name=/nowhere").problems]
    assert len(told) == 2
    assert "/nowhere" in told[0]
    assert "qa.jsonl:1" in told[1]


def test_the_weights_of_the_backbone_are_not_needed(folder):
    bare = folder / "bare"
    bare.mkdir()
    for file in (GOLDEN / "base").iterdir():
        if file.suffix == ".json":
            (bare / file.name).write_bytes(file.read_bytes())
    found = check(folder, f"backbone.name={bare}")
    assert found.problems == []
    assert [each.examples for each in found.data] == [each.examples for each in check(folder).data]


def test_a_data_set_of_the_catalogue_that_is_not_there_says_where_to_obtain_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data = "{en: {dataset: xnli, train: null, validation: null, test: null}, ro: {dataset: ronli, folder: mine}}"
    settings = ("configurations=[none]", "targets=[ro]", f"tasks=[{{task: nli, data: {data}}}]", "sources=[ro]")
    told = [str(problem) for problem in check(folder, *settings).problems]
    assert len(told) == 1  # without anything to train, only the test data count
    assert "mine/test.json" in told[0]
    assert "put train.json, validation.json and test.json of https://github.com/Eduard6421/RONLI" in told[0]


def test_a_wrong_wording_leaves_no_room(folder):
    told = [str(problem) for problem in check(folder, "tasks.0.overrides.max_input_tokens=8").problems]
    assert len(told) == 1
    assert "no room" in told[0]


def test_a_wrong_recipe_is_refused_at_once(folder):
    with pytest.raises(ConfigError, match="target_s"):
        check(folder, target_s=["en"])


def test_amounts_that_are_not_there_are_told_before_training(folder):
    # 100 texts, a share of 0.3 held out; three examples of qa, two of kind
    asked = {"language_training.num_texts": [10, 90], "task_training.num_examples": [2, 3]}
    found = check(folder, sweep=asked, shots=[0, 5])
    told = [str(problem).splitlines()[0] for problem in found.problems]
    assert [line.split(": ")[-1] for line in told] == [
        "90 are asked for, but there are only 73",
        "5 are asked for, but there are only 3",
        "3 are asked for, but there are only 2",
    ]
    assert "texts of 'en'" in told[0] and "qa.jsonl" in told[1] and "kind.tsv" in told[2]
    assert check(folder, sweep={"language_training.num_texts": [10, 60]}, shots=[0, 2]).problems == []


def test_every_point_of_a_sweep_is_checked_for_its_fusion(folder):
    key = "language_training.modules.prompt.num_virtual_tokens"
    told = [str(problem) for problem in check(folder, "fusion=mean", sweep={key: [4, 8]}).problems]
    assert len(told) == 1 and "a language prompt of 8 and a task prompt of 4" in told[0]
