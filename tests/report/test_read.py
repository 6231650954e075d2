"""Reading a run folder: what counts of several records, what is torn, in which order."""

from __future__ import annotations

import json
import shutil

import pytest

from lingport.errors import DataError
from lingport.report.cells import cells_asked, row_label, task_names
from lingport.report.read import Point, read_run

from .made_run import FAILED, MISSING, made_cells, made_score


def test_the_last_record_of_a_cell_counts_and_a_torn_line_does_not(made):
    first = made_cells()[0]
    (row,) = [row for row in made.results if row["cell"] == first["cell"]]
    assert row["scores"]["f1"] == made_score(first)
    assert len(made.results) == len(made_cells()) - len(MISSING)


def test_results_are_in_the_plans_order_whatever_ended_first(made, made_dir, tmp_path):
    for name in ("recipe.yaml", "plan.jsonl"):
        shutil.copy(made_dir / name, tmp_path / name)
    for name in ("jobs.jsonl", "results.jsonl"):
        lines = (made_dir / name).read_text().splitlines()[1:]
        whole = [line for line in lines if line.endswith("}")]
        (tmp_path / name).write_text("\n".join(reversed(whole)) + "\n")
    shuffled = read_run(tmp_path)
    assert [row["cell"] for row in shuffled.results] == [row["cell"] for row in made.results]
    cells = [job["name"] for job in made.jobs if job["phase"] == "evaluate"]
    assert [job["name"] for job in shuffled.jobs if job["phase"] == "evaluate"] == cells


def test_the_damaged_line_is_named(made_dir, tmp_path):
    shutil.copy(made_dir / "recipe.yaml", tmp_path)
    (tmp_path / "results.jsonl").write_text('{"task": "ner"}\n')
    with pytest.raises(DataError, match="without configuration") as caught:
        read_run(tmp_path)
    assert str(caught.value.where).endswith("results.jsonl:1")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="no run here"):
        read_run(tmp_path)


def test_of_a_long_training_all_validations_and_some_steps_are_read(made, made_dir, monkeypatch):
    monkeypatch.setattr("lingport.report.read.MAX_EVENTS", 40)
    events = made.events("ta-ner-en-s1")
    assert [e["step"] for e in events if e["event"] == "evaluate"] == list(range(50, 401, 50))
    assert 36 <= sum(e["event"] == "train" for e in events) <= 45
    assert made.events("nobody") == []


def test_an_older_run_has_no_plan_no_shots_and_no_settings(made, made_dir, tmp_path):
    shutil.copy(made_dir / "recipe.yaml", tmp_path)
    recipe = (tmp_path / "recipe.yaml").read_text().replace("task: topic", "task: mine/other.yaml")
    (tmp_path / "recipe.yaml").write_text(recipe)
    keys = ("cell", "task", "configuration", "source", "target", "policy", "seed")
    row = {key: made.results[0][key] for key in keys} | {"status": "failed", "error": "x"}
    (tmp_path / "results.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "task": "others"}) + "\n")
    run = read_run(tmp_path)
    assert task_names(run) == ["ner", "others"]
    asked = cells_asked(run)
    assert (Point("ner", "en", 0, "{}", "none", "target", "en"), 1) in asked
    assert len(asked) == 2 * 2 * 4 * (1 + 2 * 2 + 4 * 2 * 2)


def test_labels_of_controls():
    assert row_label("lp+ta", "target") == "lp+ta" and row_label("ta", "none") == "ta"
    assert row_label("lp+ta", "wrong:de") == "lp+ta (wrong module: de)"
    assert row_label("lp+ta", "untrained") == "lp+ta (untrained module)"


def test_the_failed_cell_is_read_as_such(made):
    assert [row["name"] for row in made.results if row["status"] == "failed"] == [FAILED]
