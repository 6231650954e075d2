"""Does single jobs: train modules, evaluate a cell. Knows the backbone and the run folder.

Not here: which jobs, in which order, and what happens when one fails (`local.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from lingport import __version__
from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.schema import Recipe
from lingport.data.readers import read_examples
from lingport.evaluate.predict import Query, predict
from lingport.evaluate.result import prediction_rows
from lingport.evaluate.score import score
from lingport.grid.ledger import Ledger
from lingport.grid.plan import CellJob, Job, LanguageJob, PlannedTask, TaskJob
from lingport.modules.base import TransferModule, new_module
from lingport.modules.store import load_module, read_manifest, save_module, weights_hash
from lingport.tasks.base import Example
from lingport.train.cost import Cost, measured
from lingport.train.language import (
    HeldOutLoss,
    LanguageData,
    held_out_loss,
    language_data,
    language_learner,
    language_module_settings,
)
from lingport.train.learner import Learner, TrainResult, remember_training
from lingport.train.loop import train
from lingport.train.task import TaskData, TaskRows, task_learner, task_rows

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
    """

    def __init__(self, recipe: Recipe, backbone: Backbone, ledger: Ledger, on_progress: OnProgress) -> None:
        self.recipe = recipe
        self.backbone = backbone
        self.model = ComposedModel(backbone)
        self.ledger = ledger
        self.on_progress = on_progress
        self.records: dict[str, dict[str, Any]] = {}
        # Few enough to stay in memory; a language's text is needed by its two kinds and all seeds in turn.
        self._text = lru_cache(maxsize=16)(self._read_text)
        self._labelled = lru_cache(maxsize=16)(self._read_labelled)
        self._examples = lru_cache(maxsize=64)(self._read_examples)
        self._module = lru_cache(maxsize=32)(self._load_module)

    def train_languages(self, jobs: Sequence[LanguageJob]) -> None:
        """Trains language modules in one pass and keeps them."""
        data = [self._text(job.language) for job in jobs]
        learners = [
            language_learner(
                self.backbone,
                text,
                kind=job.kind,
                module=job.module,
                training=job.training,
                seed=job.seed,
                name=job.name,
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
            remember_training(learner, result, **facts)
            self._keep(job, learner.module, result, cost, facts)

    def train_tasks(self, jobs: Sequence[TaskJob]) -> None:
        """Trains task modules in one pass, each above its source's language module, and keeps them."""
        data = [self._task_data(job) for job in jobs]
        learners = [self._task_learner(job, rows) for job, rows in zip(jobs, data, strict=True)]
        for job, learner, result, cost, rows in zip(jobs, learners, *self._train(jobs, learners), data, strict=True):
            above = learner.composition.language
            if job.language and above:
                learner.module.provenance.above = {"name": job.language.name, "weights": weights_hash(above)}
            final = {**result.scores, "best_step": result.best_step}
            facts = {"final": final, "data": rows.train.counts}
            definition = job.task.task.config.model_dump(mode="json", exclude_defaults=True)
            remember_training(learner, result, **facts, task=definition)
            self._keep(job, learner.module, result, cost, facts)

    def _task_data(self, job: TaskJob) -> TaskData:
        limit = job.training.validation_limit
        return TaskData(
            job.source,
            self._labelled(job.task, job.source, "train", None),
            self._labelled(job.task, job.source, "validation", limit),
            self._examples(job.task, job.source, "validation")[:limit],
        )

    def _task_learner(self, job: TaskJob, data: TaskData) -> Learner:
        kind = job.configuration.task
        assert kind is not None
        return task_learner(
            self.backbone,
            job.task.task,
            data,
            kind=kind,
            module=job.module,
            training=job.training,
            above=self._module(job.language.name) if job.language else None,
            fusion=self.recipe.fusion,
            seed=job.seed,
            name=job.name,
            limits=self.recipe.evaluation,
            checkpoint=self.ledger.checkpoint(job.id),
            identity=job.id,
        )

    def _train(self, jobs: Sequence[J], learners: Sequence[Learner]) -> tuple[list[TrainResult], list[Cost]]:
        by_name = {job.name: job for job in jobs}

        def listen(name: str, event: dict[str, Any]) -> None:
            job = by_name[name]
            if event["event"] == "resume":
                self.ledger.restart_metrics(name, after_step=event["step"])
                return
            self.ledger.add_metric(name, event)
            if event["event"] == "train":
                self.on_progress(job, event["step"], job.training.steps, f"loss {event['loss']:.3f}")

        for learner in learners:
            assert learner.checkpoint is not None
            if not learner.checkpoint.exists():
                self.ledger.restart_metrics(learner.name, after_step=-1)
        with measured(self.backbone.device) as cost:
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
        shutil.rmtree(self.ledger.checkpoint(job.id), ignore_errors=True)
        self.ledger.checkpoint(job.id).unlink(missing_ok=True)
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

    def evaluate(self, jobs: Sequence[CellJob]) -> None:
        """Runs and scores one cell."""
        (job,) = jobs
        composition = self._composition(job)
        examples = self._examples(job.task, job.target, "test")
        queries = [Query(job.task.task, example, job.target, composition) for example in examples]
        limits = self.recipe.evaluation
        with measured(self.backbone.device) as cost:
            predictions = predict(
                self.model,
                queries,
                max_rows=limits.max_rows,
                max_tokens=limits.max_tokens,
                on_progress=lambda done, total: self.on_progress(job, done, total, ""),
            )
        scored = score(job.task.task, examples, predictions, language=job.target)
        self.ledger.write_predictions(job.name, prediction_rows(job.task.task, examples, predictions))
        num_trained = composition.task.num_trained if composition.task else 0
        costs = {"num_trained": num_trained, "seconds": cost.seconds, "peak_bytes": cost.peak_bytes}
        self.ledger.add_result(
            {
                **coordinates(job),
                "status": "done",
                "main_score": scored.main_score,
                "scores": scored.scores,
                "counts": scored.counts,
                "majority": scored.majority,
                **costs,
                "modules": {
                    "language": job.language.name if job.language else job.untrained_language and "untrained",
                    "task": job.trained.name if job.trained else None,
                },
                "lingport": __version__,
            }
        )
        self.records[job.id] = {"status": "done", **costs, "rows": len(queries)}

    def _composition(self, job: CellJob) -> Composition:
        language = self._module(job.language.name) if job.language else None
        if job.untrained_language:
            module = getattr(self.recipe.language_training.modules, job.untrained_language)
            settings = language_module_settings(job.untrained_language, module, job.target)
            language = new_module(job.untrained_language, settings, self.backbone, seed=job.seed)
        task = self._module(job.trained.name) if job.trained else None
        return Composition(language=language, task=task, fusion=self.recipe.fusion)

    def _load_module(self, name: str) -> TransferModule:
        return load_module(self.ledger.module_dir(name), self.backbone)

    def _read_text(self, language: str) -> LanguageData:
        source = self.recipe.text_of(language)
        assert source is not None
        settings = self.recipe.language_training
        return language_data(
            self.backbone,
            source,
            language,
            objective=settings.objective,
            num_validation_chunks=settings.validation_chunks,
        )

    def _read_examples(self, task: PlannedTask, language: str, split: str) -> list[Example]:
        return list(read_examples(task.source(language, split), language=language, task=task.task.name))

    def _read_labelled(self, task: PlannedTask, language: str, split: str, limit: int | None) -> TaskRows:
        return task_rows(self.backbone, task.task, self._examples(task, language, split)[:limit], language)


def module_job(folder: Path) -> str | None:
    """Returns the id of the job that made a module, or None where there is no module."""
    return read_manifest(folder)["provenance"]["training"].get("job") if folder.exists() else None


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
    }
