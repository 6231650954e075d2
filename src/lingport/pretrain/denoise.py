"""Denoising tasks on pieces of raw text: span corruption, giving the input back, giving a marked span back.

Tasks here work on token ids and know no words; tasks put in words are in `instructions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingport.data.corruption import corrupt
from lingport.pretrain.corpus import TokenText
from lingport.pretrain.vocabulary import END, MARKS, NUM_BYTES, NUM_SENTINELS, sentinel_name

LONGEST_MARKED = 5


class Row(NamedTuple):
    """One training row: ids of the source and of the target, both with their end."""

    source: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Pieces:
    """The ids that denoising needs of a tokenizer in the layout of `vocabulary.py`."""

    end: int
    marks: tuple[int, int]
    sentinels: list[int]
    first: int
    stop: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Pieces:
        """Returns the ids of a tokenizer that `train_vocabulary` made."""
        ids = tokenizer.get_vocab()
        return cls(
            end=ids[END],
            marks=(ids[MARKS[0]], ids[MARKS[1]]),
            sentinels=[ids[sentinel_name(index)] for index in range(NUM_SENTINELS)],
            first=3 + NUM_BYTES,
            stop=len(tokenizer) - NUM_SENTINELS,
        )


def _closed(ids: np.ndarray, pieces: Pieces) -> np.ndarray:
    return np.append(ids, pieces.end)


def corrupted(chunk: np.ndarray, pieces: Pieces, rng: np.random.Generator) -> Row:
    """Returns a chunk under T5's span corruption."""
    return Row(*corrupt(chunk, sentinel_ids=pieces.sentinels, end_id=pieces.end, rng=rng))


def copied(chunk: np.ndarray, pieces: Pieces, rng: np.random.Generator) -> Row:
    """Returns a chunk to be given back whole."""
    return Row(_closed(chunk, pieces), _closed(chunk, pieces))


def copied_random(chunk: np.ndarray, pieces: Pieces, rng: np.random.Generator) -> Row:
    """Returns as many random pieces of the vocabulary to be given back: only copying helps there."""
    return copied(rng.integers(pieces.first, pieces.stop, len(chunk)), pieces, rng)


def marked(chunk: np.ndarray, pieces: Pieces, rng: np.random.Generator) -> Row:
    """Returns a chunk with brackets around 1 to 5 pieces, and these pieces as the target."""
    return marked_span(chunk, pieces, rng, length=int(rng.integers(1, min(LONGEST_MARKED, len(chunk)) + 1)))


def marked_span(chunk: np.ndarray, pieces: Pieces, rng: np.random.Generator, *, length: int) -> Row:
    """Returns a chunk with brackets around `length` of its pieces, and these pieces as the target."""
    chunk = np.where(np.isin(chunk, pieces.marks), pieces.first, chunk)  # brackets of the text's own
    start = int(rng.integers(0, len(chunk) - length + 1))
    span = chunk[start : start + length]
    source = np.concatenate(
        [chunk[:start], [pieces.marks[0]], span, [pieces.marks[1]], chunk[start + length :], [pieces.end]]
    )
    return Row(source, _closed(span, pieces))


def marked_random(chunk: np.ndarray, pieces: Pieces, rng: np.random.Generator) -> Row:
    """Returns random pieces of the vocabulary with a marked span."""
    return marked(rng.integers(pieces.first, pieces.stop, len(chunk)), pieces, rng)


def reordered(chunk: np.ndarray, pieces: Pieces, rng: np.random.Generator) -> Row:
    """Returns a chunk in which one piece in seven was swapped with its right neighbour, to be put right."""
    mixed = chunk.copy()
    for place in np.flatnonzero(rng.random(len(chunk) - 1) < 1 / 7):
        mixed[[place, place + 1]] = mixed[[place + 1, place]]
    return Row(_closed(mixed, pieces), _closed(chunk, pieces))


Denoiser = Callable[[np.ndarray, Pieces, np.random.Generator], Row]
DENOISERS: dict[str, Denoiser] = {
    "corrupt": corrupted,
    "copy": copied,
    "copy_random": copied_random,
    "mark": marked,
    "mark_random": marked_random,
    "reorder": reordered,
}


def denoising_row(name: str, text: TokenText, pieces: Pieces, *, longest: int, rng: np.random.Generator) -> Row:
    """Returns one row of a denoising task on a random chunk of 2 to `longest` pieces.

    Lengths are uniform, but span corruption, which needs context, draws from the upper half.
    """
    shortest = max(longest // 2, 4) if name == "corrupt" else 2
    chunk = text.chunk(int(rng.integers(shortest, longest + 1)), rng=rng)
    return DENOISERS[name](chunk.astype(np.int64), pieces, rng)
