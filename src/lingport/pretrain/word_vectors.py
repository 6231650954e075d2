"""Word vectors of raw text, and the vectors of many languages turned into one space.

Counts and linear algebra only, a minute for a language. What they are for is `topics.py`'s business.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from anyascii import anyascii
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

_WORD = re.compile(r"[^\W\d_]+")
_NOT_LATIN = re.compile(r"[^a-z]")
WINDOW = 8  # words to either side that count as context
MOST_WORDS = 10_000
RAREST = 4  # occurrences
DIMENSIONS = 160
COGNATE_LETTERS = 4  # shorter words look alike by accident
FREQUENT = 3e-4  # share of all words at which a word counts half in the vector of a text
NEIGHBOURS = 10  # of the hubness correction
ROUNDS = 4
MATCHED_WORDS = 4000  # the most frequent ones of either language


def stems(text: str) -> list[str]:
    """Returns the words of a text in lower case without their endings, or pairs of characters of Chinese text.

    The ending is crude: the last three letters of a word of eight or more, less of shorter ones, so that the
    cases of a Slavic noun count as one word.
    """
    found = []
    for word in _WORD.findall(text.lower()):
        if "\u3040" <= word[0] <= "\u9fff":
            found += [word[place : place + 2] for place in range(max(len(word) - 1, 1))]
        else:
            found.append(word[: max(5, len(word) - 3)])
    return found


@dataclass(frozen=True)
class WordVectors:
    """Words of one language: `ids` word -> row, `vectors` (N, D) float32 of length 1, `counts` (N,)."""

    ids: dict[str, int]
    vectors: np.ndarray
    counts: np.ndarray

    def rows(self, text: str) -> list[int]:
        """Returns the rows of the known words of a text."""
        return [self.ids[word] for word in stems(text) if word in self.ids]

    def of_texts(self, rows: list[list[int]]) -> np.ndarray:
        """Returns one vector (T, D) per text, of length 1 or 0: the mean of its words', frequent ones counting less.

        Source: Arora, Liang and Ma (2017), A simple but tough-to-beat baseline for sentence embeddings, equation 3.

        Args:
            rows: The texts' known words, as `rows` gives them.
        """
        weights = FREQUENT / (FREQUENT + self.counts / self.counts.sum())
        found = np.zeros((len(rows), self.vectors.shape[1]), np.float32)
        for index, words in enumerate(rows):
            found[index] = weights[words] @ self.vectors[words]
        return unit(found)


def word_vectors(texts: list[str], *, seed: int = 0) -> WordVectors:
    """Returns vectors of the words of one language from which words stand near which; see `cooccurrence_vectors`."""
    split = [stems(text) for text in texts]
    counts = Counter(word for words in split for word in words)
    known = [(word, count) for word, count in counts.most_common(MOST_WORDS) if count >= RAREST]
    ids = {word: row for row, (word, _) in enumerate(known)}
    rows = np.fromiter((ids.get(word, -1) for words in split for word in words), np.int32)
    owner = np.repeat(np.arange(len(split), dtype=np.int32), [len(words) for words in split])
    rows, owner = rows[rows >= 0], owner[rows >= 0]
    vectors = cooccurrence_vectors(rows, owner, len(ids), window=WINDOW, dimensions=DIMENSIONS, seed=seed)
    return WordVectors(ids, vectors, np.asarray([count for _, count in known], np.float32))


def cooccurrence_vectors(
    rows: np.ndarray, owner: np.ndarray, number: int, *, window: int, dimensions: int, seed: int
) -> np.ndarray:
    """Returns vectors (number, D) float32 of length 1 of what stands near what.

    Positive pointwise mutual information with smoothed contexts, reduced by a singular value decomposition.
    Source: Levy and Goldberg (2014), Neural Word Embedding as Implicit Matrix Factorization; smoothing by 0.75
    and square roots of the singular values from Levy, Goldberg and Dagan (2015), sections 3.1 and 3.3.

    Args:
        rows: Running text (N,) as numbers below `number`.
        owner: The text (N,) that each belongs to; nothing is near what is in another text.
        number: How many different things there are.
        window: Places to either side that count as near.
        dimensions: D.
        seed: Of the decomposition.
    """
    together = sparse.csr_matrix((number, number), dtype=np.float32)
    for distance in range(1, window + 1):
        same = owner[:-distance] == owner[distance:]
        pair = (rows[:-distance][same], rows[distance:][same])
        together = together + sparse.coo_matrix((np.ones(same.sum(), np.float32), pair), shape=together.shape).tocsr()
    pairs = (together + together.T).tocoo()
    contexts = np.bincount(pairs.col, pairs.data, number) ** 0.75
    contexts *= pairs.data.sum() / contexts.sum()
    words = np.bincount(pairs.row, pairs.data, number)
    information = np.log(pairs.data * pairs.data.sum() / (words[pairs.row] * contexts[pairs.col]))
    positive = information > 0
    matrix = sparse.coo_matrix(
        (information[positive], (pairs.row[positive], pairs.col[positive])), shape=(number, number), dtype=np.float32
    )
    left, sizes, _ = randomized_svd(matrix.tocsr(), min(dimensions, number - 1), n_iter=3, random_state=seed)  # pyright: ignore[reportArgumentType]
    vectors = unit((left * np.sqrt(sizes)).astype(np.float32))
    return unit(vectors - vectors.mean(0))


def aligned(own: WordVectors, pivot: WordVectors, names: list[tuple[str, str]]) -> WordVectors:
    """Returns a language's vectors turned so that words which mean the same lie near the pivot's.

    An orthogonal map, first from names known in both languages and words that look alike in Latin letters, then
    from mutual nearest neighbours too, in a few rounds. Source: Artetxe, Labaka and Agirre (2018), A robust
    self-learning method for fully unsupervised cross-lingual mappings, here with a seed dictionary; hubness
    correction (CSLS) of Conneau et al. (2018), section 2.3.

    Args:
        own: The language's vectors.
        pivot: The vectors to turn them to, of the same width.
        names: Pairs (own name, pivot's name); names of several words are left out.
    """
    seeds = _cognates(own, pivot)
    for name, other in names:
        found = own.rows(name), pivot.rows(other)
        if len(found[0]) == len(stems(name)) == 1 and len(found[1]) == len(stems(other)) == 1:
            seeds.add((found[0][0], found[1][0]))
    return WordVectors(own.ids, own.vectors @ rotation(own.vectors, pivot.vectors, seeds), own.counts)


def rotation(own: np.ndarray, pivot: np.ndarray, seeds: set[tuple[int, int]]) -> np.ndarray:
    """Returns the orthogonal map (D, D) of one set of vectors to another; the most frequent come first in both.

    Args:
        own: Vectors (N, D).
        pivot: Vectors (M, D).
        seeds: Pairs of rows that mean the same.
    """
    first, second = own[:MATCHED_WORDS], pivot[:MATCHED_WORDS]
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


def _cognates(own: WordVectors, pivot: WordVectors) -> set[tuple[int, int]]:
    romanised = {latin_letters(word): row for word, row in reversed(pivot.ids.items())}
    found = set()
    for word, row in own.ids.items():
        latin = latin_letters(word)
        if len(latin) >= COGNATE_LETTERS and latin in romanised:
            found.add((row, romanised[latin]))
    return found


def _mutual_nearest(first: np.ndarray, second: np.ndarray) -> set[tuple[int, int]]:
    near = first @ second.T
    k = min(NEIGHBOURS, *near.shape)
    rows = np.partition(near, -k, axis=1)[:, -k:].mean(1)
    columns = np.partition(near, -k, axis=0)[-k:].mean(0)
    near = 2 * near - rows[:, None] - columns[None]
    forth, back = near.argmax(1), near.argmax(0)
    return {(row, int(column)) for row, column in enumerate(forth) if back[column] == row}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns rows made of length 1; rows of zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def latin_letters(word: str) -> str:
    """Returns a word as its sounds are written in the letters a to z, about."""
    return _NOT_LATIN.sub("", anyascii(word).lower())
