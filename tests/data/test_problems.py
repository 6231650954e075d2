"""How problems are told: one as it is, several as a list, long values shortened."""

from __future__ import annotations

import pytest

from lingport.data.problems import Problems, shorten
from lingport.errors import DataError


def test_nothing_is_raised_without_a_problem():
    Problems("a.txt").raise_if_any()


def test_one_problem_is_raised_as_it_is():
    problems = Problems("a.txt")
    problems.add("wrong", where="a.txt:3", hint="mend it")
    with pytest.raises(DataError) as error:
        problems.raise_if_any()
    assert str(error.value) == "a.txt:3: wrong\n  -> mend it"


def test_several_problems_are_listed_and_the_rest_is_counted():
    problems = Problems("a.txt")
    for line in range(1, 8):
        problems.add("wrong", where=f"a.txt:{line}", hint="mend it")
    with pytest.raises(DataError) as error:
        problems.raise_if_any()
    lines = str(error.value).splitlines()
    assert lines[:3] == ["a.txt: 7 problems", "  a.txt:1: wrong", "    -> mend it"]
    assert lines[-1] == "  and 2 more"
    assert len(lines) == 12


def test_long_values_are_shortened():
    assert shorten("abc") == "'abc'"
    assert len(shorten("a" * 500)) <= 60
    assert shorten("two\nlines") == r"'two\nlines'"
