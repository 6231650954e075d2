"""The report of a run folder: numbers, marks, what is missing, and the same bytes each time."""

from __future__ import annotations

import csv
import io
import json
import statistics
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from lingport.errors import DataError
from lingport.report.build import build_report, markdown_table
from lingport.report.tables import FAILED, MISSING
from lingport.report.terminal import terminal_table

CONFIGURATIONS = ["none", "ta", "tp", "la+ta", "la+tp", "lp+ta", "lp+tp"]
TARGETS = ["en", "de", "es", "sk"]
SEEDS = [1, 2]


def value(task: str, configuration: str, target: str, seed: int) -> float:
    base = 0.2 + 0.08 * CONFIGURATIONS.index(configuration) - 0.03 * TARGETS.index(target)
    return round(base + 0.01 * seed + (0.05 if task == "ner" else 0.0), 4)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    """Two tasks, seven configurations, four targets, two seeds, a policy; one cell failed, one is missing."""
    folder = tmp_path_factory.mktemp("run")
    recipe = {
        "name": "report-test",
        "description": "A <run> that was made up.",
        "backbone": {"name": "nano"},
        "configurations": CONFIGURATIONS,
        "policies": ["target", "none"],
        "sources": ["en"],
        "targets": TARGETS,
        "seeds": SEEDS,
        "tasks": [{"task": "ner", "name": None}, {"task": "catalogue/topic.yaml", "name": None}],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    results, jobs = [], []
    for task in ("ner", "topic"):
        for configuration in CONFIGURATIONS:
            for policy in ["target", "none"] if configuration.startswith("l") else ["target"]:
                for target in TARGETS:
                    for seed in SEEDS:
                        place = {
                            "cell": f"{task}{configuration}{policy}{target}{seed}",
                            "task": task,
                            "configuration": configuration,
                            "source": "en",
                            "target": target,
                            "policy": policy,
                            "seed": seed,
                        }
                        if (task, configuration, target) == ("ner", "tp", "es"):
                            continue
                        if (task, configuration, target) == ("ner", "la+tp", "de"):
                            results.append({**place, "status": "failed", "error": "boom"})
                            continue
                        score = "f1" if task == "ner" else "accuracy"
                        results.append(
                            {
                                **place,
                                "status": "done",
                                "main_score": score,
                                "scores": {score: value(task, configuration, target, seed), "unreadable": 0.02},
                                "counts": {"examples": 100, "inputs_cut": 3, "outputs_cut": 1, "unreadable": 2},
                                "majority": 0.25 if task == "topic" else None,
                                "seconds": 1.5,
                            }
                        )
    for name, phase in (("lp-sk-s1", "language"), ("ta-ner-en-s1", "task"), ("tp-ner-en-s1", "task")):
        row = {"job": name, "phase": phase, "name": name, "status": "done", "error": None, "seconds": 12.5}
        row |= {"peak_bytes": 2**29, "num_trained": 38400, "steps": 100}
        row |= {"initial": {"validation_loss": 4.5}, "final": {"validation_loss": 4.1}} if phase == "language" else {}
        jobs.append(row)
        events = [{"event": "train", "step": s, "loss": 3 - s / 50, "learning_rate": 0.1} for s in range(1, 101)]
        events.append({"event": "evaluate", "step": 100, "scores": {"score": 0.4, "validation_loss": 1.9}})
        (folder / "metrics").mkdir(exist_ok=True)
        (folder / "metrics" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    failed = {
        "job": "x",
        "phase": "evaluate",
        "name": "la+tp-ner-en-de",
        "status": "failed",
        "error": "boom",
        "seconds": None,
    }
    (folder / "jobs.jsonl").write_text("\n".join(map(json.dumps, [*jobs, failed])) + "\n")
    text = "\n".join(map(json.dumps, results)) + "\n"
    stale = {**results[0], "scores": {"f1": 0.99, "unreadable": 0.0}}
    (folder / "results.jsonl").write_text(json.dumps(stale) + "\n" + text + '{"cell": "torn')
    return folder


@pytest.fixture(scope="module")
def report(run_dir):
    return build_report(run_dir)


def cells(table, label):
    return dict(zip(table.head[1:], next(cells for name, cells in table.rows if name == label), strict=True))


def test_means_over_seeds_and_the_zero_shot_average(report):
    ner = report.score_tables[0]
    found = cells(ner, "ta")
    means = {t: 100 * statistics.fmean(value("ner", "ta", t, s) for s in SEEDS) for t in TARGETS}
    assert found["de"].text == f"{means['de']:.1f} ±0.5"
    assert found["average"].value == pytest.approx(statistics.fmean([means[t] for t in ("de", "es", "sk")]))
    assert found["en (source)"].value == pytest.approx(means["en"])


def test_the_last_record_of_a_cell_counts(report):
    expected = 100 * statistics.fmean(value("ner", "none", "en", s) for s in SEEDS)
    assert cells(report.score_tables[0], "none")["en (source)"].value == pytest.approx(expected)


def test_best_and_second_of_each_column_are_marked(report):
    topic = report.score_tables[1]
    assert cells(topic, "lp+tp")["sk"].rank == 1
    assert cells(topic, "lp+ta")["sk"].rank == 2
    assert cells(topic, "none")["sk"].rank == 0


def test_missing_and_failed_cells_are_shown_and_not_averaged(report):
    ner = report.score_tables[0]
    assert cells(ner, "tp")["es"].text == MISSING
    assert cells(ner, "la+tp")["de"].text == FAILED
    assert cells(ner, "tp")["average"].text == MISSING


def test_policies_and_the_largest_class_are_rows(report):
    labels = [label for label, _ in report.score_tables[1].rows]
    assert "lp+ta (no language module)" in labels and "ta (no language module)" not in labels
    assert cells(report.score_tables[1], "largest class")["sk"].text == "25.0"


def test_csv_has_a_row_per_cell(report, run_dir):
    rows = list(csv.DictReader(report.csv.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * (3 + 4 * 2) * 4 * 2 - 2
    one = next(r for r in rows if (r["task"], r["configuration"], r["target"], r["seed"]) == ("ner", "ta", "sk", "2"))
    assert float(one["f1"]) == value("ner", "ta", "sk", 2) and one["num_unreadable"] == "2"
    assert sum(row["status"] == "failed" for row in rows) == 4


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.images = 0

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.images += tag == "svg" and bool(found.get("aria-label"))
        self.links += [found[key] for key in ("src", "href") if found.get(key)]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href") and value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(report):
    page = report.html.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    assert reader.images >= 2 * 2 + 2
    assert "A &lt;run&gt; that was made up." in page
    assert "@import" not in page and "<script" not in page


def test_same_run_same_bytes(report, run_dir):
    before = [file.read_bytes() for file in (report.html, report.markdown, report.csv)]
    build_report(run_dir)
    assert before == [file.read_bytes() for file in (report.html, report.markdown, report.csv)]


def test_markdown_lines_up(report):
    lines = markdown_table(report.score_tables[0]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "**" in lines[-1] or any("**" in line for line in lines)


def test_the_terminal_shows_the_same(report):
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(terminal_table(report))
    text = console.export_text()
    assert "lp+tp" in text and FAILED in text and "zero-shot from en" in text


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="no run here"):
        build_report(tmp_path)
