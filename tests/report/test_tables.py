"""Tables and sentences of a made-up run, checked against its numbers computed anew."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace

import pytest

from lingport.report import words
from lingport.report.build import build_report
from lingport.report.markdown import markdown_table
from lingport.report.read import Run, read_run
from lingport.report.scores import collect_scores, num_expected
from lingport.report.tables import (
    MISSING,
    PARTIAL,
    Cell,
    Table,
    cost_table,
    gain_table,
    job_table,
    language_table,
    score_table,
    unusable_table,
)

from .made_run import SEEDS, made_score


def column(table: Table, name: str) -> dict[str, Cell]:
    place = table.head.index(name) - 1
    return {label: cells[place] for label, cells in table.rows}


def mean(task: str, configuration: str, target: str) -> float:
    return 100 * statistics.fmean(made_score(task, configuration, "target", target, seed) for seed in SEEDS)


def test_a_failed_seed_leaves_a_marked_mean_of_the_others(made: Run):
    ner = score_table(collect_scores(made)[0])
    cell = column(ner, "sk")["la+tp"]
    assert cell.text == f"{100 * made_score('ner', 'la+tp', 'target', 'sk', 1):.1f}{PARTIAL}"
    assert column(ner, "average")["la+tp"].text.endswith(PARTIAL)
    assert PARTIAL in ner.note and PARTIAL not in column(ner, "sk")["lp+tp"].text


def test_none_needs_one_seed_only(made: Run):
    assert column(score_table(collect_scores(made)[0]), "de")["none"].tail == ""
    assert num_expected(made) == 2 * 4 * (1 + 10 * 2)


def test_no_row_is_marked_where_many_tie():
    rows = [(str(index), [Cell("0.0", 0.0)]) for index in range(5)] + [("best", [Cell("9.0", 9.0)])]
    from lingport.report.tables import _ranked

    assert [cells[0].rank for _, cells in _ranked(rows)] == [0, 0, 0, 0, 0, 1]


def test_gain_is_the_difference_to_ta(made: Run):
    gains = gain_table(collect_scores(made)[1])
    assert gains is not None
    expected = {t: mean("topic", "lp+ta", t) - mean("topic", "ta", t) for t in ("de", "es", "sk")}
    assert column(gains, "es")["lp+ta"].value == pytest.approx(expected["es"])
    assert column(gains, "average")["lp+ta"].text == f"{statistics.fmean(expected.values()):+.1f}"
    assert "ta" not in column(gains, "es") and "en" not in gains.head


def test_language_modules_by_language_and_kind(made: Run):
    table = language_table(made)
    assert table is not None and table.head[1:4] == ["without", "with adapter", "adapter change"]
    assert column(table, "without")["sk"].value == pytest.approx(4.5)
    assert column(table, "with adapter")["sk"].value == pytest.approx(4.5 - 0.45 - 0.015)
    assert column(table, "prompt change")["en"].text == "-0.215"


def test_costs_of_task_and_language_modules(made: Run):
    table = cost_table(made, collect_scores(made)[0])
    assert table is not None and "none" not in column(table, "average")
    assert column(table, "task numbers")["lp+ta"].value == 19_264
    assert column(table, "language numbers")["lp+ta"].value == 9_600
    assert column(table, "language numbers")["ta"].text == MISSING
    assert column(table, "task s")["ta"].value == pytest.approx(35.5)


def test_jobs_and_unusable_outputs(made: Run):
    jobs, unusable = job_table(made), unusable_table(made)
    assert jobs is not None and len(jobs.rows) == 2 * 4 * 2 + 2 * 6 * 2
    assert column(jobs, "kept step")["ta-ner-en-s1"].value == 300
    assert unusable is not None
    assert column(unusable, "unreadable")["ner, ta"].value == 4 * 4 * 2
    assert column(unusable, "outputs")["ner, la+tp"].value == 200 * (4 * 2 - 1)
    assert column(unusable, "wrong script")["topic, ta"].text == MISSING


def test_the_summary_names_the_best_and_what_it_beats(made: Run):
    ner, topic = words.summary(collect_scores(made))
    average = statistics.fmean(mean("topic", "lp+ta", target) for target in ("de", "es", "sk"))
    assert f"lp+ta is best with {average:.1f} accuracy over 3 languages" in topic
    assert "largest class" not in topic and ner.startswith("ner from en")


def test_the_summary_says_when_chance_or_a_control_is_not_beaten(made: Run):
    topic = collect_scores(made)[1]
    chance = replace(topic, majority=dict.fromkeys(topic.targets, 0.9))
    assert "not above the largest class (90.0)" in words.summary([chance])[0]
    control = {("lp+ta (source module kept)", target): [0.99] for target in topic.targets}
    assert (
        "above it is lp+ta (source module kept) with 99.0"
        in words.summary([replace(topic, values={**topic.values, **control})])[0]
    )


def test_counts_of_cells(made: Run):
    assert words.counts(made).startswith("163 of 168 cells are done, 3 failed, 2 are missing.")


def test_two_sources_and_own_targets_of_a_task(made: Run):
    recipe = {**made.recipe, "sources": ["en", "de"]}
    recipe["tasks"] = [{"task": "ner", "name": None, "targets": ["sk"]}, {"task": "topic", "name": None}]
    scores = collect_scores(replace(made, recipe=recipe))
    assert [each.name for each in scores] == ["ner from en", "ner from de", "topic from en", "topic from de"]
    assert scores[0].targets == ["sk"] and scores[3].targets == ["en", "es", "sk", "de"]
    assert score_table(scores[0]).head == ["configuration", "sk", "average"]


def test_a_task_whose_file_has_another_name(made: Run):
    recipe = {**made.recipe, "tasks": [{"task": "mine/tagging.yaml", "name": None}, {"task": "topic", "name": None}]}
    assert [each.task for each in collect_scores(replace(made, recipe=recipe))] == ["ner", "topic"]


def test_a_run_that_has_only_begun(made_dir, tmp_path):
    (tmp_path / "recipe.yaml").write_bytes((made_dir / "recipe.yaml").read_bytes())
    report = build_report(tmp_path)
    assert "0 of 168 cells are done, 168 are missing" in report.counts
    assert all(cell.text == MISSING for _, cells in report.score_tables[0].rows for cell in cells)
    assert report.others == [] and report.csv.read_text().count("\n") == 1


def test_tables_as_plain_data(made_report):
    tables = json.loads(json.dumps(made_report.tables))
    assert [table["title"] for table in tables][:2] == [
        "ner from en: f1 by target language",
        "ner from en: gain over ta",
    ]
    row = next(row for row in tables[0]["rows"] if row["label"] == "lp+ta")
    assert row["cells"][0] == {
        "text": row["cells"][0]["text"],
        "value": pytest.approx(mean("ner", "lp+ta", "de")),
        "rank": 1,
    }


def test_markdown_keeps_its_columns_whatever_a_cell_says():
    table = Table("t", ["a", "b"], [("x|y", [Cell("two\nlines | of it")]), ("z", [Cell("1.0", 1.0, 1)])])
    lines = markdown_table(table).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == "| x\\|y | two lines \\| of it |"
    assert lines[3].endswith("| " + "**1.0**".rjust(len("two lines \\| of it")) + " |")


def test_reading_names_the_damaged_line(made_dir, tmp_path):
    from lingport.errors import DataError

    (tmp_path / "recipe.yaml").write_bytes((made_dir / "recipe.yaml").read_bytes())
    (tmp_path / "results.jsonl").write_text('{"task": "ner"}\n')
    with pytest.raises(DataError, match="without configuration") as caught:
        read_run(tmp_path)
    assert str(caught.value.where).endswith("results.jsonl:1")
