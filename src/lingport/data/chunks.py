"""Raw text as chunks of token ids, and chunks as rows of span corruption.

Reading text is `text.py`, the corruption itself `corruption.py`.
Shapes: N chunks, L raw tokens of a chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lingport.data.batch import Row
from lingport.data.corruption import corrupt
from lingport.data.order import generator
from lingport.errors import DataError

_TEXTS_AT_ONCE = 1000


def token_chunks(tokenizer: Any, texts: Iterable[str], *, length: int, where: str) -> np.ndarray:
    """Returns the texts, put one after another, in chunks (N, L) of token ids; the last partial chunk is left out.

    Args:
        tokenizer: The backbone's.
        texts: Documents or sentences.
        length: L.
        where: What the texts are called in an error.

    Raises:
        DataError: The text does not fill one chunk.
    """
    texts = iter(texts)
    ids: list[np.ndarray] = []
    while part := list(itertools.islice(texts, _TEXTS_AT_ONCE)):
        for encoded in tokenizer(part, add_special_tokens=False).input_ids:
            ids.append(np.asarray(encoded, dtype=np.int32))
    tokens = np.concatenate(ids) if ids else np.empty(0, np.int32)
    num_chunks = len(tokens) // length
    if num_chunks == 0:
        raise DataError(
            f"{len(tokens)} tokens of text do not fill one chunk of {length}",
            where=where,
            hint="give more text, or shorten objective.max_length",
        )
    return tokens[: num_chunks * length].reshape(num_chunks, length)


def corrupted_row(
    chunk: np.ndarray,
    *,
    sentinel_ids: Sequence[int],
    end_id: int,
    density: float,
    mean_span_length: float,
    key: Sequence[str | int],
) -> Row:
    """Returns a chunk (L,) after span corruption as a row; the key decides which tokens are masked."""
    found = corrupt(
        chunk,
        sentinel_ids=sentinel_ids,
        end_id=end_id,
        rng=generator(*key),
        density=density,
        mean_span_length=mean_span_length,
    )
    return Row(found.input_ids.tolist(), found.target_ids.tolist())
