"""The page and its plots: whole, alone, the same bytes, readable without the plots."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import yaml
from rich.console import Console

from lingport.report import plots
from lingport.report.build import build_report
from lingport.report.scores import collect_scores
from lingport.report.svg import with_own_ids
from lingport.report.tables import cost_table
from lingport.report.terminal import terminal_table

VOID = {"meta", "br"}
REFERRING = {"src", "href", "srcset", "data", "xlink:href"}


class Page(HTMLParser):
    """Collects what a page is made of, and fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str | None] = []
        self.references: list[str | None] = []
        self.tags: list[str] = []
        self.pictures: list[str | None] = []
        self.heads: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.references += [found[key] for key in REFERRING & found.keys() if found[key]]
        if tag == "svg" and found.get("aria-hidden") != "true":
            self.pictures.append(found.get("aria-label"))
        if tag == "th":
            self.heads.append(found.get("scope"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(made_report) -> str:
    return made_report.html.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def test_tags_match_and_ids_do_not_repeat(page):
    assert not page.open
    assert len(set(page.ids)) == len(page.ids)


def test_every_reference_stays_within_the_page(page, text):
    assert {reference.removeprefix("#") for reference in page.references if reference} <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)
    assert not re.search(r"url\((?!#)|@import|<script|<link|<img", text)
    assert set(re.findall(r"https?://[^\"<\s]+", text)) == {"http://www.w3.org/2000/svg"}


def test_plots_and_tables_speak_to_readers_who_do_not_see_them(page):
    assert len(page.pictures) == 2 * (2 + 2) + 2 * 2 + 2 * 2
    assert all(page.pictures) and len(set(page.pictures)) == len(page.pictures)
    assert page.heads and set(page.heads) <= {"col", "row"}


def test_plots_take_the_colours_of_the_page(text):
    assert "currentColor" in text and "#010203" not in text and "#030201" not in text
    assert "prefers-color-scheme: dark" in text


def test_same_run_same_bytes(made_report, made_dir):
    files = (made_report.html, made_report.markdown, made_report.csv)
    before = [file.read_bytes() for file in files]
    build_report(made_dir)
    assert [file.read_bytes() for file in files] == before


def test_what_users_write_is_shown_as_text(made_dir, tmp_path):
    task, target = 'n$e$r\u4e2d"', "s$k$\u4e2d"
    recipe = yaml.safe_load((made_dir / "recipe.yaml").read_text())
    recipe |= {"description": "<b>bold</b> & \u4e2d", "targets": ["en", target], "tasks": [{"task": task}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    rows = [json.loads(line) for line in (made_dir / "results.jsonl").read_text().splitlines()]
    rows = [{**row, "task": task, "target": target} for row in rows if (row["task"], row["target"]) == ("ner", "sk")]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = build_report(tmp_path).html.read_text(encoding="utf-8")
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; \u4e2d" in text and "n$e$r\u4e2d&#34; from en" in text
    assert f">{target}</text>" in text
    assert not Page(text).open


def test_a_heat_map_shows_every_mean(made):
    scores = collect_scores(made)[1]
    svg = plots.heat_map(scores)
    assert svg is not None
    shown = [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]
    assert f"{scores.mean('lp+ta', 'sk'):.0f}" in shown and "failed" in shown and "lp+ta" in shown


def test_every_job_has_a_line_even_of_many(made):
    jobs = [(f"x{index}", made.done("task")[index % 24]) for index in range(20)]
    drawn = plots.curves(made, "many", jobs)
    assert drawn is not None and len(drawn.lines) == 20
    assert len({(line.colour, line.dashes) for line in drawn.lines}) == 20


def test_names_beside_points_keep_apart(made):
    assert plots._spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert plots._spread([0.1, 0.9], 0.1) == pytest.approx([0.1, 0.9])
    assert plots._spread([0.0, 0.0, 0.2], 0.1) == pytest.approx([0.05, 0.15, 0.25])
    scores = collect_scores(made)[0]
    table = cost_table(made, scores)
    assert table is not None and len(plots.cost_plots(scores, table)) == 2


def test_ids_of_a_picture_get_a_prefix():
    drawn = '<use href="#a" clip-path="url(#b)"/><g id="a"/>'
    assert with_own_ids(drawn, "p1") == '<use href="#p1-a" clip-path="url(#p1-b)"/><g id="p1-a"/>'


@pytest.mark.parametrize(("width", "has_spread"), [(100, True), (70, False)])
def test_the_terminal_drops_spreads_where_it_is_narrow(made_report, width, has_spread):
    console = Console(width=width, file=io.StringIO())
    console.print(terminal_table(made_report))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= width
    assert ("\u00b10.6" in shown) == has_spread
    assert "lp+ta (source module)" in shown and "en (source)" in shown and "\u2020" in shown
