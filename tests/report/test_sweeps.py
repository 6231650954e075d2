"""Points of a sweep and numbers of shots: which cells belong to which point, and their curves."""

from __future__ import annotations

import statistics

import pytest

from lingport.report.plots import sweep_plot
from lingport.report.sweeps import point_name, short_names, sweeps

from .made_run import SEEDS, SWEPT, cell_named, made_score


@pytest.fixture(scope="module")
def topic(made_report):
    return [scores for scores in made_report.scores if scores.task == "topic"]


def test_a_cell_that_a_setting_does_not_change_stands_at_all_its_values(topic):
    assert [(scores.shots, scores.settings[SWEPT]) for scores in topic] == [(0, 5), (4, 5), (0, 20), (4, 20)]
    ta = [scores.mean("ta", "de") for scores in topic]
    assert ta[0] == ta[2] != ta[1] == ta[3]
    none = [scores.mean("none", "de") for scores in topic]
    assert len(set(none)) == 1 and none[0] is not None
    assert len({scores.mean("lp+ta", "sk") for scores in topic}) == 4


def test_one_curve_for_each_setting_at_each_value_of_the_others(topic, column):
    found = sweeps(topic)
    assert [sweep.table.title for sweep in found] == [
        "topic from en: average accuracy by prompt.num_virtual_tokens, shots = 0",
        "topic from en: average accuracy by prompt.num_virtual_tokens, shots = 4",
        "topic from en: average accuracy by shots, prompt.num_virtual_tokens = 5",
        "topic from en: average accuracy by shots, prompt.num_virtual_tokens = 20",
    ]
    names = [f"lp+ta-topic-en-{t}-target-s{s}-4shot" for t in ("de", "es", "sk") for s in SEEDS]
    expected = 100 * statistics.fmean(made_score(cell_named(name)) for name in names)
    assert column(found[1].table, "20")["lp+ta"].value == pytest.approx(expected)
    assert found[3].values == [0, 4]
    assert sweeps(topic[:1]) == []


def test_the_plot_names_what_is_swept(topic):
    plot = sweep_plot(sweeps(topic)[0])
    assert plot is not None and len(plot.pictures) == 1
    assert [line.label for line in plot.lines] == ["none", "ta", "lp+ta"]
    assert ">prompt.num_virtual_tokens</text>" in plot.pictures[0] and ">20</text>" in plot.pictures[0]


def test_names_of_settings_are_short_where_they_stay_distinct():
    keys = ["language_training.num_texts", "a.modules.prompt.rows", "b.modules.prompt.rows"]
    assert list(short_names(keys).values()) == ["language_training.num_texts", *keys[1:]]
    assert short_names(["a.b.c.d"]) == {"a.b.c.d": "c.d"}


def test_points_are_told_apart_by_name(topic):
    assert point_name(topic[1], topic) == "4 shots, prompt.num_virtual_tokens = 5"
    assert point_name(topic[0], topic[:1]) == "prompt.num_virtual_tokens = 5"
