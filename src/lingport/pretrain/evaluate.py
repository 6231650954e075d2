"""The table that goes with a backbone: what it can do on unseen text, per language.

It reads the finished folder as a user would (AutoModel, AutoTokenizer, generate). Not here: the small checks
while training (`measure.py`), and scores on tasks.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from lingport.pretrain.corpus import TokenText, encode_texts, read_texts
from lingport.pretrain.denoise import LONGEST_MARKED, Pieces, Row, marked_span
from lingport.pretrain.measure import fixed_rows, mean_loss, unigram_loss
from lingport.pretrain.mixture import collate
from lingport.pretrain.recipe import PretrainRecipe
from lingport.pretrain.vocabulary import PAD_ID

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 64
MARKED_LENGTH = 48  # pieces of the text that a marked span stands in
BASELINE_ROWS = 2000


@torch.no_grad()
def generated_match(model: Any, rows: list[Row]) -> float:
    """Returns the share (0 to 1) of rows whose target greedy generation gives back exactly."""
    right = 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        batch = collate(part, pad=PAD_ID)
        longest = max(len(row.target) for row in part)
        output = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.input_mask.long(),
            max_new_tokens=longest,
            num_beams=1,
            do_sample=False,
        )
        for row, ids in zip(part, output[:, 1:].tolist(), strict=True):
            right += ids[: len(row.target)] == row.target.tolist()
    return right / len(rows)


def marked_rows(text: TokenText, pieces: Pieces, *, span: int, num_rows: int, seed: int) -> list[Row]:
    """Returns rows from all over a held-out text, each with a marked span of exactly `span` pieces."""
    rng = np.random.default_rng((seed, span))
    places = np.linspace(0, max(len(text.ids) - MARKED_LENGTH, 0), num_rows).astype(int)
    chunks = (text.ids[start : start + MARKED_LENGTH].astype(np.int64) for start in places)
    return [marked_span(chunk, pieces, rng, length=span) for chunk in chunks]


def evaluate_backbone(folder: str | Path, recipe: PretrainRecipe) -> dict[str, Any]:
    """Returns the table of a backbone: per language, and the mean over languages.

    `loss`: held-out span-corruption loss in nats per target token; `unigram`: the same of the unigram
    distribution of target tokens, counted over corrupted training text of the language; `marked_<n>`: share of
    marked spans of n pieces in unseen text that greedy generation gives back exactly, `marked`: their mean.

    Args:
        folder: The backbone in transformers' format.
        recipe: The recipe it was made by, which says what text is unseen.

    Raises:
        DataError: A text file is missing or malformed.
    """
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pieces = Pieces.of(tokenizer)
    held_out = encode_texts(tokenizer, read_texts(recipe, split="validation"))
    trained_on = read_texts(recipe, split="train")
    settings = recipe.validation
    table = {}
    for language, text in held_out.items():
        rows = fixed_rows("corrupt", text, pieces, num_rows=settings.rows, length=settings.length, seed=recipe.seed)
        sample = encode_texts(tokenizer, {language: trained_on[language][:: _stride(trained_on[language])]})
        training_rows = fixed_rows(
            "corrupt",
            sample[language],
            pieces,
            num_rows=BASELINE_ROWS,
            length=settings.length,
            seed=recipe.seed + 1,
        )
        targets = np.concatenate([row.target for row in training_rows])
        scores = {
            "loss": mean_loss(model, rows),
            "unigram": unigram_loss(rows, counts=np.bincount(targets, minlength=len(tokenizer))),
        }
        for span in range(1, LONGEST_MARKED + 1):
            num_rows = max(settings.rows // LONGEST_MARKED, 1)
            scores[f"marked_{span}"] = generated_match(
                model, marked_rows(text, pieces, span=span, num_rows=num_rows, seed=recipe.seed)
            )
        scores["marked"] = float(np.mean([scores[f"marked_{span}"] for span in range(1, LONGEST_MARKED + 1)]))
        table[language] = {name: round(value, 4) for name, value in scores.items()}
        logger.info("%s: %s", language, table[language])
    mean = {name: float(np.mean([row[name] for row in table.values()])) for name in next(iter(table.values()))}
    return {
        "validation": settings.model_dump(),
        "marked_text_length": MARKED_LENGTH,
        "languages": table,
        "mean": {name: round(value, 4) for name, value in mean.items()},
    }


def _stride(texts: list[str]) -> int:
    return max(len(texts) // (4 * BASELINE_ROWS), 1)
