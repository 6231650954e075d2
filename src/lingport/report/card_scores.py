"""The scores that a model card shows: those of the cells in which the module took part, or a bundle's evidence.

Not here: the rest of the card (`cards.py`), and how intervals are made (`estimates.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lingport.config.data import ExampleSource
from lingport.data.described import described
from lingport.errors import LingportError
from lingport.report.cells import row_label
from lingport.report.estimates import estimate_scores
from lingport.report.read import Row, Run, point_of, read_run

#: form of a task -> how the hub calls such tasks
HUB_TASKS = {"classify": "text-classification", "spans": "token-classification", "answer": "question-answering"}
_OTHER_TASK = "text-generation"


@dataclass(frozen=True)
class Scored:
    """A score of one test set.

    Attributes:
        task: Name of the task.
        metric: Name of the score.
        language: Code of the language tested.
        value: 0 to 1.
        low: Lower bound of the 95 % interval; None: not known.
        high: Upper bound.
        examples: Number of test examples.
        unreadable: Outputs that could not be read.
        inputs_cut: Inputs that were cut.
        setting: Configuration and policy, source language.
        policy: Which language module was active; empty: not known.
        form: Form of the task.
        data: Where the test examples come from; see `lingport.data.described`.
    """

    task: str
    metric: str
    language: str
    value: float
    low: float | None = None
    high: float | None = None
    examples: int | None = None
    unreadable: int | None = None
    inputs_cut: int | None = None
    setting: str = ""
    policy: str = ""
    form: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The score of 0 to 100 with its interval."""
        interval = f" [{100 * self.low:.1f}, {100 * self.high:.1f}]" if self.low is not None and self.high else ""
        return f"{100 * self.value:.1f}{interval}"


def scores_of_module(folder: Path) -> list[Scored]:
    """Returns the scores of the cells that a module took part in, if it lies in the run that made it; else none."""
    run_dir = folder.absolute().parent.parent
    if folder.absolute().parent.name != "modules" or not (run_dir / "recipe.yaml").is_file():
        return []
    run = read_run(run_dir)
    own = [row for row in run.results if row["status"] == "done" and folder.name in (row.get("modules") or {}).values()]
    if not own:
        return []
    estimates = estimate_scores(replace(run, results=own))
    found = []
    for row in own:
        known = estimates.get(point_of(row))
        low, high = known.interval() if known else (None, None)
        counts = row.get("counts") or {}
        definition = run.definition(row["task"])
        found.append(
            Scored(
                row["task"],
                row["main_score"],
                row["target"],
                row["scores"][row["main_score"]],
                low,
                high,
                counts.get("examples"),
                counts.get("unreadable"),
                counts.get("inputs_cut"),
                f"{row_label(row['configuration'], row['policy'])}, from {row['source']}",
                row["policy"],
                definition.config.form if definition else "",
                _test_data(run, row),
            )
        )
    return found


def scores_of_evidence(evidence: Mapping[str, Any]) -> list[Scored]:
    """Returns the scores of a bundle's evidence: the rows of its key `scores` that name task, metric and language."""
    known = {each.name for each in fields(Scored)}
    rows = evidence.get("scores")
    return [
        Scored(**{key: value for key, value in row.items() if key in known})
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and {"task", "metric", "language", "value"} <= set(row)
    ]


def _test_data(run: Run, row: Row) -> dict[str, Any]:
    """Returns where a cell's test examples come from, as far as the recipe says it in today's words."""
    for entry in run.recipe["tasks"]:
        if row["task"] != (entry.get("name") or Path(entry["task"]).stem):
            continue
        data = entry.get("data") or {}
        test = (data.get(row["target"]) or data.get("default") or {}).get("test")
        try:
            return described(ExampleSource.model_validate(test), language=row["target"]) if test else {}
        except (ValidationError, LingportError):  # a recipe of another version; the score stands without it
            return {}
    return {}


def model_index(name: str, scores: Sequence[Scored]) -> list[dict[str, Any]]:
    """Returns the card's `model-index`: one result for each test set, as the hub reads them."""
    results = []
    for each in scores:
        data = each.data
        dataset = {
            "name": f"{data.get('repository') or data.get('dataset') or f'{each.task} test data'} ({each.language})",
            "type": data.get("repository") or data.get("dataset") or "other",
            "config": data.get("config"),
            "split": data.get("split"),
            "revision": data.get("revision"),
        }
        metric = {
            "type": each.metric,
            "value": round(100 * each.value, 2),
            "name": f"{each.metric} ({each.setting})" if each.setting else each.metric,
        }
        results.append(
            {
                "task": {"type": HUB_TASKS.get(each.form, _OTHER_TASK), "name": each.task},
                "dataset": {key: value for key, value in dataset.items() if value},
                "metrics": [metric],
            }
        )
    return [{"name": name, "results": results}] if results else []


def data_name(data: Mapping[str, Any]) -> str:
    """Returns what people call a data source; empty where nothing is known."""
    formats = {"demo": "the demo corpus of lingport"}
    files = ", ".join(data.get("files") or ()) + (f" and {data['more_files']} more" if data.get("more_files") else "")
    return str(data.get("repository") or data.get("dataset") or files or formats.get(str(data.get("format")), ""))
