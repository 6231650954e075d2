"""The commits of a run's hub data: looked up once, written into the run's folder, the same whenever it is continued.

Not here: looking them up and remembering them on this machine (`lingport.data.fetch`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from lingport.config.data import ExampleSource, TextSource
from lingport.config.paths import PLACEHOLDER
from lingport.config.schema import Recipe, Splits
from lingport.data.fetch import commit_of, is_commit, known_commit
from lingport.errors import DataError

logger = logging.getLogger(__name__)

S = TypeVar("S", TextSource, ExampleSource)

#: `name@branch` -> commit, of the data sets that the recipe names no commit of
FILE = "data.json"
#: formats whose `name` is no place on the hub
_OTHER_NAMES = ("demo",)


def pinned(recipe: Recipe, run_dir: Path, *, ask: bool = True) -> Recipe:
    """Returns the recipe with the commit of every data set of the hub in place of a branch or nothing.

    The commits of the run's folder count first, then those of this machine's cache, then the hub's newest. A data set
    that the hub does not give stays as it is: the jobs that need it fail, and say why.

    Args:
        recipe: What is run.
        run_dir: The run's folder, which may not be there yet.
        ask: Whether the hub is asked, and what it says written down. False: only what is known already.
    """
    file = run_dir / FILE
    before: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    commits = dict(before)
    for source in _sources(recipe):
        name, key = source.name, _key(source)
        if name is None or not _is_remote(source) or is_commit(source.revision) or key in commits:
            continue
        try:
            commit = commit_of(name, source.revision) if ask else known_commit(name, source.revision)
        except DataError as error:
            logger.warning("%s", error)
            continue
        if commit is not None:
            commits[key] = commit
    if ask and commits != before:
        _write(file, commits)

    def pin(source: S | None) -> S | None:
        if source is None or not _is_remote(source):
            return source
        return source.model_copy(update={"revision": commits.get(_key(source), source.revision)})

    text = {language: source for language, each in recipe.text.items() if (source := pin(each)) is not None}
    tasks = [
        entry.model_copy(
            update={
                "data": {
                    language: Splits(train=pin(each.train), validation=pin(each.validation), test=pin(each.test))
                    for language, each in entry.data.items()
                }
            }
        )
        for entry in recipe.tasks
    ]
    return recipe.model_copy(update={"text": text, "tasks": tasks})


def _sources(recipe: Recipe) -> Iterator[TextSource | ExampleSource]:
    yield from recipe.text.values()
    for entry in recipe.tasks:
        for splits in entry.data.values():
            yield from (each for each in (splits.train, splits.validation, splits.test) if each is not None)


def _is_remote(source: TextSource | ExampleSource) -> bool:
    """Whether a source names one data set of the hub; a local folder has no commit, a placeholder no one name."""
    name = source.name
    if name is None or source.format in _OTHER_NAMES or PLACEHOLDER.search(name):
        return False
    return not Path(name).expanduser().is_dir()


def _key(source: TextSource | ExampleSource) -> str:
    return f"{source.name}@{source.revision or 'main'}"


def _write(file: Path, commits: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    staging = file.with_name(f".{file.name}.{os.getpid()}")
    staging.write_text(json.dumps(commits, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    staging.replace(file)
