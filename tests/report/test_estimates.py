"""Estimates come from kept outputs, and only from those that give the recorded score."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from lingport.evaluate.stats import Draws
from lingport.report.estimates import estimate_scores
from lingport.report.read import Point, Run, point_of

from .made_run import cell_named, made_cells, made_score

POINT = Point("ner", "en", 0, "{}", "ta", "target", "de")
CELL = "ta-ner-en-de-target-s1"


def test_each_point_whose_cells_are_done_has_one(made: Run):
    found = estimate_scores(made, draws=Draws(50))
    done = {point_of(row) for row in made.results if row["status"] == "done"}
    assert set(found) == done
    scores = [made_score(cell_named(f"ta-ner-en-de-target-s{seed}")) for seed in (1, 2)]
    assert found[POINT].value == pytest.approx(sum(scores) / 2)
    low, high = found[POINT].interval()
    assert low < found[POINT].value < high


def test_configurations_on_the_same_examples_can_be_paired(made: Run):
    found = estimate_scores(made, draws=Draws(50))
    names = {point.target: set() for point in found}
    for point, estimate in found.items():
        if point.task == "ner":
            names[point.target].add(estimate.examples)
    assert all(len(each) == 1 for each in names.values())
    assert len(set.union(*names.values())) == len(names)


@pytest.mark.parametrize("harm", ["lost", "of another evaluation"])
def test_a_point_without_its_outputs_has_none(made: Run, made_dir, tmp_path, harm, caplog):
    shutil.copytree(made_dir / "predictions", tmp_path / "predictions")
    file = tmp_path / "predictions" / f"{CELL}.jsonl"
    if harm == "lost":
        file.unlink()
    else:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps({**row, "answer": row["gold"]}) + "\n" for row in rows))
    found = estimate_scores(replace(made, folder=tmp_path), draws=Draws(50))
    assert POINT not in found and POINT._replace(configuration="tp") in found
    assert (CELL in caplog.text) == (harm != "lost")


def test_a_task_that_is_known_no_more_gives_none(made: Run, caplog):
    recipe = {**made.recipe, "tasks": [{"task": "gone/ner.yaml"}, {"task": "topic"}]}
    found = estimate_scores(replace(made, recipe=recipe), draws=Draws(50))
    assert {point.task for point in found} == {"topic"} and "ner is not known" in caplog.text


def test_a_task_is_read_as_it_was_when_the_run_was_made(made: Run, tmp_path):
    shutil.copytree(made.folder / "predictions", tmp_path / "predictions")
    task = {"name": "other", "form": "spans", "input": "{tokens}", "labels": ["LOC"]}
    (tmp_path / "tasks.json").write_text(json.dumps({"ner": task}))
    recipe = {**made.recipe, "tasks": [{"task": "gone/ner.yaml"}]}
    found = estimate_scores(replace(made, recipe=recipe, folder=tmp_path), draws=Draws(50))
    assert {point.task for point in found} == {"ner"}


def test_made_scores_differ():
    assert len({made_score(cell) for cell in made_cells()}) > 30
