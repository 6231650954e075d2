"""Raw text as chunks of token ids.

Reading text is `text.py`; what is learnt from a chunk is in `objectives/`.
Shapes: N chunks, L raw tokens of a chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

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
