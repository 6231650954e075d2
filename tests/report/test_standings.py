"""Ranks, wins and losses over test sets that all configurations have done."""

from __future__ import annotations

import pytest

from lingport.evaluate.ranking import Ranking
from lingport.report.rank_plot import rank_plot
from lingport.report.standings import collect_standings, duel_table, rank_table, small


@pytest.fixture(scope="module")
def standings(made_report):
    found = collect_standings(made_report.scores)
    assert found is not None
    return found


def test_only_test_sets_that_all_have_done_count(standings):
    places = {(place.source, place.target) for place in standings.scores}
    # en-es lacks tp; from German, English is a target; topic was not asked of all configurations
    assert places == {("en", "de"), ("en", "sk"), ("de", "en"), ("de", "es"), ("de", "sk")}
    assert standings.num_incomplete == 4


def test_small_ranks_are_best(standings, column):
    table = rank_table(standings)
    cells = column(table, "ner")
    assert cells["lp+ta"].rank == 1 and cells["la+ta"].rank == 2 and cells["none"].rank == 0
    assert cells["lp+ta"].value == 1.0 and cells["none"].text == "7.00"
    assert sum(cell.value for cell in cells.values()) == pytest.approx(7 * 8 / 2)
    assert "5 test sets, Friedman's p" in table.note and "4 test sets that some" in table.note


def test_wins_of_one_are_losses_of_the_other(standings, column):
    table = duel_table(standings)
    assert table is not None
    for name in standings.labels:
        for other in standings.labels:
            text = column(table, other)[name].text
            if name == other:
                assert text == ""
            else:
                assert text.split("/")[::-1] == column(table, name)[other].text.split("/")
                assert sum(map(int, text.split("/"))) == 5
    assert column(table, "none")["lp+ta"].text == "5/0/0"


def test_the_diagram_tells_all_ranks(standings):
    ranking = standings.ranking()
    svg = rank_plot(standings.labels, ranking)
    assert svg is not None and all(f"{label} " in svg for label in standings.labels)
    assert "critical difference" in svg and "on 5 test sets" in svg
    assert rank_plot(["ta"], Ranking([1.0], 3, None, None)) is None


def test_one_configuration_has_no_standing(ner):
    from dataclasses import replace

    alone = {place: values for place, values in ner.values.items() if place[0] == "ta"}
    assert collect_standings([replace(ner, values=alone)]) is None


@pytest.mark.parametrize(("p", "text"), [(0.0002, "< 0.001"), (0.0123, "= 0.012"), (1.0, "= 1")])
def test_p_values_as_they_are_written(p, text):
    assert small(p) == text
