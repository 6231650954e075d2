"""Does single jobs: train modules, evaluate a cell. Knows the backbone and the run folder.

Not here: which jobs, in which order, and what happens when one fails (`local.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from lingport import __version__
from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.schema import Recipe
from lingport.data.readers import read_examples
from lingport.evaluate.predict import Prediction, Query, predict
from lingport.evaluate.score import score
from lingport.grid.ledger import Ledger
from lingport.grid.plan import CellJob, Job, LanguageJob, PlannedTask, TaskJob
from lingport.modules.base import TransferModule, new_module
from lingport.modules.store import load_module, read_manifest, save_module, weights_hash
from lingport.tasks.base import Example
from lingport.train.cost import Cost, measured
from lingport.train.language import (
    LanguageData,
    LanguageRows,
    held_out_loss,
    language_data,
    language_module_settings,
)
from lingport.train.learner import Learner, TrainResult
from lingport.train.loop import train
from lingport.train.task import TaskBatches, TaskRows, TaskValidation, task_module_settings, task_rows

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
        learners, data = [], []
        for job in jobs:
            text = self._text(job.language)
            settings = language_module_settings(job.kind, job.module, job.language)
            module = new_module(job.kind, settings, self.backbone, seed=job.seed)
            rows = LanguageRows(text, batch_size=job.training.batch_size, seed=job.seed)
            data.append(text)
            composition = Composition(language=module)
            learners.append(self._learner(job, module, composition, rows, _HeldOut(module, text)))
        before = [held_out_loss(self.model, None, text) for text in data]
        for job, learner, result, cost, text, loss in zip(
            jobs, learners, *self._train(jobs, learners), data, before, strict=True
        ):
            final = result.scores or _HeldOut(learner.module, text)(self.model)
            extra = {"initial": {"validation_loss": loss}, "final": {**final, "best_step": result.best_step}}
            self._keep(job, learner.module, result, cost, extra, role="language", language=job.language)

    def train_tasks(self, jobs: Sequence[TaskJob]) -> None:
        """Trains task modules in one pass, each above its source's language module, and keeps them."""
        learners, data = [], []
        for job in jobs:
            task = job.task.task
            rows = self._labelled(job.task, job.source, "train", None)
            limit = job.training.validation_limit
            validation = self._labelled(job.task, job.source, "validation", limit)
            settings = task_module_settings(job.module, task, job.source)
            kind = job.configuration.task
            assert kind is not None
            module = new_module(kind, settings, self.backbone, seed=job.seed)
            language = self._module(job.language.name) if job.language else None
            composition = Composition(language=language, task=module, fusion=self.recipe.fusion)
            measure = TaskValidation(
                task,
                job.source,
                self._examples(job.task, job.source, "validation")[:limit],
                validation.rows,
                composition,
                with_score=job.training.selection != "loss",
                max_rows=self.recipe.evaluation.max_rows,
                max_tokens=self.recipe.evaluation.max_tokens,
            )
            batches = TaskBatches(rows.rows, batch_size=job.training.batch_size, seed=job.seed)
            data.append(rows)
            learners.append(self._learner(job, module, composition, batches, measure))
        for job, learner, result, cost, rows in zip(
            jobs, learners, *self._train(jobs, learners), data, strict=True
        ):
            extra = {
                "final": {**result.scores, "best_step": result.best_step},
                "data": {
                    "examples": rows.num_examples,
                    "inputs_cut": rows.num_cut,
                    "left_out": rows.num_dropped,
                },
            }
            above = learner.composition.language
            self._keep(
                job, learner.module, result, cost, extra, role="task", language=job.source, task=job.task.name,
                above={"name": job.language.name, "weights": weights_hash(above)} if job.language and above else None,
            )  # fmt: skip

    def _learner(
        self, job: J, module: TransferModule, composition: Composition, rows: Any, validate: Any
    ) -> Learner:
        return Learner(
            job.name,
            module,
            composition,
            rows,
            job.training,
            seed=job.seed,
            validate=validate,
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
        extra: dict[str, Any],
        **provenance: Any,
    ) -> None:
        for key, value in provenance.items():
            setattr(module.provenance, key, value)
        module.provenance.training = {
            "job": job.id,
            "seed": job.seed,
            "settings": job.training.model_dump(mode="json"),
            "steps": result.steps,
            "rows": result.rows,
            "tokens": result.tokens,
            "stopped_early": result.stopped_early,
            **extra,
        }
        folder = self.ledger.module_dir(job.name)
        if folder.exists() and (old := module_job(folder)) != job.id:
            # Nothing is lost: a module of other settings steps aside.
            folder.rename(folder.with_name(f"{job.name}.{old}"))
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
            **extra,
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
        self.ledger.write_predictions(job.name, _prediction_rows(job.task, examples, predictions))
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


@dataclass(frozen=True)
class _HeldOut:
    module: TransferModule
    data: LanguageData

    def __call__(self, model: ComposedModel) -> dict[str, float]:
        return {"validation_loss": held_out_loss(model, self.module, self.data)}


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


def _prediction_rows(
    task: PlannedTask, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> list[dict[str, Any]]:
    rows = []
    for example, said in zip(examples, predictions, strict=True):
        rows.append(
            {
                "id": example["id"],
                "output": said.text,
                "answer": said.answer,
                "gold": task.task.gold(example),
                "input_cut": said.input_cut,
                "output_cut": said.output_cut,
                "confidence": round(said.confidence, 4),
            }
        )
    return rows
