"""What a run would do: every job with its parents, trained numbers, steps, tokens, and whether it is done already.

Nothing is trained, written or fetched, and no backbone's weights are read. Not here: showing it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from lingport.backbones.outline import Outline
from lingport.config.data import ExampleSource, TextSource
from lingport.config.modules import Settings
from lingport.config.schema import Recipe
from lingport.data.fetch import with_local_files
from lingport.data.languages import fill_placeholders
from lingport.data.objectives.base import new_objective
from lingport.data.readers import read_examples
from lingport.errors import BackboneError, DataError, LingportError
from lingport.grid.board import finished
from lingport.grid.jobs import CellJob, LanguageJob, PlannedTask, TaskJob, parents
from lingport.grid.ledger import Ledger
from lingport.grid.pins import pinned
from lingport.grid.plan import make_plan
from lingport.modules.base import new_module
from lingport.train.language import language_module_settings
from lingport.train.task import TaskData, TaskRows, task_module_settings

#: examples of a data set whose tokens are counted; the rest is taken to be alike
NUM_MEASURED = 200
#: sentinels of a backbone whose tokenizer is not here: all families that are supported have as many
_NUM_SENTINELS = 100
#: stands for a backbone that was never used in the run's folder: nothing can be done already
_UNKNOWN = "unknown"

S = TypeVar("S", TextSource, ExampleSource)
Sure = Literal["exact", "estimated", "at most", "unknown"]


@dataclass(frozen=True)
class JobPreview:
    """One job of a run that was not begun.

    Attributes:
        job: Its id.
        phase: `language`, `task` or `evaluate`.
        name: Its name.
        needs: Names of the jobs that must be done before it.
        done: Whether it need not be done again.
        num_trained: How many numbers are trained; 0 for an evaluation; None: not known.
        steps: Optimiser steps; early stopping may spare some. None: nothing is trained.
        rows: Rows that are seen; None: not known.
        tokens: Input tokens that are seen, padding not counted; None: not known.
        tokens_are: How sure that is. estimated: from a sample of the data; at most: from the longest input.
    """

    job: str
    phase: str
    name: str
    needs: list[str]
    done: bool
    num_trained: int | None
    steps: int | None
    rows: int | None
    tokens: int | None
    tokens_are: Sure


@dataclass
class Preview:
    """What a run would do.

    Attributes:
        jobs: Parents before their dependants.
        notes: What could not be known, and why.
    """

    jobs: list[JobPreview]
    notes: list[str] = field(default_factory=list)


def preview(recipe: Recipe, run_dir: Path, *, base: Path | None = None) -> Preview:
    """Returns every job of a recipe.

    What is done is told by the backbone that the folder was last run with: a backbone whose weights have changed under
    its name since is not noticed here, but by the run.

    Args:
        recipe: Data paths resolved.
        run_dir: The run's folder; it may not be there yet.
        base: Folder of the recipe, for task files.

    Raises:
        ConfigError: The recipe cannot be planned.
    """
    recipe = pinned(recipe, run_dir, ask=False)
    ledger = Ledger(run_dir)
    used = ledger.backbone()
    same = {key: used.get(key) for key in ("name", "revision")} == {
        "name": recipe.backbone.name,
        "revision": recipe.backbone.revision,
    }
    plan = make_plan(recipe, fingerprint=used["fingerprint"] if same else _UNKNOWN, base=base)
    done = finished(plan, ledger) if same else set()
    sizes = _Sizes(recipe)
    found = [
        JobPreview(
            job=job.id,
            phase=job.phase,
            name=job.name,
            needs=[parent.name for parent in parents(job)],
            done=job.id in done,
            **_EXPECTED[type(job)](sizes, job),
        )
        for job in plan.jobs
    ]
    return Preview(found, list(dict.fromkeys(sizes.notes)))


class _Sizes:
    """Counts what jobs will train and see, each module and each data set once."""

    def __init__(self, recipe: Recipe) -> None:
        self.notes: list[str] = []
        self._trained: dict[str, int | None] = {}
        self._measured: dict[tuple[str, str, str], tuple[int, float] | None] = {}
        self._outline: Outline | None = None
        try:
            self._outline = Outline.find(recipe.backbone.name, revision=recipe.backbone.revision)
        except BackboneError as error:
            self.notes.append(str(error))
        if self._outline and not self._outline.has_tokenizer:
            self.notes.append(
                f"the tokenizer of {recipe.backbone.name!r} is not on this machine: tokens of labelled data are "
                "those of the longest input"
            )

    def language(self, job: LanguageJob) -> dict[str, Any]:
        """Returns what a language module's training will see: exact, since every chunk has the same length."""
        self._look_for(job.source, job.language)
        sentinels = range(_NUM_SENTINELS, 0, -1)
        inputs, _ = new_objective(job.objective, sentinel_ids=sentinels, end_id=0).lengths()
        rows = job.training.steps * job.training.batch_size
        return {
            "num_trained": self._num_trained(
                job.kind, job.module, lambda: language_module_settings(job.kind, job.module, job.language)
            ),
            "steps": job.training.steps,
            "rows": rows,
            "tokens": round(rows * inputs),
            "tokens_are": "exact" if float(inputs).is_integer() else "estimated",
        }

    def task(self, job: TaskJob) -> dict[str, Any]:
        """Returns what a task module's training will see; a long example may give several rows."""
        rows = job.training.steps * job.training.batch_size
        shares = sum(part.share for part in job.parts)
        parts = [(part, self._measure(part.task, part.language, "train")) for part in job.parts]
        mean = sum(
            (found[1] if found else part.task.task.max_input_tokens) * part.share / shares for part, found in parts
        )
        nothing = TaskRows([], 0, 0, 0)
        data = [TaskData(part.task.task, part.language, nothing, None) for part in job.parts]
        return {
            "num_trained": self._num_trained(
                str(job.configuration.task), job.module, lambda: task_module_settings(job.module, data)
            ),
            "steps": job.training.steps,
            "rows": rows,
            "tokens": round(rows * mean),
            "tokens_are": "estimated" if all(found for _, found in parts) else "at most",
        }

    def cell(self, job: CellJob) -> dict[str, Any]:
        """Returns what an evaluation will see."""
        found = self._measure(job.task, job.target, "test")
        limit = job.task.source(job.target, "test").limit
        rows = found[0] if found else limit
        sure: Sure = "estimated" if found else "at most" if limit else "unknown"
        longest = job.task.task.max_input_tokens
        tokens = None if rows is None else round(rows * (found[1] if found else longest))
        return {"num_trained": 0, "steps": None, "rows": rows, "tokens": tokens, "tokens_are": sure}

    def _num_trained(self, kind: str, settings: Settings, filled: Callable[[], Settings]) -> int | None:
        key = f"{kind} {settings.model_dump_json()}"
        if key not in self._trained:
            self._trained[key] = None
            try:
                if self._outline is not None:
                    self._trained[key] = new_module(kind, filled(), self._outline).num_trained
            except LingportError as error:
                self.notes.append(str(error))
        return self._trained[key]

    def _measure(self, task: PlannedTask, language: str, split: str) -> tuple[int, float] | None:
        """Returns examples and mean input tokens of a data set on this machine; None: it is not here."""
        key = (task.id, language, split)
        if key not in self._measured:
            self._measured[key] = self._read(task, language, split)
        return self._measured[key]

    def _read(self, task: PlannedTask, language: str, split: str) -> tuple[int, float] | None:
        source = task.source(language, split)
        is_here = self._look_for(source, language)
        if not is_here or self._outline is None or not self._outline.has_tokenizer:
            return None
        try:
            examples = read_examples(source, language=language, task=task.task.name)
            texts = [task.task.render(each, language, with_target=False).input for each in examples[:NUM_MEASURED]]
        except DataError as error:
            self.notes.append(str(error))
            return None
        ids = self._outline.tokenizer(texts, add_special_tokens=False, verbose=False).input_ids
        counts = [min(len(each) + 1, task.task.max_input_tokens) for each in ids]
        return len(examples), sum(counts) / len(counts)

    def _look_for(self, source: S, language: str) -> bool:
        """Returns whether data are on this machine; files that are missing are noted, hub data are not asked for."""
        source = fill_placeholders(source, language)
        if source.format == "demo":
            return True
        if source.name is not None:
            return False
        try:
            with_local_files(source)
        except DataError as error:
            self.notes.append(str(error))
            return False
        return True


_EXPECTED: dict[type[Any], Any] = {LanguageJob: _Sizes.language, TaskJob: _Sizes.task, CellJob: _Sizes.cell}
