"""Fields in files of their own, line by line."""

from __future__ import annotations

import pytest

from lingport.config.data import ExampleSource
from lingport.data.readers import read_examples
from lingport.errors import DataError

COLUMNS = {"context": 0, "question": 1, "answers": 2}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "con.txt").write_text("Žilina je mesto.\nMesto má rieku.\n", encoding="utf-8")
    (tmp_path / "que.txt").write_text("Čo je mesto? \nČo má?\n", encoding="utf-8")
    (tmp_path / "ans.txt").write_text("Žilina\nrieku\n", encoding="utf-8")
    return tmp_path


def read(folder, columns=COLUMNS):
    paths = [str(folder / name) for name in ("con.txt", "que.txt", "ans.txt")]
    return read_examples(ExampleSource(format="lines", paths=paths, columns=columns), language="sk")


def test_lines_of_one_number_are_one_example(folder):
    first, second = read(folder)
    assert (first["question"], first["answers"]) == ("Čo je mesto?", ["Žilina"])
    assert (second["id"], second["context"]) == ("con-2", "Mesto má rieku.")
    assert second["where"] == f"{folder / 'con.txt'}:2"


def test_a_file_that_is_shorter_is_refused(folder):
    (folder / "que.txt").write_text("Čo?\n", encoding="utf-8")
    with pytest.raises(DataError, match="ends before line 2") as error:
        read(folder)
    assert error.value.where == str(folder / "que.txt")


@pytest.mark.parametrize("columns", [{}, {"context": 0, "question": 3}, {"context": "con"}])
def test_each_field_needs_the_number_of_its_file(folder, columns):
    with pytest.raises(DataError, match="number of its file, 0 to 2"):
        read(folder, columns)
