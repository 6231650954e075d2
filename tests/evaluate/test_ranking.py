"""Ranks and critical differences against published numbers."""

from __future__ import annotations

import pytest

from lingport.evaluate.ranking import Ranking, critical_difference, rank

# Table 6 of Demsar (2006): AUC of C4.5 with and without two parameters on 14 data sets.
DEMSAR = [
    (0.763, 0.768, 0.771, 0.798),
    (0.599, 0.591, 0.590, 0.569),
    (0.954, 0.971, 0.968, 0.967),
    (0.628, 0.661, 0.654, 0.657),
    (0.882, 0.888, 0.886, 0.898),
    (0.936, 0.931, 0.916, 0.931),
    (0.661, 0.668, 0.609, 0.685),
    (0.583, 0.583, 0.563, 0.625),
    (0.775, 0.838, 0.866, 0.875),
    (1.000, 1.000, 1.000, 1.000),
    (0.940, 0.962, 0.965, 0.962),
    (0.619, 0.666, 0.614, 0.669),
    (0.972, 0.981, 0.9751, 0.975),
    (0.957, 0.978, 0.946, 0.970),
]


def test_the_example_of_demsar():
    found = rank(DEMSAR)
    assert found.ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.num_sets == 14
    # His Friedman statistic, 9.28, has no correction for ties; scipy's has one, and so a smaller p value.
    assert found.p_value is not None and 0.01 < found.p_value < 0.026
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)


def test_critical_values_of_the_published_table():
    # Table 5a of Demsar (2006): q at 0.05 for 2 to 10 classifiers
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    found = [critical_difference(m, 10) / (m * (m + 1) / 60) ** 0.5 for m in range(2, 11)]
    assert found == pytest.approx(published, abs=1e-3)


def test_groups_that_are_not_told_apart():
    ranking = Ranking([1.0, 1.8, 2.6, 4.6], 10, 0.01, 1.0)
    assert ranking.cliques() == [(1.0, 1.8), (1.8, 2.6)]
    assert Ranking([2.0, 2.0, 2.0], 10, 1.0, 0.5).cliques() == [(2.0, 2.0)]
    assert Ranking([1.0, 2.0], 10, None, None).cliques() == []


def test_few_or_equal_scores():
    two = rank([(0.1, 0.2), (0.3, 0.2)])
    assert two.ranks == [1.5, 1.5] and two.p_value is None and two.critical_difference is None
    assert rank([(0.5, 0.5, 0.5)] * 4).p_value == 1.0
    assert rank([(0.50001, 0.50002, 0.1)]).ranks == [1.5, 1.5, 3.0]
