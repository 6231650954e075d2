"""Where a vocabulary's embeddings start: from which pieces stand near which in raw text, all languages in one space.

A model would learn the same from more text than there is. Words and topics are `word_vectors.py`'s and `topics.py`'s.
"""

from __future__ import annotations

import logging

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingport.pretrain.cooccurrence import centred, information, neighbour_counts, reduced, unit
from lingport.pretrain.corpus import TokenText
from lingport.pretrain.topics import PIVOT
from lingport.pretrain.word_vectors import latin_letters

logger = logging.getLogger(__name__)

WINDOW = 12  # pieces to either side; a word has two or three
RAREST = 5  # occurrences of a piece in a language
WORD_START = "\u2581"
COGNATE_LETTERS = 4  # shorter pieces look alike by accident
NEIGHBOURS = 10  # of the hubness correction
ROUNDS = 4
MATCHED = 4000  # the most frequent pieces of either language


def piece_vectors(
    tokenizer: PreTrainedTokenizerBase, corpus: dict[str, TokenText], *, dimensions: int, seed: int
) -> np.ndarray:
    """Returns a vector (V, D) float32 of length 1 for every piece, zeros for those too rare in every language.

    Every language's own vectors are turned to English ones by pieces that look alike in Latin letters, and a piece
    of several languages has the mean of its vectors by the root of its counts. Source: ours, of `word_vectors.py`'s.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    total = np.zeros((len(tokenizer), dimensions), np.float32)
    pivot, pivot_kept = None, {}
    for language in sorted(corpus, key=lambda name: name != PIVOT):
        text = corpus[language]
        kept, counts, vectors = _of_language(text, len(tokenizer), dimensions=dimensions, seed=seed)
        looks = {
            (pieces[piece].startswith(WORD_START), latin_letters(pieces[piece])): row for row, piece in enumerate(kept)
        }
        if pivot is None:
            pivot, pivot_kept = vectors, looks
        else:
            seeds = {
                (row, pivot_kept[look])
                for look, row in looks.items()
                if look in pivot_kept and len(look[1]) >= COGNATE_LETTERS
            }
            vectors = vectors @ rotation(vectors, pivot, seeds)
            logger.info("%s: %s pieces, %s of them look like English ones", language, len(kept), len(seeds))
        total[kept] += vectors * np.sqrt(counts)[:, None]
    return unit(total)


def _of_language(
    text: TokenText, vocab_size: int, *, dimensions: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pieces of a language, most frequent first, their counts and their vectors."""
    counts = np.bincount(text.ids, minlength=vocab_size)
    kept = np.argsort(-counts, kind="stable")
    kept = kept[counts[kept] >= RAREST]
    rows = np.full(vocab_size, -1)
    rows[kept] = np.arange(len(kept))
    owner = np.repeat(np.arange(len(text.starts), dtype=np.int32), np.diff([*text.starts, len(text.ids)]))
    running = rows[text.ids]
    known = running >= 0
    together = neighbour_counts(running[known], owner[known], len(kept), window=WINDOW)
    vectors = reduced(information(together), dimensions, seed=seed)
    return kept, counts[kept], centred(vectors)


def rotation(own: np.ndarray, pivot: np.ndarray, seeds: set[tuple[int, int]]) -> np.ndarray:
    """Returns the orthogonal map (D, D) of one set of vectors to another; the most frequent come first in both.

    First from the given pairs, then from mutual nearest neighbours too, in a few rounds. Source: Artetxe, Labaka and
    Agirre (2018), A robust self-learning method for fully unsupervised cross-lingual mappings, here with a seed
    dictionary; hubness correction (CSLS) of Conneau et al. (2018), section 2.3.

    Args:
        own: Vectors (N, D).
        pivot: Vectors (M, D).
        seeds: Pairs of rows that mean the same.
    """
    first, second = own[:MATCHED], pivot[:MATCHED]
    turn, pairs = np.eye(own.shape[1], dtype=np.float32), seeds
    for round_number in range(ROUNDS):
        if round_number:
            pairs = seeds | _mutual_nearest(first @ turn, second)
        if not pairs:  # nothing in common, so no map is better than another
            break
        chosen = np.asarray(sorted(pairs))
        left, _, right = np.linalg.svd(own[chosen[:, 0]].T @ pivot[chosen[:, 1]])
        turn = left @ right
    return turn


def _mutual_nearest(first: np.ndarray, second: np.ndarray) -> set[tuple[int, int]]:
    near = first @ second.T
    k = min(NEIGHBOURS, *near.shape)
    rows = np.partition(near, -k, axis=1)[:, -k:].mean(1)
    columns = np.partition(near, -k, axis=0)[-k:].mean(0)
    near = 2 * near - rows[:, None] - columns[None]
    forth, back = near.argmax(1), near.argmax(0)
    return {(row, int(column)) for row, column in enumerate(forth) if back[column] == row}
