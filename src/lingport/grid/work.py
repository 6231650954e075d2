"""Does jobs: trains modules, evaluates cells. Knows the backbone and the run folder.

Not here: which jobs, in which order (`board.py`), and what happens when one fails (`worker.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lingport import __version__
from lingport.backbones.base import Backbone
from lingport.compose.model import ComposedModel
from lingport.config.schema import Recipe
from lingport.data.described import described
from lingport.evaluate.cells import Cell, evaluate_cells
from lingport.evaluate.result import prediction_rows
from lingport.grid.jobs import CellJob, Job, LanguageJob, TaskJob
from lingport.grid.ledger import Ledger
from lingport.grid.material import Material
from lingport.modules.ancestry import above
from lingport.modules.base import KINDS, TransferModule
from lingport.modules.store import read_manifest, save_module
from lingport.train.checkpoint import remove_checkpoint
from lingport.train.cost import Cost, measured
from lingport.train.language import (
    HeldOutLoss,
    held_out_loss,
    language_learner,
)
from lingport.train.learner import Learner, TrainResult, remember_training
from lingport.train.loop import shares_pass, train
from lingport.train.task import TaskData, task_learner
from lingport.train.trackers import TrackedRun, check_trackers, tracked

J = TypeVar("J", LanguageJob, TaskJob)
OnProgress = Callable[[Job, int, int, str], None]


class Workshop:
    """One process's means to do jobs: the backbone, and data and modules that several jobs need.

    Args:
        recipe: What the jobs are part of.
        backbone: Loaded once for all jobs.
        ledger: The run's folder.
        on_progress: Told how many of a job's steps or rows are done.

    Attributes:
        records: Job id -> how it ended, for jobs that are done.
        results: Cell id -> its result, for cells that are done.
    """

    def __init__(self, recipe: Recipe, backbone: Backbone, ledger: Ledger, on_progress: OnProgress) -> None:
        self.recipe = recipe
        self.backbone = backbone
        self.model = ComposedModel(backbone)
        self.ledger = ledger
        self.on_progress = on_progress
        self.records: dict[str, dict[str, Any]] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.material = Material(backbone, ledger)
        check_trackers(recipe.trackers)  # not after an hour, by the first job that trains

    def train_languages(self, jobs: Sequence[LanguageJob]) -> None:
        """Trains language modules in one pass and keeps them."""
        data = [self.material.text(job) for job in jobs]
        learners = [
            language_learner(
                self.backbone,
                text,
                kind=job.kind,
                module=job.module,
                training=job.training,
                seed=job.seed,
                name=job.name,
                initial=self.material.beginning(job),
                checkpoint=self.ledger.checkpoint(job.id),
                identity=job.id,
            )
            for job, text in zip(jobs, data, strict=True)
        ]
        before = [held_out_loss(self.model, None, text) for text in data]
        for job, learner, result, cost, text, loss in zip(
            jobs, learners, *self._train(jobs, learners), data, before, strict=True
        ):
            final = result.scores or HeldOutLoss(learner.module, text)(self.model)
            facts = {"initial": {"validation_loss": loss}, "final": {**final, "best_step": result.best_step}}
            remember_training(
                learner,
                result,
                **facts,
                data={"chunks": len(text.chunks), "validation_chunks": len(text.validation)},
                sources=[described(job.source, language=job.language)],
                objective=job.objective.model_dump(mode="json"),
            )
            self._keep(job, learner.module, result, cost, facts)

    def train_tasks(self, jobs: Sequence[TaskJob]) -> None:
        """Trains task modules in one pass, each above its languages' modules, and keeps them."""
        data = [self.material.labelled(job) for job in jobs]
        learners = [self._task_learner(job, parts) for job, parts in zip(jobs, data, strict=True)]
        for job, learner, result, cost, parts in zip(jobs, learners, *self._train(jobs, learners), data, strict=True):
            learner.module.provenance.above = _above(job, parts)
            counts = [part.train.counts for part in parts]
            facts = {
                "final": {**result.scores, "best_step": result.best_step},
                "data": {key: sum(each[key] for each in counts) for key in counts[0]},
            }
            definitions = {part.task.name: part.task.task.config for part in job.parts}
            told = {name: config.model_dump(mode="json", exclude_defaults=True) for name, config in definitions.items()}
            # One definition is what `predict` takes the module for; several leave the choice to the user.
            known = {"task": next(iter(told.values()))} if len(told) == 1 else {"tasks": told}
            sources = [
                described(each.task.source(each.language, "train"), language=each.language) for each in job.parts
            ]
            remember_training(learner, result, **facts, **known, sources=sources, shots=job.shots)
            self._keep(job, learner.module, result, cost, facts)

    def _task_learner(self, job: TaskJob, data: Sequence[TaskData]) -> Learner:
        kind = job.configuration.task
        assert kind is not None
        return task_learner(
            self.backbone,
            data,
            kind=kind,
            module=job.module,
            training=job.training,
            fusion=job.fusion,
            seed=job.seed,
            name=job.name,
            limits=self.recipe.evaluation,
            initial=self.material.transferred(job),
            checkpoint=self.ledger.checkpoint(job.id),
            identity=job.id,
        )

    def _train(self, jobs: Sequence[J], learners: Sequence[Learner]) -> tuple[list[TrainResult], list[Cost]]:
        by_name = {job.name: job for job in jobs}
        runs = [
            TrackedRun(job.name, job.id, self.ledger.run_dir, self.recipe.name, job.training.model_dump(mode="json"))
            for job in jobs
        ]

        def listen(name: str, event: dict[str, Any]) -> None:
            job = by_name[name]
            if event["event"] == "resume":
                self.ledger.restart_metrics(name, after_step=event["step"])
                return
            self.ledger.add_metric(name, event)
            track(name, event)
            if event["event"] == "train":
                self.on_progress(job, event["step"], job.training.steps, f"loss {event['loss']:.3f}")

        for learner in learners:
            assert learner.checkpoint is not None
            if not learner.checkpoint.exists():
                self.ledger.restart_metrics(learner.name, after_step=-1)
        with tracked(self.recipe.trackers, runs) as track, measured(self.backbone.device) as cost:
            results = train(self.model, learners, listen=listen)
        shared = Cost(cost.seconds / len(learners), cost.peak_bytes)
        return results, [shared] * len(learners)

    def _keep(
        self,
        job: LanguageJob | TaskJob,
        module: TransferModule,
        result: TrainResult,
        cost: Cost,
        facts: dict[str, Any],
    ) -> None:
        folder = self.ledger.module_dir(job.name)
        if folder.exists() and (old := module_job(folder)) != job.id:
            # Nothing is lost: a module of other settings steps aside.
            aside = folder.with_name(f"{job.name}.{old}")
            if aside.exists():  # it stepped aside before and was made again since: the same job, the same module
                shutil.rmtree(aside)
            folder.rename(aside)
        save_module(module, folder, replace=True)
        remove_checkpoint(self.ledger.checkpoint(job.id))
        self.records[job.id] = {
            "status": "done",
            "seconds": cost.seconds,
            "peak_bytes": cost.peak_bytes,
            "num_trained": module.num_trained,
            "steps": result.steps,
            "rows": result.rows,
            "tokens": result.tokens,
            **facts,
        }

    def evaluate(self, jobs: Sequence[CellJob]) -> Iterator[list[CellJob]]:
        """Runs and scores cells, several in one pass; yields those of a pass when their results are there."""
        for cells in self._passes(jobs):
            self._evaluate(cells)
            yield [job for job, _ in cells]

    def _passes(self, jobs: Sequence[CellJob]) -> Iterator[list[tuple[CellJob, Cell]]]:
        """Yields cells whose rows share batches; with `deterministic` each cell's batches are its own."""
        most = 0 if self.recipe.deterministic else self.recipe.evaluation.examples_at_once
        cells: list[tuple[CellJob, Cell]] = []
        num_examples = 0
        for job in jobs:
            cell = Cell(
                job.task.task,
                self.material.examples(job.task, job.target, "test"),
                job.target,
                self.material.composition(job),
            )
            shares_batches = self.model.footprint(cell.composition).shares_batches
            size = len(cell.examples) if shares_batches else most  # a second copy of all weights waits for its own pass
            if cells and num_examples + size > most:
                yield cells
                cells, num_examples = [], 0
            cells.append((job, cell))
            num_examples += size
        if cells:
            yield cells

    def _evaluate(self, cells: Sequence[tuple[CellJob, Cell]]) -> None:
        limits = self.recipe.evaluation

        def on_progress(done: int, total: int) -> None:
            for job, _ in cells:
                self.on_progress(job, done, total, "")

        with measured(self.backbone.device) as cost:
            found = evaluate_cells(
                self.model,
                [cell for _, cell in cells],
                max_rows=limits.max_rows,
                max_tokens=limits.max_tokens,
                on_progress=on_progress,
            )
        for (job, cell), evaluated in zip(cells, found, strict=True):
            task, examples, scored = cell.task, cell.examples, evaluated.scored
            self.ledger.write_predictions(job.name, prediction_rows(task, examples, evaluated.predictions))
            num_trained = cell.composition.task.num_trained if cell.composition.task else 0
            result = {
                **coordinates(job),
                "status": "done",
                "main_score": scored.main_score,
                "scores": scored.scores,
                "counts": scored.counts,
                "majority": scored.majority,
                "num_trained": num_trained,
                "seconds": evaluated.seconds,
                "peak_bytes": cost.peak_bytes,
                "modules": {
                    "language": job.language.name if job.language else None,
                    "task": job.trained.name if job.trained else None,
                },
                "lingport": __version__,
            }
            self.results[job.id] = result
            self.records[job.id] = cell_record(result)


def _above(job: TaskJob, data: Sequence[TaskData]) -> dict[str, Any] | None:
    """Returns what a task module remembers of the language modules that it was trained above."""
    parts = zip(job.parts, data, strict=True)
    return above({part.above.name: each.above for part, each in parts if part.above and each.above})


def trains_alone(backbone: Backbone) -> Callable[[LanguageJob | TaskJob], bool]:
    """Returns what says of a job whether its module must be trained in a pass of its own."""

    def alone(job: LanguageJob | TaskJob) -> bool:
        kind = job.kind if isinstance(job, LanguageJob) else str(job.configuration.task)
        return not shares_pass(backbone, KINDS.get(kind), job.training)

    return alone


def module_job(folder: Path) -> str | None:
    """Returns the id of the job that made a module, or None where there is no module."""
    return read_manifest(folder)["provenance"]["training"].get("job") if folder.exists() else None


def cell_record(result: dict[str, Any]) -> dict[str, Any]:
    """Returns what the job's record says of an evaluated cell."""
    main = result["main_score"]
    costs = {key: result[key] for key in ("num_trained", "seconds", "peak_bytes")}
    return {"status": "done", **costs, "rows": result["counts"]["examples"], "score": {main: result["scores"][main]}}


def coordinates(job: CellJob) -> dict[str, Any]:
    """Returns what says which cell a result is of."""
    return {
        "cell": job.id,
        "name": job.name,
        "task": job.task.name,
        "configuration": job.configuration.name,
        "source": job.source,
        "target": job.target,
        "policy": job.policy,
        "seed": job.seed,
        "shots": job.shots,
        "settings": job.settings,
    }
