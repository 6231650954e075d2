"""Where a vocabulary's embeddings start: from which pieces stand near which in raw text, all languages in one space.

A model would learn the same from more text than there is. Words and topics are `word_vectors.py`'s and `topics.py`'s.
"""

from __future__ import annotations

import logging

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingport.pretrain.corpus import TokenText
from lingport.pretrain.topics import PIVOT
from lingport.pretrain.word_vectors import COGNATE_LETTERS, cooccurrence_vectors, latin_letters, rotation, unit

logger = logging.getLogger(__name__)

WINDOW = 12  # pieces to either side; a word has two or three
RAREST = 5  # occurrences of a piece in a language
WORD_START = "\u2581"


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
    vectors = cooccurrence_vectors(
        running[known], owner[known], len(kept), window=WINDOW, dimensions=dimensions, seed=seed
    )
    return kept, counts[kept], vectors
