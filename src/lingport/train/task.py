"""The second recipe: a task module learns from labelled rows above a frozen language module.

Not here: the loop, and where modules and results are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import PromptSettings, Settings
from lingport.config.schema import EvaluationSettings
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row, tokenize
from lingport.data.order import EpochOrder
from lingport.errors import DataError
from lingport.evaluate.loss import mean_loss
from lingport.evaluate.predict import Query, predict
from lingport.evaluate.score import score
from lingport.modules.base import TransferModule, new_module
from lingport.tasks.base import Example, Task
from lingport.tasks.windows import fit, training_windows
from lingport.train.learner import Learner

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskRows:
    """Labelled examples as rows, and how many had to be cut or left out.

    Attributes:
        rows: What is trained on, or what a validation loss is measured on.
        num_examples: Examples they come from.
        num_cut: Examples whose input was cut at its end.
        num_dropped: Examples left out because no window holds their answer.
    """

    rows: Sequence[Row]
    num_examples: int
    num_cut: int
    num_dropped: int

    @property
    def counts(self) -> dict[str, int]:
        """The numbers as they are recorded."""
        return {"examples": self.num_examples, "inputs_cut": self.num_cut, "left_out": self.num_dropped}


def task_rows(backbone: Backbone, task: Task[Any, Any], examples: Sequence[Example], language: str) -> TaskRows:
    """Returns examples as rows: inputs in windows or cut as the task says, targets whole.

    Raises:
        DataError: A field is missing, or nothing is left to train on.
    """
    tokenizer = backbone.tokenizer
    rows, num_cut, num_dropped = [], 0, 0
    for example in examples:
        windows = training_windows(fit(task, example, language, tokenizer))
        num_dropped += not windows
        was_cut = False
        for window in windows:
            input_ids, cut = tokenize(tokenizer, window.input, task.max_input_tokens)
            was_cut |= cut or window.cut
            rows.append(Row(input_ids, tokenize(tokenizer, window.target)[0]))
        num_cut += was_cut
    if not rows:
        raise DataError(
            f"none of the {len(examples)} examples of task {task.name!r} in {language!r} can be trained on",
            hint="run `lingport check` on the recipe to see them",
        )
    if num_cut or num_dropped:
        logger.warning(
            "%s (%s): of %d examples %d inputs were cut and %d left out",
            task.name,
            language,
            len(examples),
            num_cut,
            num_dropped,
        )
    return TaskRows(rows, len(examples), num_cut, num_dropped)


def task_module_settings(settings: Settings, task: Task[Any, Any], language: str) -> Settings:
    """Returns a kind's settings with the task's text or label words to start from, where none are given."""
    if not isinstance(settings, PromptSettings):
        return settings
    if settings.init == "text" and settings.init_text is None:
        text = task.prompt_init(language)
        return settings.model_copy(update={"init_text": text} if text else {"init": "vocab"})
    if settings.init == "classes" and not settings.init_words:
        return settings.model_copy(update={"init_words": tuple(task.label_words(language).values())})
    return settings


class TaskBatches:
    """The rows of each step of a task module's training.

    Args:
        rows: All rows.
        batch_size: Rows of a step.
        seed: Decides the order.
    """

    def __init__(self, rows: Sequence[Row], *, batch_size: int, seed: int) -> None:
        self._rows = rows
        self._batch_size = batch_size
        self._order = EpochOrder(len(rows), seed=seed)

    def __call__(self, step: int) -> list[Row]:
        """Returns the rows of a step."""
        positions = range(step * self._batch_size, (step + 1) * self._batch_size)
        return [self._rows[self._order.item(position)] for position in positions]


@dataclass(frozen=True)
class TaskValidation:
    """Measures a task module on validation examples.

    Attributes:
        task: The task.
        language: Language of the examples.
        examples: Validation examples.
        rows: The same examples as rows, for the loss.
        composition: What is measured.
        with_score: Whether outputs are decoded and scored; the loss alone is cheaper.
        max_rows: Most rows of a batch.
        max_tokens: Most input tokens of a batch.
    """

    task: Task[Any, Any]
    language: str
    examples: Sequence[Example]
    rows: Sequence[Row]
    composition: Composition
    with_score: bool = True
    max_rows: int = 64
    max_tokens: int = 8192

    def __call__(self, model: ComposedModel) -> dict[str, float]:
        """Returns `validation_loss`, and the task's scores with the main one as `score`."""
        max_rows, max_tokens = self.max_rows, self.max_tokens
        loss = mean_loss(model, self.composition, self.rows, max_rows=max_rows, max_tokens=max_tokens)
        found = {"validation_loss": loss}
        if self.with_score:
            queries = [Query(self.task, example, self.language, self.composition) for example in self.examples]
            said = predict(model, queries, max_rows=max_rows, max_tokens=max_tokens)
            scored = score(self.task, self.examples, said, language=self.language)
            found |= {**scored.scores, "score": scored.scores[scored.main_score]}
        return found


@dataclass(frozen=True)
class TaskData:
    """Labelled data of one task in one source language.

    Attributes:
        language: The source language.
        train: What is trained on.
        validation: What the loss is measured on.
        examples: The validation examples, for the score.
    """

    language: str
    train: TaskRows
    validation: TaskRows
    examples: Sequence[Example]


def task_learner(
    backbone: Backbone,
    task: Task[Any, Any],
    data: TaskData,
    *,
    kind: str,
    module: Settings,
    training: TrainingSettings,
    above: TransferModule | None,
    fusion: Literal["concat", "mean"],
    seed: int,
    name: str,
    limits: EvaluationSettings,
    checkpoint: Path | None = None,
    identity: str = "",
) -> Learner:
    """Returns the learner of a new task module above a frozen language module.

    Args:
        backbone: What the module will act in.
        task: What is learnt.
        data: Its labelled data in the source language.
        kind: Kind of the module.
        module: The kind's settings; a prompt without a text to start from gets the task's.
        training: The training run.
        above: The source language's module; None: the task module acts alone.
        fusion: What two prompts give.
        seed: Decides initialisation and order.
        name: Shown in progress and errors.
        limits: How validation examples are run.
        checkpoint: File to resume from; None: no checkpoints.
        identity: Hash of everything that decides the result.
    """
    settings = task_module_settings(module, task, data.language)
    built = new_module(kind, settings, backbone, seed=seed)
    built.provenance.role, built.provenance.language = "task", data.language
    built.provenance.task = task.name
    composition = Composition(language=above, task=built, fusion=fusion)
    measure = TaskValidation(
        task,
        data.language,
        data.examples,
        data.validation.rows,
        composition,
        with_score=training.selection != "loss",
        max_rows=limits.max_rows,
        max_tokens=limits.max_tokens,
    )
    return Learner(
        name,
        built,
        composition,
        TaskBatches(data.train.rows, batch_size=training.batch_size, seed=seed),
        training,
        seed=seed,
        validate=measure,
        checkpoint=checkpoint,
        identity=identity,
    )
