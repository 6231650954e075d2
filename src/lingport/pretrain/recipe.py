"""The settings of a pretraining recipe: texts, vocabulary, shape of the model, stages, validation.

Only settings; unknown keys are errors. Reading texts is `corpus.py`'s job, training `loop.py`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lingport.config.data import TextSource
from lingport.errors import ConfigError


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LanguageText(_Settings):
    """Raw text of one language, and how much of the mixture it is."""

    text: TextSource = Field(description="Where the raw text is: a path, a list of paths, or a full source.")
    weight: float = Field(default=1.0, gt=0, description="Multiplies the language's share in everything.")


class Vocabulary(_Settings):
    """How the unigram vocabulary is trained."""

    size: int = Field(default=16000, ge=400, description="Pieces, with 256 bytes and 100 sentinels.")
    characters: int = Field(
        default=400_000, ge=1, description="Characters of training text per language (times its weight)."
    )
    coverage: float = Field(default=0.9995, gt=0, le=1, description="Share of characters with own pieces.")
    required: list[str] = Field(default_factory=list, description="Pieces that stay whole; U+2581 before a word.")
    path: str | None = Field(
        default=None, description="Folder of a tokenizer to take instead of training one; None: train."
    )


class ModelShape(_Settings):
    """The mT5 model's shape and how its weights start."""

    d_model: int = Field(default=192, ge=8, description="Width D.")
    d_kv: int = Field(default=32, ge=4, description="Width of a head.")
    d_ff: int = Field(default=512, ge=8, description="Inner width of the gated feed-forward layer.")
    num_layers: int = Field(default=4, ge=1, description="Encoder blocks.")
    num_decoder_layers: int = Field(default=3, ge=1, description="Decoder blocks.")
    num_heads: int = Field(default=6, ge=1, description="Heads of every attention.")
    embedding_std: float = Field(default=0.1, gt=0, description="Start of the tied embeddings, N(0, std).")
    embedding_start: Literal["normal", "mixed"] = Field(
        default="normal",
        description="How the embeddings start. normal: N(0, std); mixed: half of the variance from which pieces "
        "stand near which in the text.",
    )
    even_heads: int = Field(
        default=0, ge=0, description="Heads of every cross-attention that look evenly at the whole input, always."
    )
    output_scale: float = Field(
        default=0.1, ge=0, description="Start of what blocks add to the residual stream, times the usual one."
    )
    neighbour_bias: float = Field(
        default=5.0,
        description="Relative position bias at the start by which encoder heads 0, 1, 2 look at offsets "
        "-1, +1, -2 and decoder head 0 at -1; 0: none.",
    )


class Point(_Settings):
    """The mixture at one moment of a stage; between two points it moves linearly."""

    at: float = Field(ge=0, le=1, description="Where in the stage, 0 start to 1 end.")
    mixture: dict[str, float] = Field(description="Task -> weight of its rows; weights need not sum to 1.")
    length: int = Field(ge=4, le=512, description="Longest raw chunk, in pieces; lengths are drawn up to it.")


class Stage(_Settings):
    """One stage: how long, what of, how fast."""

    name: str = Field(description="Name in the log.")
    hours: float | None = Field(default=None, gt=0, description="Duration by the clock; or `steps`.")
    steps: int | None = Field(default=None, ge=1, description="Duration in optimiser steps (reproducible).")
    curriculum: list[Point] = Field(min_length=1, description="Mixtures over the stage, `at` ascending.")
    batch_tokens: int = Field(default=4096, ge=64, description="Source and target places of one step, padded.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Peak rate of the block matrices.")
    embedding_rate: float = Field(default=2e-3, gt=0, description="Peak rate of embeddings, norms, biases.")
    warmup: float = Field(default=0.02, ge=0, lt=1, description="Share of the stage the rate rises from 0.")
    decay: float = Field(default=0.0, ge=0, le=1, description="Last share of the stage in which it falls.")
    end_factor: float = Field(default=0.0, ge=0, le=1, description="Rate at the end over the peak rate.")
    summaries: float = Field(
        default=0.0,
        ge=0,
        description="At its start, even heads are made to carry what the encoder says of whole texts, so large beside "
        "the decoder's state; 0: they are left as they are.",
    )
    meaning: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the loss by which the mean of the encoder's states says what a text is about; 0: none.",
    )
    meaning_start: bool = Field(
        default=False, description="At its start, what pieces say of what texts are about is added to their embeddings."
    )
    meaning_tokens: int = Field(default=2048, ge=64, description="Source tokens of that loss in a step, about.")
    candidates: int = Field(
        default=2048, ge=0, description="Random vocabulary entries scored beside the batch's; 0: all entries."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.hours is None) == (self.steps is None):
            raise ValueError("give a stage either `hours` or `steps`")
        places = [point.at for point in self.curriculum]
        if places != sorted(set(places)) or places[0] != 0.0:
            raise ValueError("`at` of the curriculum starts at 0 and ascends")
        if self.warmup + self.decay > 1:
            raise ValueError("`warmup` and `decay` together are at most 1")
        return self


class Validation(_Settings):
    """What is measured on unseen text, and how often."""

    share: float = Field(default=0.01, gt=0, lt=0.5, description="Share of texts held out, by hash.")
    every_minutes: float = Field(default=2.0, gt=0, description="Between two small checks while training.")
    length: int = Field(default=72, ge=8, description="Raw chunk length of the held-out span corruption.")
    rows: int = Field(default=200, ge=1, description="Rows per language and figure in the final table.")


class PretrainRecipe(_Settings):
    """Everything that makes a backbone."""

    kind: Literal["pretrain"] = "pretrain"
    languages: dict[str, LanguageText] = Field(min_length=1, description="Language code -> its raw text.")
    language_alpha: float = Field(
        default=0.5, ge=0, le=1, description="A language's share is its number of pieces to this power."
    )
    start: str | None = Field(
        default=None,
        description="Folder of a backbone of the model's shape to go on from, with its vocabulary; None: anew.",
    )
    annotations: str | None = Field(
        default=None,
        description="Folder with LANGUAGE/annotations.json of Unicode CLDR: words for things in many languages, by "
        "which languages are brought together besides the demo's names.",
    )
    dictionaries: str | None = Field(
        default=None,
        description="Folder with bilingual dictionaries of the FreeDict project (freedict-deu-eng.index, .dict.dz): "
        "words of two languages that mean the same, to the same end.",
    )
    vocabulary: Vocabulary = Vocabulary()
    model: ModelShape = ModelShape()
    optimizer: Literal["muon", "adamw"] = Field(
        default="muon", description="For the block matrices; all else is AdamW's."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="Of the block matrices.")
    stages: list[Stage] = Field(min_length=1)
    validation: Validation = Validation()
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="Between two checkpoints.")
    bf16: bool | None = Field(
        default=None,
        description="Matrix products in bfloat16, weights kept in float32; None: where the processor computes in it.",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; None: torch's choice.")
    seed: int = Field(default=1, ge=0)


def read_recipe(source: str | Path | dict[str, Any]) -> PretrainRecipe:
    """Returns a checked recipe from a YAML file or a mapping.

    Raises:
        ConfigError: The file is missing or no YAML, a key is unknown, or a value is not allowed; all problems
            are named at once.
    """
    where = None if isinstance(source, dict) else str(source)
    try:
        settings = source if isinstance(source, dict) else yaml.safe_load(Path(source).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the recipe cannot be read: {error}", where=where) from error
    try:
        return PretrainRecipe.model_validate(settings)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']}" for item in error.errors()
        ]
        raise ConfigError("; ".join(problems), where=where, hint="see recipes/nano.yaml") from error
