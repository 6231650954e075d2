"""The first recipe: a language module learns from raw text by an objective (method, section 2).

Not here: the loop, the objectives (`lingport.data.objectives`), and where modules and results are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.data import TextSource
from lingport.config.language import ObjectiveSettings
from lingport.config.modules import PromptSettings, Settings
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.data.chunks import token_chunks
from lingport.data.languages import language as find_language
from lingport.data.objectives.base import Objective, new_objective
from lingport.data.order import EpochOrder
from lingport.data.sample import nested_sample
from lingport.data.text import read_text
from lingport.evaluate.loss import mean_loss
from lingport.modules.base import TransferModule, new_module
from lingport.train.learner import Learner

#: what a language prompt starts from in the paper
PROMPT_INIT = "Generate the output in {Language}:"
#: share of the text that is held out where the recipe says nothing
VALIDATION_SHARE = 0.02


@dataclass(frozen=True)
class LanguageData:
    """Raw text of one language, ready for an objective.

    Attributes:
        language: Its code.
        chunks: Training text (N, L) in token ids.
        validation: Held-out rows, made once and for all.
        objective: What is learnt from a chunk.
    """

    language: str
    chunks: np.ndarray
    validation: Sequence[Row]
    objective: Objective

    def row(self, index: int, *key: str | int) -> Row:
        """Returns a training chunk as a row; the key decides all that is random in it."""
        return self.objective.row(self.chunks[index], *key)


def held_out(source: TextSource) -> TextSource:
    """Returns the source with a held-out part: its own, or a share of 2 % where it names none."""
    if source.validation or source.num_validation or source.format == "demo":
        return source
    return source.model_copy(update={"validation": VALIDATION_SHARE})


def language_data(
    backbone: Backbone,
    source: TextSource,
    language: str,
    *,
    objective: ObjectiveSettings,
    num_validation_chunks: int,
    num_texts: int | None = None,
    seed: int = 0,
) -> LanguageData:
    """Returns the text of a language as training chunks and held-out rows.

    Args:
        backbone: Its tokenizer cuts the text.
        source: Where the text is.
        language: Its code.
        objective: What is learnt from it.
        num_validation_chunks: Held-out chunks, at most.
        num_texts: Training texts, a nested sample of all; None: all.
        seed: Draws the sample.

    Raises:
        DataError: The text is missing, malformed, too short for a chunk, or fewer texts than asked for.
    """
    source = held_out(source)
    made = new_objective(objective, sentinel_ids=backbone.sentinel_ids, end_id=backbone.tokenizer.eos_token_id)

    def chunks(split: str, size: int | None) -> np.ndarray:
        where = f"{split} text of {language!r}"
        texts = read_text(source.model_copy(update={"split": split}), language=language)
        texts = nested_sample(texts, size, seed=seed, identity=str, where=where)
        return token_chunks(backbone.tokenizer, texts, length=made.raw_length, where=where)

    validation = [
        made.row(chunk, "validation", index)
        for index, chunk in enumerate(chunks("validation", None)[:num_validation_chunks])
    ]
    return LanguageData(language, chunks("train", num_texts), validation, made)


def language_module_settings(kind: str, settings: Settings, language: str) -> Settings:
    """Returns a kind's settings with the paper's text to start from, where none is given."""
    if isinstance(settings, PromptSettings) and settings.init == "text" and settings.init_text is None:
        return settings.model_copy(update={"init_text": PROMPT_INIT.format(Language=find_language(language).name)})
    return settings


class LanguageRows:
    """The rows of each step of a language module's training.

    Args:
        data: The text.
        batch_size: Rows of a step.
        seed: Decides the order, and what is random in a row.
    """

    def __init__(self, data: LanguageData, *, batch_size: int, seed: int) -> None:
        self._data = data
        self._batch_size = batch_size
        self._seed = seed
        self._order = EpochOrder(len(data.chunks), seed=seed)

    def __call__(self, step: int) -> list[Row]:
        """Returns the rows of a step."""
        positions = range(step * self._batch_size, (step + 1) * self._batch_size)
        return [self._data.row(self._order.item(p), "corruption", self._seed, p) for p in positions]


@dataclass(frozen=True)
class HeldOutLoss:
    """Measures a language module on held-out text."""

    module: TransferModule
    data: LanguageData

    def __call__(self, model: ComposedModel) -> dict[str, float]:
        """Returns `validation_loss`."""
        return {"validation_loss": held_out_loss(model, self.module, self.data)}


def language_learner(
    backbone: Backbone,
    data: LanguageData,
    *,
    kind: str,
    module: Settings,
    training: TrainingSettings,
    seed: int,
    name: str,
    initial: TransferModule | None = None,
    checkpoint: Path | None = None,
    identity: str = "",
) -> Learner:
    """Returns the learner of a new language module.

    Args:
        backbone: What the module will act in.
        data: Its text.
        kind: Kind of the module.
        module: The kind's settings; a prompt without a text to start from gets the paper's.
        training: The training run.
        seed: Decides initialisation, order, and what is random in a row.
        name: Shown in progress and errors.
        initial: Where it starts (`begun`, or a merged module); it is trained itself. None: it begins anew.
        checkpoint: File to resume from; None: no checkpoints.
        identity: Hash of everything that decides the result.
    """
    built = initial or begun(backbone, kind=kind, module=module, language=data.language, seed=seed)
    built.provenance.role, built.provenance.language = "language", data.language
    return Learner(
        name,
        built,
        Composition(language=built),
        LanguageRows(data, batch_size=training.batch_size, seed=seed),
        training,
        seed=seed,
        validate=HeldOutLoss(built, data),
        checkpoint=checkpoint,
        identity=identity,
    )


def begun(backbone: Backbone, *, kind: str, module: Settings, language: str, seed: int) -> TransferModule:
    """Returns a language module as it is before any training."""
    return new_module(kind, language_module_settings(kind, module, language), backbone, seed=seed)


def held_out_loss(model: ComposedModel, module: TransferModule | None, data: LanguageData) -> float:
    """Returns the objective's loss on held-out text in nats per target token, with a module or without.

    Losses of different objectives are losses on different targets: they cannot be compared.
    """
    return mean_loss(model, Composition(language=module), data.validation)


def steps_per_epoch(data: LanguageData, settings: TrainingSettings) -> float:
    """Returns how many steps see all training chunks once."""
    return len(data.chunks) / settings.batch_size
