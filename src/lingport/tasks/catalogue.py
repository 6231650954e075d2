"""Tasks by name from the catalogue that comes with the package, or from a YAML file anywhere on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lingport.config.load import MarkedYaml, parse_yaml, problems_error, read_yaml, validated
from lingport.config.task import TaskConfig
from lingport.errors import ConfigError, nearest
from lingport.tasks.base import FORMS, Task

_FOLDER = Path(__file__).parent / "catalogue"
_SUFFIXES = (".yaml", ".yml")


def task_names() -> list[str]:
    """Returns the names of the catalogue, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_task(
    reference: str | Path, *, overrides: Mapping[str, Any] | None = None, base: Path | None = None
) -> Task[Any, Any]:
    """Returns a task.

    Args:
        reference: A name of the catalogue, or a YAML file's path (ends in .yaml or .yml, or holds a `/`).
        overrides: Keys that replace those of the file, whole (`labels` replaces all labels).
        base: Folder where a relative path is looked for if it is not in the working directory (the recipe's).

    Raises:
        ConfigError: No such task, or all that is wrong with its file at once, each with its line.
    """
    source = read_yaml(_path(reference, base))
    task = _build(source, default_name=Path(source.name).stem)
    if not overrides:
        return task
    merged = {**source.data, **overrides}
    merged.setdefault("name", task.name)
    marks = {place: mark for place, mark in source.marks.items() if not place or place[0] not in overrides}
    marks.pop((), None)
    return _build(MarkedYaml(f"{source.name} with overrides", merged, marks), default_name=task.name)


def task_from_text(text: str, *, name: str) -> Task[Any, Any]:
    """Returns the task of a YAML text; `name` stands for the file in errors and is the task's default name.

    Raises:
        ConfigError: As `load_task`.
    """
    return _build(parse_yaml(text, name), default_name=Path(name).stem)


def _build(source: MarkedYaml, *, default_name: str) -> Task[Any, Any]:
    config = validated(TaskConfig, source)
    if config.form not in FORMS:
        raise problems_error(
            source, [(("form",), f"unknown form of task {config.form!r}; {nearest(config.form, FORMS)}")]
        )
    form = FORMS.get(config.form)
    if problems := form.problems(config):
        raise problems_error(source, problems)
    return form(config if config.name else config.model_copy(update={"name": default_name}))


def _path(reference: str | Path, base: Path | None) -> Path:
    text = str(reference)
    if text.endswith(_SUFFIXES) or "/" in text or "\\" in text or isinstance(reference, Path):
        path = Path(text).expanduser()
        if base is not None and not path.is_absolute() and not path.is_file() and (base / path).is_file():
            return base / path
        return path
    path = _FOLDER / f"{text}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"unknown task {text!r}; {nearest(text, task_names())}",
            hint="a task of your own is named by the path of its YAML file, for example tasks/mine.yaml",
        )
    return path
