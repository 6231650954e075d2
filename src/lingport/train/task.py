"""The second recipe: a task module learns from labelled rows above frozen language modules.

One task in one language is the plain case; several take turns, each row above its own language's module. Not here:
the loop, and where modules and results are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True)
class TaskData:
    """Labelled data of one task in one language.

    Attributes:
        task: The task.
        language: Code of the language.
        train: What is trained on.
        validation: What the loss is measured on. None: nothing is validated.
        examples: The validation examples, for the score.
        above: The language's module, frozen. None: the task module acts alone.
        share: Rows of this data for each round over all of them.
        title: What the task is called among others; empty: as it calls itself.
    """

    task: Task[Any, Any]
    language: str
    train: TaskRows
    validation: TaskRows | None
    examples: Sequence[Example] = ()
    above: TransferModule | None = None
    share: int = 1
    title: str = ""

    @property
    def name(self) -> str:
        """The task and the language, as records call them."""
        return f"{self.title or self.task.name} ({self.language})"


def task_module_settings(settings: Settings, data: Sequence[TaskData]) -> Settings:
    """Returns a kind's settings with the tasks' texts or label words to start from, where none are given."""
    if not isinstance(settings, PromptSettings):
        return settings
    if settings.init == "text" and settings.init_text is None:
        texts = dict.fromkeys(filter(None, (each.task.prompt_init(each.language) for each in data)))
        return settings.model_copy(update={"init_text": " ".join(texts)} if texts else {"init": "vocab"})
    if settings.init == "classes" and not settings.init_words:
        words = dict.fromkeys(word for each in data for word in each.task.label_words(each.language).values())
        return settings.model_copy(update={"init_words": tuple(words)})
    return settings


class TaskBatches:
    """The rows of each step of a task module's training; several data sets take turns by their shares.

    Source: cycling over languages as in target language-ready adapters (Parovic et al. 2023, section 2.2), here row
    by row instead of batch by batch.

    Args:
        data: At least one data set.
        batch_size: Rows of a step.
        seed: Decides the order of each data set's rows.
    """

    def __init__(self, data: Sequence[TaskData], *, batch_size: int, seed: int) -> None:
        self._data = data
        self._batch_size = batch_size
        self._orders = [EpochOrder(len(each.train.rows), seed=seed, stream=at) for at, each in enumerate(data)]
        # A round: who is next. Each data set's turns are spread evenly over it.
        turns = [((turn + 0.5) / each.share, at, turn) for at, each in enumerate(data) for turn in range(each.share)]
        self._round = [(at, turn) for _, at, turn in sorted(turns)]

    def __call__(self, step: int) -> list[Row]:
        """Returns the rows of a step."""
        return [self._data[at].train.rows[self._orders[at].item(place)] for at, place in self._places(step)]

    def sources(self, step: int) -> list[int]:
        """Returns which of the data sets each row of a step is from."""
        return [at for at, _ in self._places(step)]

    def _places(self, step: int) -> Iterator[tuple[int, int]]:
        for position in range(step * self._batch_size, (step + 1) * self._batch_size):
            num_rounds, place = divmod(position, len(self._round))
            at, turn = self._round[place]
            yield at, num_rounds * self._data[at].share + turn


@dataclass(frozen=True)
class TaskValidation:
    """Measures a task module on validation examples.

    Attributes:
        data: The validation data.
        composition: What is measured.
        with_score: Whether outputs are decoded and scored; the loss alone is cheaper.
        max_rows: Most rows of a batch.
        max_tokens: Most input tokens of a batch.
    """

    data: TaskData
    composition: Composition
    with_score: bool = True
    max_rows: int = 64
    max_tokens: int = 8192

    def __call__(self, model: ComposedModel) -> dict[str, float]:
        """Returns `validation_loss`, and the task's scores with the main one as `score`."""
        data, max_rows, max_tokens = self.data, self.max_rows, self.max_tokens
        assert data.validation is not None
        loss = mean_loss(model, self.composition, data.validation.rows, max_rows=max_rows, max_tokens=max_tokens)
        found = {"validation_loss": loss}
        if self.with_score:
            queries = [Query(data.task, example, data.language, self.composition) for example in data.examples]
            said = predict(model, queries, max_rows=max_rows, max_tokens=max_tokens)
            scored = score(data.task, data.examples, said, language=data.language)
            found |= {**scored.scores, "score": scored.scores[scored.main_score]}
        return found


@dataclass(frozen=True)
class JointValidation:
    """Measures a task module on several data sets; each counts as much as the others."""

    parts: Sequence[TaskValidation]

    def __call__(self, model: ComposedModel) -> dict[str, float]:
        """Returns the means of `validation_loss` and `score`, and both of each data set under its name."""
        each = {part.data.name: part(model) for part in self.parts}
        keys = [key for key in ("validation_loss", "score") if all(key in found for found in each.values())]
        means = {key: sum(found[key] for found in each.values()) / len(each) for key in keys}
        return means | {f"{key} of {name}": found[key] for name, found in each.items() for key in keys}


def task_learner(
    backbone: Backbone,
    data: Sequence[TaskData],
    *,
    kind: str,
    module: Settings,
    training: TrainingSettings,
    fusion: Literal["concat", "mean"],
    seed: int,
    name: str,
    limits: EvaluationSettings,
    initial: TransferModule | None = None,
    checkpoint: Path | None = None,
    identity: str = "",
) -> Learner:
    """Returns the learner of a task module above frozen language modules.

    Args:
        backbone: What the module will act in.
        data: What is learnt: a task in a language, or several that take turns.
        kind: Kind of the module.
        module: The kind's settings; a prompt without a text to start from gets the task's.
        training: The training run.
        fusion: What two prompts give.
        seed: Decides initialisation and order.
        name: Shown in progress and errors.
        limits: How validation examples are run.
        initial: Where it starts: a copy of another task module, trained itself. None: it begins anew.
        checkpoint: File to resume from; None: no checkpoints.
        identity: Hash of everything that decides the result.
    """
    built = initial or new_module(kind, task_module_settings(module, data), backbone, seed=seed)
    built.provenance.role = "task"
    built.provenance.language = "+".join(dict.fromkeys(each.language for each in data))
    titles = dict.fromkeys(each.title or each.task.name for each in data)
    built.provenance.task = data[0].task.name if len(titles) == 1 else "+".join(titles)
    compositions = [Composition(language=each.above, task=built, fusion=fusion) for each in data]
    measures = [
        TaskValidation(each, composition, training.selection != "loss", limits.max_rows, limits.max_tokens)
        for each, composition in zip(data, compositions, strict=True)
        if each.validation is not None
    ]
    batches = TaskBatches(data, batch_size=training.batch_size, seed=seed)
    return Learner(
        name,
        built,
        compositions[0],
        batches,
        training,
        seed=seed,
        row_compositions=(lambda step: [compositions[at] for at in batches.sources(step)]) if len(data) > 1 else None,
        validate=measures[0] if len(measures) == 1 else JointValidation(measures) if measures else None,
        checkpoint=checkpoint,
        identity=identity,
    )
