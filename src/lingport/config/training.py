"""How a module is trained: the settings, and the paper's values for each role and kind (method, section 3).

Not here: the loop (`lingport.train`), and what is particular to language modules (`language.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model, field_validator

from lingport.config.modules import ModuleSettings, Settings


class TrainingSettings(Settings):
    """One training run."""

    steps: int = Field(50_000, ge=0, description="Optimiser steps; 0 leaves the module as it starts.")
    batch_size: int = Field(32, ge=1, description="Rows of a step.")
    tokens_at_once: int | Literal["auto"] | None = Field(
        None,
        description="Most tokens that are computed at once, inputs and targets counted; a step's rows are sorted by "
        "length and taken in parts. auto: as many as the memory that is free now holds. Null: as many as make a step "
        "fast.",
    )
    gradient_checkpointing: bool = Field(
        False,
        description="Keep only what enters each block of the backbone and compute the rest again in the backward pass: "
        "less memory, more time. Not for `full`.",
    )
    optimizer: Literal["adamw", "adafactor"] = Field("adamw", description="AdamW, or Adafactor at a given rate.")
    learning_rate: float = Field(5e-5, gt=0, description="Rate at the start (after the warm-up).")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
    clip_norm: float | None = Field(1.0, gt=0, description="Largest norm of a step's gradient; null: any.")
    schedule: Literal["linear", "constant"] = Field("linear", description="linear: decays to 0 at the last step.")
    warmup_steps: int = Field(0, ge=0, description="Steps in which the rate grows from 0.")
    backbone_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Dropout within the frozen backbone in training; null: the backbone's own.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of a target's probability that is spread over the whole vocabulary."
    )
    selection: Literal["score", "loss", "last"] = Field(
        "last", description="Which state is kept: best by the task's score, by validation loss, or the last."
    )
    evaluate_every: int = Field(1000, ge=1, description="Steps between two validations.")
    patience: int | None = Field(None, ge=1, description="Stop after so many validations without a better one.")
    validation_limit: int | None = Field(None, ge=1, description="At most so many validation rows; null: all.")
    checkpoint_every: int = Field(1000, ge=1, description="Steps between two checkpoints to resume from.")

    @field_validator("tokens_at_once")
    @classmethod
    def _at_least_one_token(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError("at least 1 token must be computed at once")
        return value


#: settings that change how long a training takes or what it needs, not what comes out
NOT_RESULT = {"checkpoint_every", "gradient_checkpointing"}

_ADAPTER: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 5e-5, "weight_decay": 0.0}
_PROMPT: dict[str, Any] = {"optimizer": "adafactor", "learning_rate": 0.5, "weight_decay": 1e-5}
_LANGUAGE: dict[str, Any] = {"steps": 100_000, "selection": "last"}
_TASK: dict[str, Any] = {"steps": 50_000, "selection": "score"}
# Not the paper's: a few examples allow no long training, and nothing to choose a state by. Source: ours.
_FEW_SHOT: dict[str, Any] = {"steps": 100, "batch_size": 8, "selection": "last"}


def _with_defaults(name: str, doc: str, defaults: dict[str, Any]) -> type[TrainingSettings]:
    # A model of its own per role and kind, so that a recipe says only what differs from the paper.
    fields: dict[str, Any] = {}
    for key, value in defaults.items():
        known = TrainingSettings.model_fields[key]
        limited = Annotated[known.annotation, *known.metadata] if known.metadata else known.annotation
        fields[key] = (limited, Field(value, description=known.description))
    return create_model(name, __base__=TrainingSettings, __doc__=doc, **fields)


LanguageAdapterTraining = _with_defaults("LanguageAdapterTraining", "Language adapter.", _LANGUAGE | _ADAPTER)
LanguagePromptTraining = _with_defaults("LanguagePromptTraining", "Language prompt.", _LANGUAGE | _PROMPT)
TaskAdapterTraining = _with_defaults("TaskAdapterTraining", "Task adapter.", _TASK | _ADAPTER)
TaskPromptTraining = _with_defaults("TaskPromptTraining", "Task prompt.", _TASK | _PROMPT)
TaskFullTraining = _with_defaults("TaskFullTraining", "Full fine-tuning.", _TASK | _ADAPTER)
FewShotAdapterTraining = _with_defaults("FewShotAdapterTraining", "Adapter, few-shot.", _FEW_SHOT | _ADAPTER)
FewShotPromptTraining = _with_defaults("FewShotPromptTraining", "Prompt, few-shot.", _FEW_SHOT | _PROMPT)
FewShotFullTraining = _with_defaults("FewShotFullTraining", "Full fine-tuning, few-shot.", _FEW_SHOT | _ADAPTER)


class TaskTraining(Settings):
    """Training of task modules, per kind."""

    adapter: TaskAdapterTraining = Field(default_factory=TaskAdapterTraining)  # pyright: ignore
    prompt: TaskPromptTraining = Field(default_factory=TaskPromptTraining)  # pyright: ignore
    full: TaskFullTraining = Field(default_factory=TaskFullTraining)  # pyright: ignore
    modules: ModuleSettings = ModuleSettings()
    num_examples: int | None = Field(
        None,
        ge=1,
        description="Training examples of each source language, a sample that the seed draws; a larger number holds "
        "the smaller sample. Null: all.",
    )

    def of(self, kind: str) -> TrainingSettings:
        """Returns the settings of a kind."""
        return getattr(self, kind)


class FewShotTraining(Settings):
    """Training of task modules on a few examples of the target language, per kind."""

    adapter: FewShotAdapterTraining = Field(default_factory=FewShotAdapterTraining)  # pyright: ignore
    prompt: FewShotPromptTraining = Field(default_factory=FewShotPromptTraining)  # pyright: ignore
    full: FewShotFullTraining = Field(default_factory=FewShotFullTraining)  # pyright: ignore

    def of(self, kind: str) -> TrainingSettings:
        """Returns the settings of a kind."""
        return getattr(self, kind)
