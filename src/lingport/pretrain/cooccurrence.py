"""What stands near what in running text: counts, information, and few coordinates for it. Linear algebra only."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

Sparse = Any  # scipy's sparse arrays: its type hints do not know their shapes
SMOOTHING = 0.75  # of how often a context turns up


def neighbour_counts(rows: np.ndarray, owner: np.ndarray, number: int, *, window: int) -> Sparse:
    """Returns how often (number, number) each thing stands near each other one.

    Args:
        rows: Running text (N,) as numbers below `number`.
        owner: The text (N,) that each belongs to; nothing is near what is in another text.
        number: How many different things there are.
        window: Places to either side that count as near.
    """
    together = sparse.csr_array((number, number), dtype=np.float32)
    for distance in range(1, window + 1):
        same = owner[:-distance] == owner[distance:]
        pair = (rows[:-distance][same], rows[distance:][same])
        together = together + sparse.coo_array((np.ones(same.sum(), np.float32), pair), shape=together.shape).tocsr()
    return (together + together.T).tocsr()


def information(counts: Sparse) -> Sparse:
    """Returns the positive pointwise mutual information (N, C) of counts (N, C), with smoothed contexts.

    Source: Levy and Goldberg (2014), Neural Word Embedding as Implicit Matrix Factorization; smoothing by 0.75 from
    Levy, Goldberg and Dagan (2015), section 3.1.
    """
    pairs = counts.tocoo()
    contexts = np.bincount(pairs.col, pairs.data, pairs.shape[1]) ** SMOOTHING
    contexts *= pairs.data.sum() / max(contexts.sum(), 1.0)
    words = np.bincount(pairs.row, pairs.data, pairs.shape[0])
    found = np.log(pairs.data * pairs.data.sum() / (words[pairs.row] * contexts[pairs.col]))
    positive = found > 0
    places = (pairs.row[positive], pairs.col[positive])
    return sparse.coo_array((found[positive], places), shape=pairs.shape, dtype=np.float32).tocsr()


def reduced(matrix: Sparse, dimensions: int, *, seed: int) -> np.ndarray:
    """Returns rows (N, D) float32 of length 1 for a matrix's (N, C): its singular value decomposition.

    Source: square roots of the singular values from Levy, Goldberg and Dagan (2015), section 3.3.

    Args:
        matrix: What there is to say of each row.
        dimensions: D; fewer where the matrix has fewer.
        seed: Of the decomposition.
    """
    dimensions = min(dimensions, *(side - 1 for side in matrix.shape))
    left, sizes, _ = randomized_svd(matrix, dimensions, n_iter=3, random_state=seed)  # pyright: ignore[reportArgumentType]
    return unit((left * np.sqrt(sizes)).astype(np.float32))


def centred(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of length 1 about their mean; rows of zeros, of which nothing is known, stay."""
    known = vectors.any(1, keepdims=True)
    return unit(np.where(known, vectors - vectors.sum(0) / max(known.sum(), 1), 0.0).astype(np.float32))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns rows made of length 1; rows of zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
