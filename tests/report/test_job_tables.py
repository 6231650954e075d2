"""Tables of jobs: costs, language modules, what was cut, what failed."""

from __future__ import annotations

import pytest

from lingport.report.job_tables import (
    cost_table,
    failure_table,
    job_table,
    kind_of,
    language_of,
    language_table,
    unusable_table,
)
from lingport.report.read import Run
from lingport.report.table import MISSING

from .made_run import FAILED


def test_costs_of_task_and_language_modules(made: Run, ner, column):
    table = cost_table(made, ner, name="ner")
    assert table is not None and "none" not in column(table, "average")
    assert column(table, "task numbers")["lp+ta"].value == 19_264
    assert column(table, "language numbers")["lp+ta"].value == 9_600
    assert column(table, "language numbers")["ta"].text == MISSING
    assert column(table, "task s")["ta"].value == pytest.approx(35.5)
    assert column(table, "peak MiB")["ta"].text == "620"


def test_language_modules_by_language_and_kind(made: Run, column):
    table = language_table(made)
    assert table is not None and table.head[1:4] == ["without", "with adapter", "adapter change"]
    assert column(table, "without")["sk"].value == pytest.approx(4.5)
    assert column(table, "with adapter")["sk"].value == pytest.approx(4.5 - 0.45 - 0.015)
    assert column(table, "prompt change")["en"].text == "-0.215"


def test_jobs_and_unusable_outputs(made: Run, column):
    jobs, unusable = job_table(made), unusable_table(made)
    assert jobs is not None and column(jobs, "kept step")["ta-ner-en-s1"].value == 300
    assert unusable is not None
    assert column(unusable, "unreadable")["ner, ta"].value == 4 * 4 * 2 * 2
    assert column(unusable, "outputs")["ner, la+tp"].value == 60 * (4 * 2 * 2 - 1)
    assert column(unusable, "wrong script")["topic, ta"].text == MISSING


def test_failed_jobs_and_reasons(made: Run, column):
    table = failure_table(made)
    assert table is not None and [label for label, _ in table.rows] == [FAILED]
    assert column(table, "reason")[FAILED].text == "the loss is | not finite"


@pytest.mark.parametrize(
    ("name", "kind", "language"),
    [
        ("la-sk-s1", "adapter", "sk"),
        ("lp-pt-BR-s12", "prompt", "pt-BR"),
        ("lp-sk-s1-prompt.num_virtual_tokens=5", "prompt", "sk (prompt.num_virtual_tokens=5)"),
        ("strange", "module", "strange"),
    ],
)
def test_names_of_language_jobs(name, kind, language):
    assert (kind_of({"name": name}), language_of({"name": name})) == (kind, language)
