"""The training loop of pretraining: `pretrain` turns a recipe into a backbone folder.

It resumes from the checkpoint in its output folder, writes its log as JSON lines, and publishes snapshots that
transformers can load while it goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lingport.errors import TrainingError
from lingport.pretrain.backbone import new_backbone, read_backbone, start_from_text
from lingport.pretrain.checkpoint import load_checkpoint, save_backbone
from lingport.pretrain.corpus import encode_texts, read_texts, vocabulary_texts
from lingport.pretrain.even_heads import carry_summaries, hold_even_heads
from lingport.pretrain.forward import token_losses
from lingport.pretrain.mixture import TokenBatch, pool
from lingport.pretrain.piece_vectors import piece_vectors
from lingport.pretrain.recipe import PretrainRecipe, Stage, read_recipe
from lingport.pretrain.run import Clock, Progress, Run, precision
from lingport.pretrain.things import known_things
from lingport.pretrain.vocabulary import PAD_ID, train_vocabulary

CLIP_NORM = 1.0


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


def _step(run: Run, stage: Stage, batch: TokenBatch) -> torch.Tensor:
    """Takes a step; its losses (2,): of the tasks' tokens, and of what texts are about."""
    clock = run.clock
    factor = rate_factor(stage, clock.fraction(stage))
    rates = {"blocks": stage.learning_rate, "others": stage.embedding_rate}
    rng = np.random.default_rng((run.recipe.seed, 1, clock.stage, clock.step))
    candidates, correction = _candidates(batch, stage, run.model.config.vocab_size, rng)
    with precision(run.recipe):
        loss = token_losses(
            run.model,
            batch.input_ids,
            batch.input_mask,
            batch.labels,
            candidates=candidates,
            correction=correction,
        ).mean()
        about = torch.zeros(())
        if stage.meaning:
            about = run.meanings.loss(run.model, rng, num_tokens=stage.meaning_tokens)
    (loss + stage.meaning * about).backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), CLIP_NORM)
    for name, optimizer in run.optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = rates[name] * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return torch.stack([loss.detach(), about.detach()])


def _train_stage(run: Run, stage: Stage) -> None:
    clock = run.clock
    run.prepare(stage)
    if stage.meaning_start and not clock.step:
        run.meanings.add_to_embeddings(run.model, np.random.default_rng((run.recipe.seed, 2, clock.stage)))
    if stage.summaries and not clock.step:
        num_heads, seed = run.recipe.model.even_heads, run.recipe.seed
        within = run.meanings.directions if stage.meaning else None
        carry_summaries(run.model, run.corpus, num_heads, share=stage.summaries, seed=seed, within=within)
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


def _report(run: Run, stage: Stage, recent: list[torch.Tensor]) -> None:
    """Logs the mean loss of the steps since the last report and a small check; clock time counts it."""
    if not recent:
        return
    loss, about = torch.stack(recent).mean(0).tolist()
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
        **({"meaning_loss": round(about, 4)} if stage.meaning else {}),
        **scores,
    )


def _tokenizer(recipe: PretrainRecipe, folder: Path, texts: dict[str, list[str]]) -> PreTrainedTokenizerBase:
    place = Path(recipe.start or recipe.vocabulary.path or folder / "vocabulary")
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
    things = known_things(recipe.languages, annotations=recipe.annotations, dictionaries=recipe.dictionaries)
    texts = read_texts(recipe, split="train")
    tokenizer = _tokenizer(recipe, folder, texts)
    corpus = encode_texts(tokenizer, texts)
    held_out = encode_texts(tokenizer, read_texts(recipe, split="validation"))
    if recipe.start:
        model = read_backbone(recipe.start, recipe.model)
    else:
        model = new_backbone(recipe.model, vocab_size=len(tokenizer), seed=recipe.seed)
    if not recipe.start and recipe.model.embedding_start == "mixed" and not (folder / "checkpoint").exists():
        start_from_text(model, piece_vectors(tokenizer, corpus, dimensions=recipe.model.d_model, seed=recipe.seed))
    run = Run(recipe, folder, tokenizer, model, corpus, held_out, things, progress)
    settings = recipe.model_dump(mode="json")
    if (folder / "checkpoint").exists():
        state = load_checkpoint(folder / "checkpoint", model=model, optimizers=run.optimizers)
        if not _continues(settings, state["recipe"], stage=state["clock"]["stage"]):
            raise TrainingError(
                "the folder holds a run of another recipe",
                where=str(folder),
                hint="take another output folder, or delete this one",
            )
        run.clock = Clock(**state["clock"])
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
