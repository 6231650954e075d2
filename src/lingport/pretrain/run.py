"""What the steps of a pretraining run share: model, data, optimisers, what is measured, the clock and the log.

Steps are `loop.py`'s. What only some recipes need is made when a stage first asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import MT5ForConditionalGeneration, PreTrainedTokenizerBase

from lingport.backbones.base import best_dtype
from lingport.backbones.heap import return_freed_memory
from lingport.pretrain.checkpoint import save_backbone, save_checkpoint
from lingport.pretrain.corpus import TokenText, language_shares
from lingport.pretrain.denoise import DENOISERS, Pieces, Row, denoising_row
from lingport.pretrain.instructions import Instructions
from lingport.pretrain.meaning import Meanings
from lingport.pretrain.measure import exact_match, fixed_rows, mean_loss
from lingport.pretrain.muon import StackedMuon
from lingport.pretrain.recipe import PretrainRecipe, Stage
from lingport.pretrain.things import Thing
from lingport.pretrain.topics import topics_of
from lingport.pretrain.word_vectors import WordVectors, shared_vectors

Progress = Callable[[dict[str, Any]], None]

CHECK_ROWS = 4  # per language in the small checks while training


@dataclass
class Clock:
    """Where a run stands; saved with every checkpoint."""

    stage: int = 0
    step: int = 0  # of the stage
    seconds: float = 0.0  # of the stage
    pools: int = 0
    position: int = 0  # next batch of the pool
    pool_fraction: float = 0.0
    total_steps: int = 0
    total_tokens: int = 0
    total_seconds: float = 0.0

    def fraction(self, stage: Stage) -> float:
        """How much of the stage is over, 0 to 1."""
        if stage.steps is not None:
            return self.step / stage.steps
        return self.seconds / (3600.0 * (stage.hours or 1.0))


@dataclass
class Run:
    """What the steps of a run share."""

    recipe: PretrainRecipe
    folder: Path
    tokenizer: PreTrainedTokenizerBase
    model: MT5ForConditionalGeneration
    corpus: dict[str, TokenText]
    held_out: dict[str, TokenText]
    things: list[Thing]
    progress: Progress | None
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.pieces = Pieces.of(self.tokenizer)
        self.shares = language_shares(self.recipe, self.corpus)
        self.languages = list(self.corpus)
        self.optimizers = _optimizers(self.model, self.recipe)
        self.checks = self._fixed_checks()

    def _fixed_checks(self) -> dict[str, list[Row]]:
        sizes = {"corrupt": self.recipe.validation.length, "copy": 16, "copy_random": 16, "mark": 48}
        return {
            name: [
                row
                for text in self.held_out.values()
                for row in fixed_rows(
                    name, text, self.pieces, num_rows=CHECK_ROWS, length=length, seed=self.recipe.seed
                )
            ]
            for name, length in sizes.items()
        }

    def make_row(self, name: str, longest: int, rng: np.random.Generator) -> Row:
        """Returns a row of a task of the mixture."""
        language = self.languages[rng.choice(len(self.languages), p=self.shares)]
        if name in DENOISERS:
            return denoising_row(name, self.corpus[language], self.pieces, longest=longest, rng=rng)
        return self.instructions.row(name, language, longest=longest, rng=rng)

    @cached_property
    def vectors(self) -> dict[str, WordVectors]:
        """Words of all languages in one space, of half of the model's width."""
        texts = {language: text.texts for language, text in self.corpus.items()}
        return shared_vectors(texts, self.things, dimensions=self.recipe.model.d_model // 2, seed=self.recipe.seed)

    @cached_property
    def instructions(self) -> Instructions:
        """The tasks put in words; made when a stage first asks for one."""
        topics = topics_of(self.recipe, self.corpus, lambda: self.vectors, self.folder / "topics")
        return Instructions(self.tokenizer, self.corpus, topics=topics)

    @cached_property
    def meanings(self) -> Meanings:
        """What texts are about; made when a stage first asks for it."""
        width, seed = self.recipe.model.d_model, self.recipe.seed
        meanings = Meanings(self.vectors, self.corpus, self.shares, self.things, self.tokenizer, width=width, seed=seed)
        path = self.folder / "directions.safetensors"
        if not path.exists():  # later the model says more than when they were chosen
            rng = np.random.default_rng((seed, 3))
            meanings.turn_towards(self.model, rng, num_tokens=self.recipe.stages[self.clock.stage].meaning_tokens)
            save_file({"directions": meanings.directions.contiguous()}, path)
        meanings.directions = load_file(path)["directions"]
        return meanings

    def prepare(self, stage: Stage) -> None:
        """Makes what a stage needs before its time begins."""
        if any(name not in DENOISERS for point in stage.curriculum for name in point.mixture):
            _ = self.instructions
        if stage.meaning or stage.meaning_start:
            _ = self.meanings
        return_freed_memory()

    def log(self, event: str, **values: Any) -> None:
        """Adds a line to the log, and tells the caller."""
        line = {"event": event, **values}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.progress is not None:
            self.progress(line)

    def checkpoint(self) -> None:
        """Saves all there is, and a snapshot of the model."""
        save_checkpoint(
            self.folder / "checkpoint",
            model=self.model,
            optimizers=self.optimizers,
            state={"clock": self.clock.__dict__, "recipe": self.recipe.model_dump(mode="json")},
        )
        save_backbone(self.model, self.tokenizer, self.folder / "snapshot")

    def measure(self) -> dict[str, float]:
        """Returns the small check: span-corruption loss and exact matches on held-out text, all languages."""
        with precision(self.recipe):
            scores = {"corrupt_loss": mean_loss(self.model, self.checks["corrupt"])}
            for name in ("copy", "copy_random", "mark"):
                scores[f"{name}_exact"] = exact_match(self.model, self.checks[name])
        return {name: round(value, 4) for name, value in scores.items()}


def product_dtype(recipe: PretrainRecipe) -> torch.dtype:
    """Returns what matrix products are computed in."""
    if recipe.bf16 is None:
        return best_dtype(torch.device("cpu"))
    return torch.bfloat16 if recipe.bf16 else torch.float32


def precision(recipe: PretrainRecipe) -> torch.autocast:
    """Returns the block within which products are computed as the recipe says."""
    return torch.autocast("cpu", torch.bfloat16, enabled=product_dtype(recipe) == torch.bfloat16)


def _optimizers(model: MT5ForConditionalGeneration, recipe: PretrainRecipe) -> dict[str, torch.optim.Optimizer]:
    """Block matrices to one optimiser, embeddings, norms and position biases to AdamW."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "shared" not in name and "relative" not in name
        (matrices if is_matrix else rest).append(parameter)
    if recipe.optimizer == "muon":
        blocks: torch.optim.Optimizer = StackedMuon(
            matrices, weight_decay=recipe.weight_decay, dtype=product_dtype(recipe)
        )
    else:
        blocks = torch.optim.AdamW(matrices, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True)
    others = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return {"blocks": blocks, "others": others}
