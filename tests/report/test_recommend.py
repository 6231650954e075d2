"""Choosing by validation: what counts, what is left out, what is said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lingport.errors import InputError
from lingport.report.candidates import candidates
from lingport.report.read import read_run
from lingport.report.recommend import recommend


@pytest.fixture
def run_dir(made_dir: Path, tmp_path: Path) -> Path:
    """A copy of the made-up run whose jobs and results a test may change."""
    for name in ("recipe.yaml", "plan.jsonl", "jobs.jsonl"):
        shutil.copy(made_dir / name, tmp_path)
    lines = (made_dir / "results.jsonl").read_text().splitlines()[:-1]
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def change(file: Path, edit) -> None:
    rows = [edit(json.loads(line)) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))


def validated(run_dir: Path, scores: dict[str, float]) -> None:
    """Sets the validation scores of task modules by the beginning of their names, and drops all others."""

    def edit(job):
        if job["phase"] != "task":
            return job
        found = [score for name, score in scores.items() if job["name"].startswith(name)]
        final = {**job["final"], "score": found[0]} if found else {"best_step": 1}
        return {**job, "final": final}

    change(run_dir / "jobs.jsonl", edit)


def test_the_best_mean_validation_score_wins_whatever_the_test_says(run_dir):
    validated(run_dir, {"ta-ner-en": 0.5, "tp-ner-en": 0.4, "lp+ta-ner-en": 0.3})
    choice = recommend(run_dir, language="sk", task="ner")
    assert choice.chosen.point.configuration == "ta"
    assert [each.point.configuration for each in choice.candidates] == ["ta", "tp", "lp+ta"]
    change(run_dir / "results.jsonl", lambda row: {**row, "scores": {}, "main_score": "none"})
    assert recommend(run_dir, language="sk", task="ner").evidence() == choice.evidence()


def test_of_equal_ones_the_one_with_fewer_trained_numbers(run_dir):
    validated(run_dir, {"ta-ner-en": 0.5004, "tp-ner-en": 0.5, "lp+tp-ner-en": 0.5})
    choice = recommend(run_dir, language="sk", task="ner")
    names = [(each.name, each.num_trained) for each in choice.candidates]
    assert names == [("tp from en", 9_600), ("lp+tp from en", 19_200), ("ta from en", 19_264)]
    assert "validates as well" in " ".join(choice.notes)


def test_the_modules_are_of_the_seed_that_validates_best(run_dir):
    validated(run_dir, {"lp+ta-ner-en-s1": 0.5, "lp+ta-ner-en-s2": 0.6})
    chosen = recommend(run_dir, language="sk", task="ner").chosen
    assert chosen.seed == 2 and chosen.score == pytest.approx(55)
    assert (chosen.task_modules[2], chosen.language_modules[2]) == ("lp+ta-ner-en-s2", "lp-sk-s2")
    assert chosen.num_trained == 19_264 + 9_600
    assert chosen.losses == pytest.approx((4.5, 4.5 - 0.2 - 0.015))


def test_source_validation_is_said_to_be_no_more_than_that(run_dir):
    choice = recommend(run_dir, language="sk", task="ner")
    notes = " ".join(choice.notes)
    assert not choice.chosen.on_target and "Validated on en only" in notes
    assert "Of the sources en, de only en is compared" in notes and "test scores were not looked at" in notes
    assert {each.point.source for each in choice.candidates} == {"en"}
    other = recommend(run_dir, language="sk", task="ner", source="de")
    assert {each.point.source for each in other.candidates} == {"de"}


def test_validation_in_the_language_itself_goes_before(run_dir):
    choice = recommend(run_dir, language="sk", task="topic")
    assert choice.chosen.on_target and all(each.point.shots == 4 for each in choice.candidates)
    assert "Validated on labelled data of sk" in choice.notes[0]
    trained_on_it = recommend(run_dir, language="de", task="ner")
    assert trained_on_it.chosen.on_target and trained_on_it.chosen.point.source == "de"


def test_of_several_sources_at_once_the_languages_own_part_counts(run_dir):
    def joint(row):
        return {**row, "source": "de+en"} if row.get("source") == "en" and row.get("task") == "ner" else row

    def split(job):
        if job["phase"] != "task" or "-ner-en" not in job["name"]:
            return job
        parts = {"score of ner (de)": 0.2, "score of ner (en)": 0.6}
        return {**job, "final": {"score": 0.4, **parts}}

    for name in ("results.jsonl", "plan.jsonl"):
        change(run_dir / name, joint)
    change(run_dir / "jobs.jsonl", split)
    run = read_run(run_dir)
    for language, score, on_target in (("de", 20, True), ("en", 60, True), ("sk", 40, False)):
        found, _ = candidates(run, "ner", language, ["de+en"])
        assert {round(each.score) for each in found} == {score} and {each.on_target for each in found} == {on_target}


def test_a_language_that_was_never_tested_needs_only_its_module(run_dir):
    def rename(job):
        return {**job, "name": job["name"].replace("lp-sk-", "lp-sl-")} if job["phase"] == "language" else job

    change(run_dir / "jobs.jsonl", rename)
    choice = recommend(run_dir, language="sl", task="ner")
    assert {each.point.configuration for each in choice.candidates} == {"ta", "tp", "lp+ta", "lp+tp"}
    assert choice.left_out["la+ta from en"] == "no language module for sl"
    assert choice.chosen.language_modules[choice.chosen.seed].startswith("lp-sl-")


def test_what_is_close_and_what_does_not_help_is_said(run_dir):
    validated(run_dir, {"lp+ta-ner-en-s1": 0.5, "lp+ta-ner-en-s2": 0.6, "ta-ner-en": 0.53})

    def worse(job):
        return {**job, "final": {"validation_loss": 9.0}} if job["name"].startswith("lp-sk") else job

    change(run_dir / "jobs.jsonl", worse)
    notes = " ".join(recommend(run_dir, language="sk", task="ner").notes)
    assert "ta from en is 2.0 points behind, less than seeds differ by (7.1)" in notes
    assert "from 4.500 to 9.000 nats per token: it has learnt nothing" in notes


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "nerr"}, "no task 'nerr'"),
        ({"source": "fr"}, "no source 'fr'"),
    ],
)
def test_what_the_run_does_not_have(run_dir, asked, said):
    with pytest.raises(InputError, match=said):
        recommend(run_dir, **{"language": "sk", "task": "ner", **asked})


def test_nothing_to_choose_from(run_dir):
    validated(run_dir, {})
    with pytest.raises(InputError, match=r"nothing to choose from for ner in 'sk'.*no validation score"):
        recommend(run_dir, language="sk", task="ner")
