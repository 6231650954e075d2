"""`run`, `demo` and `report` on a tiny recipe."""

from __future__ import annotations

import json

from tests.cli.conftest import BACKBONE

NAMES = ["lp-en-s1", "ta-animals-en-s1", "lp+ta-animals-en-s1"]


def test_run_does_everything_once_and_reports(call, recipe, tmp_path):
    first = call("run", recipe)
    assert "animals" in first.stdout
    assert "report: runs/tiny/report/index.html" in first.stdout
    assert "[5/5] done" in first.stderr
    assert (tmp_path / "runs/tiny/report/index.html").is_file()

    again = json.loads(call("run", recipe, "--json").stdout)
    assert (again["done"], again["done_before"], again["failed"]) == (0, 5, {})
    assert [row["configuration"] for row in again["results"]] == ["ta", "lp+ta"]

    listed = call("run", recipe, "--dry-run")
    assert "5 jobs, 5 done" in listed.stdout

    reported = json.loads(call("report", "runs/tiny", "--json").stdout)
    assert reported["report"]["html"] == "runs/tiny/report/index.html"
    assert len(reported["results"]) == 2
    assert "largest class" in call("report", "runs/tiny").stdout


def test_a_dry_run_lists_jobs_with_their_parents_and_writes_nothing(call, recipe, tmp_path):
    rows = json.loads(call("run", recipe, "--dry-run", "--json").stdout)
    assert [row["name"] for row in rows][:3] == NAMES
    assert {row["name"]: row["needs"] for row in rows}["lp+ta-animals-en-s1"] == ["lp-en-s1"]
    assert not any(row["done"] for row in rows)
    assert not (tmp_path / "runs").exists()


def test_overrides_change_the_recipe(call, recipe):
    rows = json.loads(call("run", recipe, "configurations=[ta]", "seeds=[1,2]", "--dry-run", "--json").stdout)
    assert [row["name"] for row in rows][:2] == ["ta-animals-en-s1", "ta-animals-en-s2"]


def test_a_wrong_override_names_the_nearest_key(call, recipe):
    assert "did you mean 'seeds'" in call("run", recipe, "seed=[1]", "--dry-run", code=2).stderr
    assert "not key=value" in call("run", recipe, "seeds", code=2).stderr


def test_a_failed_job_fails_the_run_and_says_why(call, recipe, tmp_path):
    rate = "task_training.adapter.learning_rate=1e30"
    steps = "task_training.adapter.steps=20"
    result = call("run", recipe, "configurations=[ta]", rate, steps, code=1)
    assert "FAILED" in result.stderr
    assert "not finite" in result.stderr
    assert "BLOCKED" in result.stderr


def test_the_demo_is_a_recipe_like_any_other(call):
    rows = json.loads(call("demo", f"backbone.name={BACKBONE}", "--dry-run", "--json").stdout)
    shapes = {row["name"].split("-")[0] for row in rows if row["phase"] == "evaluate"}
    assert shapes == {"none", "ta", "tp", "la+ta", "la+tp", "lp+ta", "lp+tp"}


def test_report_of_no_run(call, tmp_path):
    assert "no run here" in call("report", tmp_path, code=2).stderr
