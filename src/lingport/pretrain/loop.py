"""The training loop of pretraining: `pretrain` turns a recipe into a backbone folder.

It resumes from the checkpoint in its output folder, writes its log as JSON lines, and publishes snapshots that
transformers can load while it goes on.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import AutoTokenizer, MT5ForConditionalGeneration, PreTrainedTokenizerBase

from lingport.errors import TrainingError
from lingport.pretrain.backbone import new_backbone, start_from_text
from lingport.pretrain.checkpoint import load_checkpoint, save_backbone, save_checkpoint
from lingport.pretrain.corpus import (
    TokenText,
    encode_texts,
    language_shares,
    read_texts,
    vocabulary_texts,
)
from lingport.pretrain.denoise import DENOISERS, Pieces, Row, denoising_row
from lingport.pretrain.even_heads import carry_summaries, hold_even_heads
from lingport.pretrain.forward import token_losses
from lingport.pretrain.measure import exact_match, fixed_rows, mean_loss
from lingport.pretrain.mixture import TokenBatch, pool
from lingport.pretrain.muon import StackedMuon
from lingport.pretrain.piece_vectors import piece_vectors
from lingport.pretrain.recipe import PretrainRecipe, Stage, read_recipe
from lingport.pretrain.topics import topics_of
from lingport.pretrain.vocabulary import PAD_ID, train_vocabulary

logger = logging.getLogger(__name__)

Progress = Callable[[dict[str, Any]], None]

CLIP_NORM = 1.0
CHECK_ROWS = 4  # per language in the small checks while training


@dataclass
class _Clock:
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
class _Run:
    """What the steps of a run share."""

    recipe: PretrainRecipe
    folder: Path
    tokenizer: PreTrainedTokenizerBase
    model: MT5ForConditionalGeneration
    corpus: dict[str, TokenText]
    held_out: dict[str, TokenText]
    progress: Progress | None
    clock: _Clock = field(default_factory=_Clock)

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

    @property
    def instructions(self) -> Any:
        """The tasks put in words; made when a stage first asks for one."""
        if not hasattr(self, "_instructions"):
            from lingport.pretrain.instructions import Instructions

            topics = topics_of(self.recipe, self.corpus, self.folder / "topics")
            self._instructions = Instructions(self.tokenizer, self.corpus, topics=topics)
        return self._instructions

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
        with _precision(self.recipe):
            scores = {"corrupt_loss": mean_loss(self.model, self.checks["corrupt"])}
            for name in ("copy", "copy_random", "mark"):
                scores[f"{name}_exact"] = exact_match(self.model, self.checks[name])
        return {name: round(value, 4) for name, value in scores.items()}


def _precision(recipe: PretrainRecipe) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16)


def _optimizers(model: MT5ForConditionalGeneration, recipe: PretrainRecipe) -> dict[str, torch.optim.Optimizer]:
    """Block matrices to one optimiser, embeddings, norms and position biases to AdamW."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "shared" not in name and "relative" not in name
        (matrices if is_matrix else rest).append(parameter)
    if recipe.optimizer == "muon":
        blocks: torch.optim.Optimizer = StackedMuon(matrices, weight_decay=recipe.weight_decay)
    else:
        blocks = torch.optim.AdamW(matrices, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True)
    others = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return {"blocks": blocks, "others": others}


def rate_factor(stage: Stage, fraction: float) -> float:
    """Returns the learning rate over its peak at a fraction (0 to 1) of a stage: up, flat, linearly down."""
    if fraction < stage.warmup:
        return max(fraction / stage.warmup, 0.01)
    if fraction <= 1.0 - stage.decay or not stage.decay:
        return 1.0
    left = max(1.0 - fraction, 0.0) / stage.decay
    return stage.end_factor + (1.0 - stage.end_factor) * left


def _candidates(
    batch: TokenBatch, stage: Stage, vocab_size: int, rng: np.random.Generator
) -> tuple[torch.Tensor | None, float]:
    if not stage.candidates:
        return None, 0.0
    drawn = rng.integers(0, vocab_size, stage.candidates)
    candidates = np.union1d(batch.targets, drawn)
    others = len(candidates) - len(batch.targets)
    correction = math.log((vocab_size - len(batch.targets)) / max(others, 1))
    return torch.from_numpy(candidates), correction


def _step(run: _Run, stage: Stage, batch: TokenBatch) -> torch.Tensor:
    clock = run.clock
    factor = rate_factor(stage, clock.fraction(stage))
    rates = {"blocks": stage.learning_rate, "others": stage.embedding_rate}
    rng = np.random.default_rng((run.recipe.seed, 1, clock.stage, clock.step))
    candidates, correction = _candidates(batch, stage, run.model.config.vocab_size, rng)
    with _precision(run.recipe):
        loss = token_losses(
            run.model,
            batch.input_ids,
            batch.input_mask,
            batch.labels,
            candidates=candidates,
            correction=correction,
        ).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), CLIP_NORM)
    for name, optimizer in run.optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = rates[name] * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def _train_stage(run: _Run, stage: Stage) -> None:
    clock = run.clock
    if stage.summaries and not clock.step:
        num_heads, seed = run.recipe.model.even_heads, run.recipe.seed
        carry_summaries(run.model, run.corpus, num_heads, share=stage.summaries, seed=seed)
    recent: list[torch.Tensor] = []
    batches: list[TokenBatch] = []
    checked = saved = clock.total_seconds
    while clock.fraction(stage) < 1.0:
        started = time.monotonic()
        if not batches:
            if clock.position == 0:
                clock.pool_fraction = min(clock.fraction(stage), 1.0)
            seed = (run.recipe.seed, 0, clock.stage, clock.pools)
            batches = pool(
                run.make_row,
                stage,
                fraction=clock.pool_fraction,
                seed=seed,
                pad=PAD_ID,
            )
        batch = batches[clock.position]
        recent.append(_step(run, stage, batch))
        clock.position += 1
        if clock.position == len(batches):
            batches, clock.position = [], 0
            clock.pools += 1
        clock.step += 1
        clock.total_steps += 1
        clock.total_tokens += batch.num_tokens
        spent = time.monotonic() - started
        clock.seconds += spent
        clock.total_seconds += spent
        if clock.total_seconds - checked > 60.0 * run.recipe.validation.every_minutes:
            checked = clock.total_seconds
            _report(run, stage, recent)
        if clock.total_seconds - saved > 60.0 * run.recipe.checkpoint_minutes:
            saved = clock.total_seconds
            run.checkpoint()
    _report(run, stage, recent)
    clock.stage, clock.step, clock.seconds, clock.pools, clock.position = clock.stage + 1, 0, 0.0, 0, 0
    run.checkpoint()


def _report(run: _Run, stage: Stage, recent: list[torch.Tensor]) -> None:
    """Logs the mean loss of the steps since the last report and a small check; clock time counts it."""
    if not recent:
        return
    loss = float(torch.stack(recent).mean())
    recent.clear()
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} at step {run.clock.total_steps}",
            where=str(run.folder),
            hint="lower the learning rates; the checkpoint before it is kept",
        )
    clock = run.clock
    started = time.monotonic()
    scores = run.measure()
    clock.seconds += time.monotonic() - started
    clock.total_seconds += time.monotonic() - started
    run.log(
        "train",
        stage=stage.name,
        fraction=round(clock.fraction(stage), 4),
        step=clock.total_steps,
        tokens=clock.total_tokens,
        seconds=round(clock.total_seconds, 1),
        rate=round(rate_factor(stage, clock.fraction(stage)), 4),
        loss=round(loss, 4),
        **scores,
    )


def _tokenizer(recipe: PretrainRecipe, folder: Path, texts: dict[str, list[str]]) -> PreTrainedTokenizerBase:
    place = Path(recipe.vocabulary.path) if recipe.vocabulary.path else folder / "vocabulary"
    if not place.exists():
        settings = recipe.vocabulary
        tokenizer = train_vocabulary(
            vocabulary_texts(recipe, texts),
            size=settings.size,
            coverage=settings.coverage,
            required=settings.required,
        )
        tokenizer.save_pretrained(place)
    return AutoTokenizer.from_pretrained(place)


def _continues(settings: dict[str, Any], saved: dict[str, Any], *, stage: int) -> bool:
    """Whether a recipe says what the saved one said of all that was done; later stages may differ."""
    done = [{**each, "stages": each["stages"][: stage + 1]} for each in (settings, saved)]
    if stage >= len(saved["stages"]):
        done[0]["stages"] = done[0]["stages"][:stage]
    return done[0] == done[1]


def pretrain(
    recipe: str | Path | dict[str, Any] | PretrainRecipe,
    out_dir: str | Path,
    progress: Progress | None = None,
) -> Path:
    """Makes a backbone as a recipe says; returns the folder of the model in transformers' format.

    `out_dir` gets recipe.yaml, vocabulary/, log.jsonl, checkpoint/, snapshot/ and at the end backbone/. Called again
    after a stop, it goes on from the checkpoint; a run by `steps` then ends in the same weights.

    Args:
        recipe: A YAML file, a mapping, or a checked recipe.
        out_dir: Folder of the run.
        progress: Called with every line of the log.

    Raises:
        ConfigError: The recipe is not allowed.
        DataError: A text file is missing or malformed.
        TrainingError: The loss is not finite, or the folder holds a run of another recipe.
    """
    recipe = recipe if isinstance(recipe, PretrainRecipe) else read_recipe(recipe)
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with _process_settings(recipe.threads):
        return _pretrain(recipe, folder, progress)


@contextmanager
def _process_settings(threads: int | None) -> Iterator[None]:
    """Threads of the recipe and no denormal numbers, within the block only: others in the process have their own."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def _pretrain(recipe: PretrainRecipe, folder: Path, progress: Progress | None) -> Path:
    started = time.monotonic()
    texts = read_texts(recipe, split="train")
    tokenizer = _tokenizer(recipe, folder, texts)
    corpus = encode_texts(tokenizer, texts)
    held_out = encode_texts(tokenizer, read_texts(recipe, split="validation"))
    model = new_backbone(recipe.model, vocab_size=len(tokenizer), seed=recipe.seed)
    if recipe.model.embedding_start == "mixed" and not (folder / "checkpoint").exists():
        start_from_text(model, piece_vectors(tokenizer, corpus, dimensions=recipe.model.d_model, seed=recipe.seed))
    run = _Run(recipe, folder, tokenizer, model, corpus, held_out, progress)
    settings = recipe.model_dump(mode="json")
    if (folder / "checkpoint").exists():
        state = load_checkpoint(folder / "checkpoint", model=model, optimizers=run.optimizers)
        if not _continues(settings, state["recipe"], stage=state["clock"]["stage"]):
            raise TrainingError(
                "the folder holds a run of another recipe",
                where=str(folder),
                hint="take another output folder, or delete this one",
            )
        run.clock = _Clock(**state["clock"])
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), "utf-8")
    hold_even_heads(model, recipe.model.even_heads)
    run.log(
        "start",
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        pieces=sum(len(text.ids) for text in corpus.values()),
        threads=torch.get_num_threads(),
        preparation_seconds=round(time.monotonic() - started, 1),
        step=run.clock.total_steps,
    )
    model.train()
    for stage in recipe.stages[run.clock.stage :]:
        _train_stage(run, stage)
    save_backbone(model, tokenizer, folder / "backbone")
    return folder / "backbone"
