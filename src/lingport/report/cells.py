"""Which cells a run was asked for, and what their rows are called. Not here: their scores (`scores.py`)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from lingport.config.modules import CONFIGURATIONS
from lingport.report.read import Point, Row, Run, point_of

#: how a policy is named in a row's label; the method's own needs no name
POLICY_LABELS = {
    "source": "source module kept",
    "none": "no language module",
    "untrained": "untrained module",
}
#: the upper reference: shown beside the others, but no competitor of theirs
REFERENCE = "full"
#: the setting that says which mixture of tasks was learnt
MIXTURE = "mixture"


def cells_asked(run: Run) -> list[tuple[Point, int]]:
    """Returns the cells that the run was asked for, as point and seed: as its plan says, else as its recipe does."""
    # A run that does not keep its plan had neither shots nor sweeps, or else its results name them.
    rows = run.asked or [
        *_cells_of_recipe(run),
        *(row for row in run.results if row.get("shots") or row.get("settings")),
    ]
    return list(dict.fromkeys((point_of(row), row["seed"]) for row in rows))


def _cells_of_recipe(run: Run) -> Iterator[Row]:
    recipe = run.recipe
    for entry, task in zip(recipe["tasks"], task_names(run), strict=True):
        for source, configuration in itertools.product(recipe["sources"], recipe["configurations"]):
            policies = recipe["policies"] if has_language(configuration) else ["target"]
            seeds = recipe["seeds"] if is_trained(configuration) else recipe["seeds"][:1]
            for policy, target, seed in itertools.product(policies, entry.get("targets") or recipe["targets"], seeds):
                if policy != f"wrong:{target}":  # that would be the right one
                    place = {"task": task, "source": source, "configuration": configuration}
                    yield {**place, "policy": policy, "target": target, "seed": seed}


def task_names(run: Run) -> list[str]:
    """Returns the names of the recipe's tasks, in its order.

    A task file may carry another name than the file: then the results' names that no other task claims are
    given out in the order in which they appear.
    """
    entries = run.recipe["tasks"]
    guesses = [entry.get("name") or _stem(entry["task"]) for entry in entries]
    seen = list(dict.fromkeys(row["task"] for row in run.results))
    spare = [name for name in seen if name not in guesses]
    return [
        spare.pop(0) if spare and guess not in seen and not entry.get("name") else guess
        for entry, guess in zip(entries, guesses, strict=True)
    ]


def row_label(configuration: str, policy: str) -> str:
    """Returns how a configuration under a policy is called."""
    if policy == "target" or not has_language(configuration):
        return configuration
    return f"{configuration} ({POLICY_LABELS.get(policy, policy.replace(':', ' module: '))})"


def has_language(configuration: str) -> bool:
    """Returns whether a configuration has a language module, so that a policy changes it."""
    return configuration in CONFIGURATIONS and CONFIGURATIONS[configuration].language is not None


def is_trained(configuration: str) -> bool:
    """Returns whether a configuration has a trained part: without one all seeds are the same."""
    return configuration not in CONFIGURATIONS or CONFIGURATIONS[configuration].task is not None


def settings_of(point: Point) -> dict[str, Any]:
    """Returns the sweep's settings that decide a point: dotted recipe key -> value."""
    return json.loads(point.settings)


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".yaml").removesuffix(".yml")
