"""What jobs are made of: text, labelled data and modules. What was used last stays in memory.

Not here: training and evaluating (`work.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.data.readers import read_examples
from lingport.data.sample import nested_sample
from lingport.grid.jobs import CellJob, LanguageJob, Part, PlannedTask, TaskJob, Untrained
from lingport.grid.ledger import Ledger
from lingport.grid.recent import RecentModules
from lingport.modules.base import TransferModule
from lingport.modules.merge import Term, merged
from lingport.modules.store import load_module
from lingport.tasks.base import Example
from lingport.train.language import LanguageData, begun, language_data
from lingport.train.task import TaskData, TaskRows, task_rows

T = TypeVar("T")

#: most memory for modules that may be needed again
_MODULE_BYTES = 2**30
# A language's text is needed by its two kinds and, if it is all of it, by all seeds in turn.
_TEXTS, _LABELLED, _EXAMPLES = 16, 16, 64


class Material:
    """Text, labelled data and modules of a run, as one process holds them.

    Args:
        backbone: Its tokenizer cuts the text; modules act in it.
        ledger: The run's folder.
    """

    def __init__(self, backbone: Backbone, ledger: Ledger) -> None:
        self.backbone = backbone
        self.ledger = ledger
        self.module = RecentModules(self._load_module, max_bytes=_MODULE_BYTES)
        self._texts: _Recent[LanguageData] = _Recent(_TEXTS)
        self._labelled: _Recent[TaskRows] = _Recent(_LABELLED)
        self._examples: _Recent[list[Example]] = _Recent(_EXAMPLES)

    def text(self, job: LanguageJob) -> LanguageData:
        """Returns the text that a language module is trained on."""
        return self._texts.get(
            job.data_id,
            lambda: language_data(
                self.backbone,
                job.source,
                job.language,
                objective=job.objective,
                num_validation_chunks=job.num_validation_chunks,
                num_texts=job.num_texts,
                seed=job.seed,
            ),
        )

    def examples(self, task: PlannedTask, language: str, split: str) -> list[Example]:
        """Returns the examples of a task in a language."""
        return self._examples.get(
            (task.id, language, split),
            lambda: list(read_examples(task.source(language, split), language=language, task=task.task.name)),
        )

    def labelled(self, job: TaskJob) -> list[TaskData]:
        """Returns what a task module is trained on and chosen by, a data set for each of its parts."""
        return [self._data(part, job) for part in job.parts]

    def language(self, job: LanguageJob | Untrained | None) -> TransferModule | None:
        """Returns the module for the language slot, or None."""
        if isinstance(job, Untrained):
            return begun(self.backbone, kind=job.kind, module=job.module, language=job.language, seed=job.seed)
        return self.module(job.name) if job else None

    def composition(self, job: CellJob) -> Composition:
        """Returns the modules that a cell is evaluated with."""
        task = self.module(job.trained.name) if job.trained else None
        return Composition(language=self.language(job.language), task=task, fusion=job.fusion)

    def beginning(self, job: LanguageJob) -> TransferModule:
        """Returns a language module as it is before its training: anew, or made of its ancestors."""
        weighted = any(not ancestor.as_vector for ancestor in job.ancestors)
        base = None
        if not weighted:
            base = begun(self.backbone, kind=job.kind, module=job.module, language=job.language, seed=job.seed)
            if not job.ancestors:
                return base
        terms = [
            Term(
                self.module(ancestor.job.name),
                ancestor.factor,
                minus=self.beginning(ancestor.job) if ancestor.as_vector else None,
                name=ancestor.job.name,
            )
            for ancestor in job.ancestors
        ]
        return merged(terms, base=base)

    def transferred(self, job: TaskJob) -> TransferModule | None:
        """Returns a copy of the module that few-shot training starts from; None: the module begins anew."""
        return merged([Term(self.module(job.start.name), name=job.start.name)]) if job.start else None

    def _data(self, part: Part, job: TaskJob) -> TaskData:
        limit = job.training.validation_limit
        return TaskData(
            part.task.task,
            part.language,
            train=self._rows(part, "train", size=part.num_examples, seed=job.seed),
            validation=self._rows(part, "validation", limit=limit) if part.validate else None,
            examples=self.examples(part.task, part.language, "validation")[:limit] if part.validate else [],
            above=self.language(part.above),
            share=part.share,
            title=part.task.name,
        )

    def _rows(
        self, part: Part, split: str, *, size: int | None = None, seed: int = 0, limit: int | None = None
    ) -> TaskRows:
        def make() -> TaskRows:
            found = self.examples(part.task, part.language, split)[:limit]
            where = f"{part.task.name}, {part.language}, {split}"
            found = list(nested_sample(found, size, seed=seed, identity=lambda each: str(each["id"]), where=where))
            return task_rows(self.backbone, part.task.task, found, part.language)

        sample = (size, seed) if size else None
        return self._labelled.get((part.task.id, part.language, split, sample, limit), make)

    def _load_module(self, name: str) -> TransferModule:
        return load_module(self.ledger.module_dir(name), self.backbone)


class _Recent(Generic[T]):
    """Remembers the values that were asked for last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
