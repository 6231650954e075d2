"""Writes docs/recipes.md from the schema, so that the reference cannot differ from the code.

Run `python docs/make_reference.py`; a test compares the file with what this gives.
"""

from __future__ import annotations

import typing
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lingport.config.data import ExampleSource, TextSource
from lingport.config.language import LanguageTraining, ObjectiveSettings, Start
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.config.schema import BackboneSettings, EvaluationSettings, Mixture, Recipe, Splits, TaskEntry
from lingport.config.task import TaskConfig
from lingport.config.training import (
    FewShotTraining,
    LanguageAdapterTraining,
    LanguagePromptTraining,
    TaskAdapterTraining,
    TaskPromptTraining,
    TaskTraining,
    TrainingSettings,
)

HEAD = """# Recipes: every setting

Made from the code by `python docs/make_reference.py`. A recipe is one YAML file; `recipes/demo.yaml` is a short
example. Any setting can be given on the command line: `lingport run recipes/demo.yaml seeds=[1,2]
task_training.adapter.steps=500`. Unknown keys are refused with the nearest one that exists.
"""

SECTIONS = {
    "Recipe": Recipe,
    "backbone": BackboneSettings,
    "text.<language>": TextSource,
    "language_training": LanguageTraining,
    "language_training.objective": ObjectiveSettings,
    "language_training.start": Start,
    "task_training": TaskTraining,
    "language_training.<kind>, task_training.<kind>": TrainingSettings,
    "few_shot": FewShotTraining,
    "modules.prompt": PromptSettings,
    "modules.adapter": AdapterSettings,
    "tasks[]": TaskEntry,
    "tasks[].data.<language>": Splits,
    "tasks[].data.<language>.<split>": ExampleSource,
    "mixtures[]": Mixture,
    "evaluation": EvaluationSettings,
    "A task file": TaskConfig,
}


def table(model: type[BaseModel]) -> str:
    """Returns the settings of a model as a Markdown table."""
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        rows.append(f"| `{name}` | {values(field.annotation)} | {default(field)} | {cell(field.description or '')} |")
    return "\n".join(rows)


def values(annotation: object) -> str:
    """Returns a type as a reader of YAML would say it."""
    if typing.get_origin(annotation) is typing.Annotated:
        return values(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        names = {"str": "text", "int": "whole number", "float": "number", "bool": "true, false"}
        return names.get(annotation.__name__, "see below")
    arguments = [a for a in typing.get_args(annotation) if not isinstance(a, str)]
    plain = [values(a) for a in arguments if a is not type(None) and hasattr(a, "__class__")]
    origin = typing.get_origin(annotation)
    if origin in (list, tuple):
        return f"list of {plain[0]}" if plain else "list"
    if origin is dict:
        return f"mapping to {plain[-1]}"
    return " or ".join(dict.fromkeys(plain)) or "see below"


def default(field: object) -> str:
    """Returns a default as YAML, or `needed`."""
    value = getattr(field, "default", PydanticUndefined)
    if value is PydanticUndefined:
        return "needed" if getattr(field, "default_factory", None) is None else ""
    if isinstance(value, BaseModel) or value in ("", {}, []):
        return ""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def cell(text: str) -> str:
    """Returns a text that does not end a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def papers_values() -> str:
    """Returns the paper's training settings per role and kind."""
    kinds = {
        "language adapter": LanguageAdapterTraining,
        "language prompt": LanguagePromptTraining,
        "task adapter": TaskAdapterTraining,
        "task prompt": TaskPromptTraining,
    }
    keys = ["optimizer", "learning_rate", "weight_decay", "steps", "batch_size", "selection"]
    rows = ["| | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for key in keys:
        rows.append(
            f"| `{key}` | " + " | ".join(str(model.model_fields[key].default) for model in kinds.values()) + " |"
        )
    return "\n".join(rows)


def render() -> str:
    """Returns the whole page."""
    parts = [
        HEAD,
        "## The paper's training settings\n\nWhat a recipe does not say stays at these values.\n",
        papers_values(),
    ]
    parts += [f"\n## {title}\n\n{table(model)}" for title, model in SECTIONS.items()]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "recipes.md").write_text(render(), encoding="utf-8")
