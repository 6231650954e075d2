"""The page and its plots: whole, alone, the same bytes, readable without the plots."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
import yaml

from lingport.report import plots
from lingport.report.axes import lines_of, spread
from lingport.report.build import build_report
from lingport.report.job_tables import cost_table
from lingport.report.shades import difference_shade, score_shade
from lingport.report.svg import with_own_ids

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
    assert len(page.pictures) > 20
    assert all(page.pictures) and len(set(page.pictures)) == len(page.pictures)
    assert page.heads and set(page.heads) <= {"col", "row"}


def test_plots_take_the_colours_of_the_page(text):
    assert "currentColor" in text and "#010203" not in text and "#030201" not in text
    assert "prefers-color-scheme: dark" in text


def test_what_users_write_is_shown_as_text(made_dir, tmp_path):
    task, target = 'n$e$r\u4e2d"', "s$k$\u4e2d"
    recipe = yaml.safe_load((made_dir / "recipe.yaml").read_text())
    recipe |= {"description": "<b>bold</b> & \u4e2d", "targets": ["en", target], "tasks": [{"task": task}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    rows = [json.loads(line) for line in (made_dir / "results.jsonl").read_text().splitlines()[:-1]]
    rows = [{**row, "task": task, "target": target} for row in rows if (row["task"], row["target"]) == ("ner", "sk")]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = build_report(tmp_path).html.read_text(encoding="utf-8")
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; \u4e2d" in text and "n$e$r\u4e2d&#34; from en" in text
    assert f">{target}</th>" in text
    assert not Page(text).open


def test_failed_and_missing_cells_and_arrows_are_told_by_more_than_colour(text):
    assert '<td class="failed"><b>failed</b>' in text or ">failed</b>" in text
    assert '<span class="above">\u2191</span>' in text and '<span class="below">\u2193</span>' in text


def test_numbers_on_shades_can_be_read(text):
    pairs = set(re.findall(r"background:(#[0-9a-f]{6});color:(#[0-9a-f]{3,6})", text))
    assert len(pairs) > 20

    def luminance(colour: str) -> float:
        colour = colour if len(colour) == 7 else "#" + "".join(2 * part for part in colour[1:])
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for pair in pairs:
        dark, light = sorted(map(luminance, pair))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, pair  # WCAG 2, small text


def test_shades_go_from_one_end_to_the_other():
    assert difference_shade(-5, top=5) == difference_shade(-50, top=5) != difference_shade(5, top=5)
    assert difference_shade(0, top=5) == difference_shade(3, top=0) == "#f7f7f7"
    assert score_shade(0, top=10) == "#f4f8fc" and score_shade(10, top=10) == "#08306b"


def test_every_job_has_a_line_even_of_many(made):
    jobs = [(f"x{index}", made.done("task")[index % 24]) for index in range(20)]
    drawn = plots.curves(made, "many", jobs)
    assert drawn is not None and len(drawn.lines) == 20
    assert len({(line.colour, line.dashes) for line in drawn.lines}) == 20


def test_a_configuration_is_drawn_alike_in_all_plots():
    alone, among = lines_of(["lp+ta"])["lp+ta"], lines_of(["en", "none", "ta", "lp+ta"])["lp+ta"]
    assert alone == among
    assert len({(line.colour, line.dashes) for line in lines_of([*"abcdefgh", "ta", "tp"]).values()}) == 10


def test_names_beside_points_keep_apart():
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([0.1, 0.9], 0.1) == pytest.approx([0.1, 0.9])
    assert spread([0.0, 0.0, 0.2], 0.1) == pytest.approx([0.05, 0.15, 0.25])


def test_costs_are_drawn_against_what_they_buy(made, ner):
    table = cost_table(made, ner, name="ner")
    assert table is not None
    plot = plots.cost_plot(table, "average f1")
    assert plot is not None and len(plot.pictures) == 3
    assert all(label in plot.pictures[0] for label in ("la+ta", "lp+tp", "trained numbers"))


def test_ids_of_a_picture_get_a_prefix():
    drawn = '<use href="#a" clip-path="url(#b)"/><g id="a"/>'
    assert with_own_ids(drawn, "p1") == '<use href="#p1-a" clip-path="url(#p1-b)"/><g id="p1-a"/>'
