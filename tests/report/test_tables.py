"""Tables of a made-up run, checked against its numbers computed anew."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from lingport.report import words
from lingport.report.build import build_report
from lingport.report.read import Run
from lingport.report.scores import AVERAGE, Scores, collect_scores
from lingport.report.standings import collect_standings
from lingport.report.table import ABOVE, BELOW, FAILED, MISSING, PARTIAL, Cell, ranked
from lingport.report.tables import control_table, score_table, transfer_tables

from .made_run import SEEDS, cell_named, made_score


def mean(configuration: str, target: str, *, policy: str = "target", task: str = "ner", source: str = "en") -> float:
    names = (f"{configuration}-{task}-{source}-{target}-{policy}-s{seed}" for seed in SEEDS)
    return 100 * statistics.fmean(made_score(cell_named(name)) for name in names)


def test_means_over_seeds_and_the_zero_shot_average(table_called, column):
    table = table_called("ner from en: f1 by target language")
    assert table.head == ["configuration", "de", "es", "sk", "average", "en (source)"]
    assert column(table, "de")["ta"].value == pytest.approx(mean("ta", "de"))
    assert column(table, "de")["ta"].text == f"{mean('ta', 'de'):.1f}"
    expected = statistics.fmean(mean("ta", target) for target in ("de", "es", "sk"))
    assert column(table, "average")["ta"].value == pytest.approx(expected)


def test_every_mean_has_an_interval_around_it(table_called):
    for _, cells in table_called("ner from en: f1 by target language").rows:
        for cell in cells:
            if cell.value is not None:
                assert cell.interval is not None
                assert cell.interval[0] <= cell.value + 1e-9 and cell.value <= cell.interval[1] + 1e-9


def test_a_failed_seed_leaves_a_marked_mean_of_the_others(table_called, column):
    table = table_called("ner from en: f1 by target language")
    one = made_score(cell_named("la+tp-ner-en-sk-target-s1"))
    assert column(table, "sk")["la+tp"].text == f"{100 * one:.1f}"
    assert PARTIAL in column(table, "sk")["la+tp"].marks and PARTIAL in column(table, "average")["la+tp"].marks
    assert PARTIAL in table.note and PARTIAL not in column(table, "sk")["lp+tp"].marks
    assert PARTIAL not in column(table, "de")["none"].marks  # one seed is all that it needs


def test_missing_and_failed_cells_are_shown_and_not_averaged(table_called, column, ner: Scores):
    table = table_called("ner from en: f1 by target language")
    assert column(table, "es")["tp"].text == MISSING and column(table, "average")["tp"].text == MISSING
    without = {place: values for place, values in ner.values.items() if place != ("la+tp", "sk")}
    table = score_table(replace(ner, values=without), {}, name="x")
    assert column(table, "sk")["la+tp"].text == FAILED


def test_best_and_second_of_each_column_are_marked(table_called, column):
    marks = column(table_called("ner from en: f1 by target language"), "sk")
    assert {label: cell.rank for label, cell in marks.items() if cell.rank} == {"lp+ta": 1, "la+ta": 2}


def test_no_row_is_marked_where_many_tie():
    rows = [(str(index), [Cell("0.0", 0.0)]) for index in range(5)] + [("best", [Cell("9.0", 9.0)])]
    assert [cells[0].rank for _, cells in ranked(rows)] == [0, 0, 0, 0, 0, 1]


def test_the_upper_reference_is_no_competitor(ner: Scores, column):
    full = {("full", target): [0.99] for target in ner.targets}
    scores = replace(ner, labels=[*ner.labels, "full"], values={**ner.values, **full})
    table = score_table(scores, {}, name="x")
    assert column(table, "sk")["full"].rank == 0 and column(table, "sk")["lp+ta"].rank == 1
    assert "full is the upper reference" in table.note and "above it is full, by " in words.best(scores)
    standings = collect_standings([scores])
    assert standings is not None and "full" not in standings.labels


def test_arrows_stand_where_the_paired_interval_is_clear_of_zero(table_called, column):
    scores = column(table_called("ner from en: f1 by target language"), AVERAGE)
    gains = column(table_called("ner from en: gain over ta"), AVERAGE)
    assert scores["lp+ta"].marks == ABOVE and scores["none"].marks == BELOW
    for label, cell in gains.items():
        if cell.marks:
            assert cell.interval is not None and (cell.interval[0] > 0) == (cell.marks == ABOVE)
        assert label != "ta" and cell.marks == scores[label].marks.replace(PARTIAL, "")


def test_comparisons_are_corrected_together(ner: Scores):
    alone = ner.compare([("la+ta", "ta")])["la+ta", "ta", "de"].p_value
    together = ner.compare([(label, "ta") for label in ner.labels if label != "ta"])["la+ta", "ta", "de"].p_value
    assert together > alone


def test_gain_is_the_difference_to_ta_and_shaded(table_called, column):
    table = table_called("ner from en: gain over ta")
    assert "en" not in table.head
    cells = column(table, "es")
    assert cells["lp+ta"].value == pytest.approx(mean("lp+ta", "es") - mean("ta", "es"))
    assert cells["lp+ta"].text == f"{mean('lp+ta', 'es') - mean('ta', 'es'):+.1f}"
    low, high = (int(cells[label].shade[5:], 16) - int(cells[label].shade[1:3], 16) for label in ("none", "lp+ta"))
    assert low < 0 < high  # red below, blue above


def test_controls_stand_under_their_configuration(table_called, column, ner: Scores):
    table = table_called("ner from en: controls")
    assert [label for label, _ in table.rows][:2] == ["la+ta", "la+ta (source module kept)"]
    found = column(table, "difference")
    wanted = [mean("lp+ta", t, policy="source") - mean("lp+ta", t) for t in ("de", "es", "sk")]
    assert found["lp+ta (source module kept)"].value == pytest.approx(statistics.fmean(wanted))
    assert found["lp+ta"].text == "" and found["lp+ta (source module kept)"].interval is not None
    assert control_table(replace(ner, controls={}), {}, name="x") is None
    assert "lp+ta (source module kept)" not in column(table_called("ner from en: f1 by target language"), "de")


def test_transfer_maps_have_a_row_per_source(made_report, column):
    scores = [each for each in made_report.scores if each.task == "ner"]
    tables = transfer_tables("ner", scores)
    table = next(each for each in tables if each.title.startswith("ner: lp+ta"))
    assert [label for label, _ in table.rows] == ["en", "de"] and table.head == ["source", "de", "en", "es", "sk"]
    assert column(table, "sk")["de"].value == pytest.approx(mean("lp+ta", "sk", source="de"))
    assert all(cell.shade for _, cells in table.rows for cell in cells)


def test_several_sources_at_once_are_left_out_of_the_average(made: Run):
    rows = [{**row, "source": "de+en"} for row in made.results if row["source"] == "en" and row["task"] == "ner"]
    scores = collect_scores(replace(made, results=rows, asked=rows), {})
    assert [each.source for each in scores] == ["de+en"]
    assert scores[0].zero_shot() == ["es", "sk"] and scores[0].in_source() == ["en", "de"]


def test_a_wrong_module_is_averaged_without_its_own_language(ner: Scores, column):
    label = "lp+ta (wrong module: de)"
    values = {**ner.values, (label, "es"): [0.3], (label, "sk"): [0.1], (label, "en"): [0.2]}
    scores = replace(ner, controls={label: "lp+ta"}, values=values, unasked={(label, "de")})
    table = control_table(scores, {}, name="x")
    assert table is not None and column(table, "de")[label].text == ""
    assert column(table, AVERAGE)[label].text == "20.0"
    expected = 20 - statistics.fmean(mean("lp+ta", target) for target in ("es", "sk"))
    assert column(table, "difference")[label].value == pytest.approx(expected)
    assert "leaves its own language out" in table.note
    high = {(label, "es"): [0.9], (label, "sk"): [0.9]}
    gain = 90 - statistics.fmean(mean("lp+ta", target) for target in ("es", "sk"))
    said = words.best(replace(scores, values={**values, **high}))
    assert f"above it is {label}, by {gain:.1f} points in the 2 languages that it has" in said


def test_the_summary_names_all_that_are_equal(ner: Scores):
    flat = {(label, target): [0.5] for label in ("ta", "tp", "lp+ta") for target in ner.targets}
    three = replace(ner, labels=["ta", "tp", "lp+ta"], controls={}, estimates={}, values=flat)
    assert words.best(three).startswith("ner from en: all configurations are alike with 50.0 f1 over 3")
    four = replace(three, labels=["none", *three.labels], values={**flat, ("none", "de"): [0.1]})
    assert "all configurations" in words.best(four)  # none is not complete
    lower = {("none", target): [0.1] for target in ner.targets}
    assert "ta, tp and lp+ta are best with 50.0" in words.best(replace(four, values={**flat, **lower}))


def test_the_largest_class_is_no_competitor(table_called, column):
    title = "topic from en, 0 shots, prompt.num_virtual_tokens = 5: accuracy by target language"
    table = table_called(title)
    assert table.last == 1 and table.rows[-1][0] == "largest class"
    assert column(table, "sk")["largest class"].text == "24.0" and not column(table, "sk")["largest class"].rank


def test_the_summary_names_the_best_and_what_it_beats(ner: Scores):
    text = words.best(ner)
    average = statistics.fmean(mean("lp+ta", target) for target in ("de", "es", "sk"))
    assert text.startswith(f"ner from en: lp+ta is best with {average:.1f} f1 [")
    assert "over 3 languages; ta has" in text and "p < 0.001" in text and "(1 row not complete)" in text


def test_the_summary_says_when_chance_or_a_control_is_not_beaten(ner: Scores):
    chance = replace(ner, majority=dict.fromkeys(ner.targets, 0.9))
    assert "not above the largest class (90.0)" in words.best(chance)
    control = {("lp+ta (source module kept)", target): [0.99] for target in ner.targets}
    said = words.best(replace(ner, values={**ner.values, **control}))
    average = statistics.fmean(mean("lp+ta", target) for target in ("de", "es", "sk"))
    assert f"above it is lp+ta (source module kept), by {99 - average:.1f} points (1 row not complete)." in said


def test_counts_of_cells(made: Run):
    assert words.counts(made).startswith("217 of 220 cells are done, 1 failed, 2 are missing.")
    assert words.counts(made).endswith("1 job failed or could not begin.")


def test_a_run_that_has_only_begun(made_dir, tmp_path):
    for name in ("recipe.yaml", "plan.jsonl"):
        (tmp_path / name).write_bytes((made_dir / name).read_bytes())
    report = build_report(tmp_path)
    assert report.sentences[0].startswith("0 of 220 cells are done, 220 are missing")
    assert "lp+ta is a task adapter above a language prompt" in report.sentences[-1]
    assert all(cell.text == MISSING for _, cells in report.tables[0].rows for cell in cells)
    assert report.file("cells").read_text().count("\n") == 1
    assert report.file("csv").read_text().count("\n") > 100
