"""The files beside the page: Markdown, LaTeX, CSV, plain data; and a terminal's view."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil

import pytest
from rich.console import Console

from lingport.report.build import FORMATS, build_report
from lingport.report.latex import escape, latex_table
from lingport.report.markdown import markdown_table
from lingport.report.table import ABOVE, PARTIAL, Cell, Table, number, signed
from lingport.report.terminal import terminal_table

from .made_run import cell_named, made_cells, made_score

TABLE = Table(
    "ner: a_b",
    ["configuration", "de", "why"],
    [
        ("x|y", [Cell("9.1", 9.1, 1, ABOVE + PARTIAL, (-8.04, 10.0)), Cell("two\nlines | of it")]),
        ("none", [Cell("1.0", 1.0, 2), Cell("")]),
        ("largest class", [Cell("0.5", 0.5), Cell("")]),
    ],
    note="p < 0.05 & 95 %",
    last=1,
    worded=frozenset({"why"}),
)


def test_same_run_same_bytes(made_report, made_dir):
    before = {form: made_report.file(form).read_bytes() for form in FORMATS}
    build_report(made_dir)
    assert {form: made_report.file(form).read_bytes() for form in FORMATS} == before


def test_points_do_not_depend_on_time_or_order(made_report, made_dir, tmp_path):
    for name in ("recipe.yaml", "plan.jsonl"):
        shutil.copy(made_dir / name, tmp_path)
    (tmp_path / "predictions").symlink_to(made_dir / "predictions")
    rows = [json.loads(line) for line in (made_dir / "results.jsonl").read_text().splitlines()[1:-1]]
    text = "".join(json.dumps({**row, "seconds": 1.0, "peak_bytes": 5}) + "\n" for row in reversed(rows))
    (tmp_path / "results.jsonl").write_text(text)
    assert build_report(tmp_path).file("csv").read_bytes() == made_report.file("csv").read_bytes()


def test_csv_has_a_row_per_cell_and_per_point(made_report):
    cells = list(csv.DictReader(made_report.file("cells").read_text(encoding="utf-8").splitlines()))
    assert len(cells) == len(made_cells()) - 2
    one = next(row for row in cells if row["cell"] == "id-ta-ner-en-sk-target-s2")
    assert float(one["f1"]) == made_score(cell_named("ta-ner-en-sk-target-s2")) and one["num_unreadable"] == "4"
    assert sum(row["status"] == "failed" for row in cells) == 1
    points = list(csv.DictReader(made_report.file("csv").read_text(encoding="utf-8").splitlines()))
    place = {"task": "ner", "source": "en", "configuration": "la+tp", "policy": "target"}
    of = {row["target"]: row for row in points if place.items() <= row.items()}
    assert (of["sk"]["seeds_done"], of["sk"]["seeds_failed"], of["sk"]["seeds_asked"]) == ("1", "1", "2")
    assert float(of["de"]["low"]) < float(of["de"]["mean"]) < float(of["de"]["high"])


def test_tables_as_plain_data(made_report):
    tables = json.loads(json.dumps(made_report.plain_tables()))
    table = next(each for each in tables if each["title"] == "ner from en: f1 by target language")
    cell = next(row for row in table["rows"] if row["label"] == "lp+ta")["cells"][0]
    assert cell["rank"] == 1 and cell["low"] < cell["value"] < cell["high"] and cell["text"]


def test_markdown_keeps_its_columns_whatever_a_cell_says():
    lines = markdown_table(TABLE).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].startswith("| x\\|y ") and "**9.1**↑† [-8.0, 10.0] | two lines \\| of it |" in lines[2]
    assert "*1.0*" in lines[3]


def test_latex_is_escaped_and_complete(made_report):
    text = latex_table(TABLE)
    assert r"\textbf{9.1}$\uparrow$\dag{}\,{\scriptsize [$-$8.0, 10.0]} & two lines | of it \\" in text
    assert r"\caption{ner: a\_b. p \textless{} 0.05 \& 95 \%}" in text and r"\label{tab:ner-a-b}" in text
    assert r"\begin{tabular}{lrl}" in text and text.count(r"\midrule") == 2
    assert escape("50% of $x_1 ~ {a} \\ ^2") == (
        r"50\% of \$x\_1 \textasciitilde{} \{a\} \textbackslash{} \textasciicircum{}2"
    )
    whole = made_report.file("latex").read_text(encoding="utf-8")
    for name in ("table", "tabular"):
        short = [table for table in made_report.tables if len(table.rows) <= 50]
        assert whole.count(rf"\begin{{{name}}}") == whole.count(rf"\end{{{name}}}") == len(short)
        assert "% Training jobs: 70 rows, too long for a page" in whole
    labels = re.findall(r"\\label\{(.*?)\}", whole)
    assert len(set(labels)) == len(labels)


def test_a_wide_latex_table_has_no_room_for_intervals():
    wide = Table("t", ["a", *"bcdefghi"], [("x", [number(1.0, interval=(0.5, 1.5))] * 8)])
    narrow = Table("t", ["a", "b"], [("x", [number(1.0, interval=(0.5, 1.5))])])
    assert "[0.5, 1.5]" not in latex_table(wide) and "[0.5, 1.5]" in latex_table(narrow)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (signed(0.04), "0.0"),
        (signed(-0.04), "0.0"),
        (signed(1.26), "+1.3"),
        (signed(-1.26), "-1.3"),
        (number(-0.01), "0.0"),
    ],
)
def test_small_numbers_have_no_sign(cell, text):
    assert cell.text == text


@pytest.mark.parametrize(("width", "has_intervals"), [(130, True), (70, False)])
def test_the_terminal_drops_intervals_where_it_is_narrow(made_report, width, has_intervals):
    console = Console(width=width, file=io.StringIO())
    console.print(terminal_table(made_report))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= width
    table = shown[shown.index("ner from en: f1") : shown.index("ner from de: f1")]
    assert bool(re.search(r"lp\+ta +\d+\.\d \[", table)) == has_intervals
    assert "en (source)" in shown and PARTIAL in shown and "Failed jobs" in shown
