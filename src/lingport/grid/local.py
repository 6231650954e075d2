"""Does the jobs of a plan on this machine, one after another, in one process that holds the backbone.

A job that is done is not done again. A job that fails marks what depends on it, and the rest goes on.
"""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import yaml

from lingport import __version__
from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.schema import Recipe
from lingport.data.readers import read_examples
from lingport.errors import LingportError
from lingport.evaluate.predict import Prediction, Query, predict
from lingport.evaluate.score import score
from lingport.grid.ledger import Ledger
from lingport.grid.plan import CellJob, Job, LanguageJob, Plan, PlannedTask, TaskJob, make_plan, parents
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

logger = logging.getLogger(__name__)
J = TypeVar("J", LanguageJob, TaskJob)


class Reporter(Protocol):
    """Told how a run goes on; the command line shows it, tests record it."""

    def plan(self, total: int, done: int) -> None:
        """The run has so many jobs, of which so many were done before."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def progress(self, job: Job, done: int, total: int, message: str) -> None:
        """A job has made so many of its steps or rows."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """A job has ended; the record's `status` is `done`, `failed` or `blocked`."""


class Silent:
    """A reporter that says nothing."""

    def plan(self, total: int, done: int) -> None:
        """Says nothing."""

    def started(self, job: Job) -> None:
        """Says nothing."""

    def progress(self, job: Job, done: int, total: int, message: str) -> None:
        """Says nothing."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Says nothing."""


@dataclass
class RunSummary:
    """How a run ended.

    Attributes:
        run_dir: Its folder.
        num_done: Jobs done now.
        num_skipped: Jobs that were done before.
        failed: Name -> reason, of jobs that failed or were blocked by one that did.
        seconds: Time of the jobs done now.
    """

    run_dir: Path
    num_done: int = 0
    num_skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run_recipe(
    recipe: Recipe, run_dir: Path, *, base: Path | None = None, reporter: Reporter | None = None
) -> RunSummary:
    """Returns how the run ended; modules, results and metrics lie in its folder.

    Args:
        recipe: What to do; data paths resolved.
        run_dir: The run's folder; a run that is there is continued or extended.
        base: Folder of the recipe, where relative task files are looked for.
        reporter: Told of progress.
    """
    settings = recipe.backbone
    if recipe.deterministic:
        torch.use_deterministic_algorithms(True)
    backbone = Backbone.load(
        settings.name, dtype=settings.dtype, device=settings.device, revision=settings.revision
    )
    plan = make_plan(recipe, fingerprint=backbone.fingerprint, base=base)
    run_dir.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
    (run_dir / "recipe.yaml").write_text(text, encoding="utf-8")
    return LocalRun(recipe, backbone, plan, Ledger(run_dir), reporter or Silent()).run()


class LocalRun:
    """One run in this process.

    Args:
        recipe: What to do.
        backbone: Loaded once for all jobs.
        plan: The recipe's jobs.
        ledger: The run's folder.
        reporter: Told of progress.
    """

    def __init__(
        self, recipe: Recipe, backbone: Backbone, plan: Plan, ledger: Ledger, reporter: Reporter
    ) -> None:
        self.recipe = recipe
        self.backbone = backbone
        self.model = ComposedModel(backbone)
        self.plan = plan
        self.ledger = ledger
        self.reporter = reporter
        self.summary = RunSummary(ledger.run_dir)
        # Few enough to stay in memory; a language's text is needed by its two kinds and all seeds in turn.
        self._text = lru_cache(maxsize=16)(self._read_text)
        self._labelled = lru_cache(maxsize=16)(self._read_labelled)
        self._examples = lru_cache(maxsize=64)(self._read_examples)
        self._module = lru_cache(maxsize=32)(self._load_module)

    def run(self) -> RunSummary:
        """Returns how the run ended."""
        done = self._done_before()
        self.reporter.plan(len(self.plan.jobs), len(done))
        self.summary.num_skipped = len(done)
        ended: dict[str, str] = dict.fromkeys(done, "done")
        phases: tuple[tuple[Sequence[Job], Callable[[list[Any]], None]], ...] = (
            (self.plan.languages, self._train_languages),
            (self.plan.tasks, self._train_tasks),
            (self.plan.cells, self._evaluate),
        )
        for jobs, do in phases:
            size = 1 if jobs is self.plan.cells else self.recipe.learners_at_once
            for group in self._groups([job for job in jobs if job.id not in ended], size):
                ready = [job for job in group if all(ended.get(p.id) == "done" for p in parents(job))]
                for job in group:
                    if job not in ready:
                        lost = next(p.name for p in parents(job) if ended.get(p.id) != "done")
                        self._end(job, {"status": "blocked", "error": f"{lost} failed"}, ended)
                if ready:
                    self._attempt(ready, do, ended)
        return self.summary

    def _attempt(self, jobs: list[Job], do: Callable[[list[Any]], None], ended: dict[str, str]) -> None:
        records: dict[str, dict[str, Any]] = {}
        self._records = records
        for job in jobs:
            self.reporter.started(job)
        try:
            do(jobs)
        except Exception as error:  # a job's boundary: the others must go on, the traceback is kept
            logger.debug("job failed", exc_info=True)
            said = str(error) if isinstance(error, LingportError) else f"{type(error).__name__}: {error}"
            for job in jobs:
                if job.id not in records:
                    records[job.id] = {"status": "failed", "error": said, "traceback": traceback.format_exc()}
        for job in jobs:
            self._end(job, records[job.id], ended)

    def _end(self, job: Job, record: dict[str, Any], ended: dict[str, str]) -> None:
        ended[job.id] = record["status"]
        row = {"job": job.id, "phase": job.phase, "name": job.name, "error": None, **record}
        self.ledger.add_job(row)
        if record["status"] == "done":
            self.summary.num_done += 1
            self.summary.seconds += record["seconds"]
        else:
            self.summary.failed[job.name] = record["error"]
            if isinstance(job, CellJob):
                self.ledger.add_result({**_coordinates(job), "status": "failed", "error": record["error"]})
        self.reporter.ended(job, row)

    def _done_before(self) -> set[str]:
        records, results = self.ledger.jobs(), self.ledger.results()
        done = set()
        for job in self.plan.jobs:
            if records.get(job.id, {}).get("status") != "done":
                continue
            if isinstance(job, CellJob):
                is_there = results.get(job.id, {}).get("status") == "done"
            else:
                is_there = self._module_job(job.name) == job.id
            if is_there:
                done.add(job.id)
        return done

    def _module_job(self, name: str) -> str | None:
        folder = self.ledger.module_dir(name)
        if not folder.exists():
            return None
        return read_manifest(folder)["provenance"]["training"].get("job")

    def _groups(self, jobs: Sequence[J], size: int) -> Iterator[list[J]]:
        """Yields jobs that can be done in one pass: trained alike, so many at once."""
        waiting = list(jobs)
        while waiting:
            first = waiting[0]
            alike = [job for job in waiting if size > 1 and job.training == first.training][:size] or [first]
            yield alike
            waiting = [job for job in waiting if job not in alike]

    def _train_languages(self, jobs: list[LanguageJob]) -> None:
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

    def _train_tasks(self, jobs: list[TaskJob]) -> None:
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
                "data": {"examples": rows.num_examples, "inputs_cut": rows.num_cut, "left_out": rows.num_dropped},
            }
            above = learner.composition.language
            self._keep(
                job, learner.module, result, cost, extra, role="task", language=job.source, task=job.task.name,
                above={"name": job.language.name, "weights": weights_hash(above)} if job.language and above else None,
            )  # fmt: skip

    def _learner(self, job: J, module: TransferModule, composition: Composition, rows: Any, validate: Any) -> Learner:
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
                self.reporter.progress(job, event["step"], job.training.steps, f"loss {event['loss']:.3f}")

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
        if folder.exists() and (old := self._module_job(job.name)) != job.id:
            # Nothing is lost: a module of other settings steps aside.
            folder.rename(folder.with_name(f"{job.name}.{old}"))
        save_module(module, folder, replace=True)
        shutil.rmtree(self.ledger.checkpoint(job.id), ignore_errors=True)
        self.ledger.checkpoint(job.id).unlink(missing_ok=True)
        self._records[job.id] = {
            "status": "done",
            "seconds": cost.seconds,
            "peak_bytes": cost.peak_bytes,
            "num_trained": module.num_trained,
            "steps": result.steps,
            "rows": result.rows,
            "tokens": result.tokens,
            **extra,
        }

    def _evaluate(self, jobs: list[CellJob]) -> None:
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
                on_progress=lambda done, total: self.reporter.progress(job, done, total, ""),
            )
        scored = score(job.task.task, examples, predictions, language=job.target)
        self.ledger.write_predictions(job.name, _prediction_rows(job.task, examples, predictions))
        num_trained = composition.task.num_trained if composition.task else 0
        costs = {"num_trained": num_trained, "seconds": cost.seconds, "peak_bytes": cost.peak_bytes}
        self.ledger.add_result(
            {
                **_coordinates(job),
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
        self._records[job.id] = {"status": "done", **costs, "rows": len(queries)}

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


@dataclass(frozen=True)
class _HeldOut:
    module: TransferModule
    data: LanguageData

    def __call__(self, model: ComposedModel) -> dict[str, float]:
        return {"validation_loss": held_out_loss(model, self.module, self.data)}


def _coordinates(job: CellJob) -> dict[str, Any]:
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
