"""A report as one HTML page that needs nothing else. Not here: what is in it (`build.py`)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from importlib.resources import files

import yaml
from jinja2 import Environment
from markupsafe import Markup

from lingport import __version__
from lingport.report import plots
from lingport.report.read import Row, Run
from lingport.report.scores import Scores, task_names
from lingport.report.svg import with_own_ids
from lingport.report.tables import Table, cost_table, gain_table, kind_of, language_of

#: longer tables are folded until the reader opens them
FOLD_ABOVE_ROWS = 24


def html_page(
    run: Run, sentences: list[str], scores: list[Scores], score_tables: list[Table], others: list[Table]
) -> str:
    """Returns the page.

    Args:
        run: What was read.
        sentences: The first is about the run, the others are one per task and source.
        scores: Scores per task and source.
        score_tables: Their tables.
        others: Language modules, jobs, unusable outputs, failures.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("lingport.report") / "page.html.j2").read_text(encoding="utf-8"))
    numbers = itertools.count(1)

    def picture(svg: str | None) -> Markup | None:
        return None if svg is None else Markup(with_own_ids(svg, f"p{next(numbers)}"))

    tasks = []
    for each, table in zip(scores, score_tables, strict=True):
        gains, costs = gain_table(each), cost_table(run, each)
        tasks.append(
            {
                "name": each.name,
                "table": table,
                "heat": picture(plots.heat_map(each)),
                "gains": gains,
                "gain": picture(plots.gain_map(each, gains)) if gains else None,
                "costs": costs,
                "cost": [picture(svg) for svg in plots.cost_plots(each, costs)] if costs else [],
            }
        )
    curves = [
        {"title": drawn.title, "pictures": [picture(svg) for svg in drawn.pictures], "lines": drawn.lines}
        for drawn in _curves(run)
    ]
    return template.render(
        run=run.recipe,
        sentences=sentences,
        tasks=tasks,
        curves=curves,
        others=others,
        settings=yaml.safe_dump(run.recipe, allow_unicode=True, sort_keys=False),
        version=__version__,
        fold_above=FOLD_ABOVE_ROWS,
    )


def _curves(run: Run) -> Iterable[plots.Curves]:
    """Groups training jobs: language modules by kind, task modules by task and source."""
    groups: dict[str, list[tuple[str, Row]]] = {}
    trained = [job for job in run.jobs if run.metrics.get(job["name"])]
    for job in (job for job in trained if job["phase"] == "language"):
        groups.setdefault(f"Language modules: {kind_of(job)}", []).append((language_of(job), job))
    for task, source in itertools.product(task_names(run), run.recipe["sources"]):
        name = re.compile(rf"(?P<configuration>.+)-{re.escape(task)}-{re.escape(source)}[-.]s\d+")
        for job in (job for job in trained if job["phase"] == "task"):
            if match := name.fullmatch(job["name"]):
                groups.setdefault(f"Task modules: {task} from {source}", []).append((match["configuration"], job))
    for title, jobs in groups.items():
        drawn = plots.curves(run, title, jobs)
        if drawn is not None:
            yield drawn
