"""Span corruption, exactly as T5 defines it, on arrays of token ids.

Pure arithmetic on ids under a seeded generator: no tokenizer, no files, no batches. Lengths are exact, so that
nothing is ever padded or cut after corruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lingport.errors import ConfigError, DataError

NOISE_DENSITY = 0.15
MEAN_SPAN_LENGTH = 3.0


class Corrupted(NamedTuple):
    """The two sides of one corrupted chunk: `input_ids` (S,) and `target_ids` (T,), int64, each with its end."""

    input_ids: np.ndarray
    target_ids: np.ndarray


class NoiseCounts(NamedTuple):
    """How many tokens of a chunk are noise, and in how many spans."""

    num_noise: int
    num_spans: int


def noise_counts(
    length: int, *, density: float = NOISE_DENSITY, mean_span_length: float = MEAN_SPAN_LENGTH
) -> NoiseCounts:
    """Returns the numbers of noise tokens and of noise spans of a chunk of `length` tokens, rounded.

    Both are at least 1, and one token at least stays; every noise span has a non-noise span of one token or more
    before it, so there are never more spans than tokens that stay. Rounding is to the nearest integer, halves to
    the even one (as Python's and numpy's `round`). Source: T5 (Raffel et al. 2020), appendix on span corruption.

    Raises:
        DataError: The chunk has fewer than two tokens.
    """
    if length < 2:
        raise DataError(f"a chunk of {length} tokens cannot be corrupted", hint="chunks have 2 tokens or more")
    num_noise = min(max(round(length * density), 1), length - 1)
    num_spans = max(round(num_noise / mean_span_length), 1)
    return NoiseCounts(num_noise, min(num_spans, num_noise, length - num_noise))


def corrupted_lengths(
    raw_length: int, *, density: float = NOISE_DENSITY, mean_span_length: float = MEAN_SPAN_LENGTH
) -> tuple[int, int]:
    """Returns the lengths (input, target) of a corrupted chunk, the end-of-sequence tokens counted.

    The input is the tokens that stay, one sentinel a span, and the end; the target is the noise tokens, one
    sentinel a span, and the end.
    """
    num_noise, num_spans = noise_counts(raw_length, density=density, mean_span_length=mean_span_length)
    return raw_length - num_noise + num_spans + 1, num_noise + num_spans + 1


def raw_length(max_length: int, *, density: float = NOISE_DENSITY, mean_span_length: float = MEAN_SPAN_LENGTH) -> int:
    """Returns the largest chunk length whose corrupted input has at most `max_length` tokens.

    With the method's settings 256 gives 284 (input 256 exactly, target 58).

    Args:
        max_length: Longest input, the end-of-sequence token counted.
        density: Share of noise tokens, in (0, 1).
        mean_span_length: Mean number of tokens of a noise span.

    Raises:
        ConfigError: No chunk of two tokens or more fits.
    """
    check_noise(density, mean_span_length)

    def fits(length: int) -> bool:
        lengths = corrupted_lengths(length, density=density, mean_span_length=mean_span_length)
        return lengths[0] <= max_length

    if max_length < 3 or not fits(2):
        raise ConfigError(f"no chunk of text can be corrupted to {max_length} tokens", hint="give 4 tokens or more")
    # one more raw token changes the input's length by -1, 0 or +1, so the last that fits is searched from above
    length = int(max_length / (1.0 - density)) + 2
    while not fits(length):
        length -= 1
    return length


def check_noise(density: float, mean_span_length: float) -> None:
    """Refuses settings that mean nothing.

    Raises:
        ConfigError: `density` is not between 0 and 1, or `mean_span_length` is below 1.
    """
    if not 0.0 < density < 1.0:
        raise ConfigError(f"noise density {density} is not between 0 and 1", hint="T5 uses 0.15")
    if mean_span_length < 1.0:
        raise ConfigError(f"mean span length {mean_span_length} is below 1", hint="T5 uses 3")


def segment_lengths(total: int, parts: int, *, rng: np.random.Generator) -> np.ndarray:
    """Returns `parts` positive lengths (parts,) that add up to `total`; every such segmentation is equally likely.

    A segmentation is the choice of `parts - 1` of the `total - 1` borders between neighbours.
    """
    borders = rng.choice(total - 1, size=parts - 1, replace=False) + 1 if parts > 1 else np.empty(0, np.int64)
    return np.diff(np.sort(borders), prepend=0, append=total)


def noise_mask(
    length: int,
    *,
    rng: np.random.Generator,
    density: float = NOISE_DENSITY,
    mean_span_length: float = MEAN_SPAN_LENGTH,
) -> np.ndarray:
    """Returns a mask (length,) of bool, true where a token is noise; spans alternate non-noise, noise.

    The first token always stays, the last is always noise. Source: T5 (Raffel et al. 2020).
    """
    num_noise, num_spans = noise_counts(length, density=density, mean_span_length=mean_span_length)
    noise = segment_lengths(num_noise, num_spans, rng=rng)
    kept = segment_lengths(length - num_noise, num_spans, rng=rng)
    return np.repeat(np.tile([False, True], num_spans), np.stack([kept, noise], axis=1).ravel())


def apply_mask(token_ids: np.ndarray, mask: np.ndarray, *, sentinel_ids: Sequence[int], end_id: int) -> Corrupted:
    """Returns both sides of a chunk under a noise mask.

    Input: every noise span gives way to the next sentinel. Target: every sentinel is followed by the tokens it
    stands for. Both close with `end_id`; no final sentinel is added.

    Args:
        token_ids: The chunk (L,), without special tokens.
        mask: True where a token is noise (L,).
        sentinel_ids: Sentinels in the order of use (`<extra_id_0>` first).
        end_id: The end-of-sequence token.

    Raises:
        DataError: There are more spans than sentinels.
    """
    starts = np.flatnonzero(mask & ~np.r_[False, mask[:-1]])
    if len(starts) > len(sentinel_ids):
        raise DataError(
            f"{len(starts)} noise spans, but the vocabulary has {len(sentinel_ids)} sentinels",
            hint="use shorter chunks or longer spans",
        )
    token_ids = np.asarray(token_ids, dtype=np.int64)
    sentinels = np.asarray(sentinel_ids, dtype=np.int64)[: len(starts)]
    marked = token_ids.copy()
    marked[starts] = sentinels
    kept = ~mask
    kept[starts] = True
    noise = np.flatnonzero(mask)
    target = np.insert(token_ids[noise], np.searchsorted(noise, starts), sentinels)
    return Corrupted(np.append(marked[kept], end_id), np.append(target, end_id))


def corrupt(
    token_ids: np.ndarray,
    *,
    sentinel_ids: Sequence[int],
    end_id: int,
    rng: np.random.Generator,
    density: float = NOISE_DENSITY,
    mean_span_length: float = MEAN_SPAN_LENGTH,
) -> Corrupted:
    """Returns one chunk after span corruption. Source: T5 (Raffel et al. 2020).

    Args:
        token_ids: The chunk (L,), L of 2 or more, without special tokens.
        sentinel_ids: Sentinels in the order of use (`<extra_id_0>` first).
        end_id: The end-of-sequence token, put at the end of both sides.
        rng: Source of chance; the same state gives the same corruption.
        density: Share of noise tokens.
        mean_span_length: Mean number of tokens of a noise span.

    Raises:
        DataError: The chunk is too short, or needs more sentinels than there are.
    """
    mask = noise_mask(len(token_ids), rng=rng, density=density, mean_span_length=mean_span_length)
    return apply_mask(token_ids, mask, sentinel_ids=sentinel_ids, end_id=end_id)


def restore(corrupted: Corrupted, *, sentinel_ids: Sequence[int]) -> np.ndarray:
    """Returns the chunk (L,) that both sides were made from; the inverse of `apply_mask`.

    Raises:
        DataError: The target does not answer the input's sentinels, in order.
    """
    known = {int(sentinel) for sentinel in sentinel_ids}
    spans: dict[int, list[int]] = {}
    current: list[int] | None = None
    for token in corrupted.target_ids[:-1].tolist():
        if token in known:
            current = spans.setdefault(token, [])
        elif current is None:
            raise DataError("the target does not begin with a sentinel")
        else:
            current.append(token)
    asked = [token for token in corrupted.input_ids.tolist() if token in known]
    if asked != list(spans):
        raise DataError("the target's sentinels are not those of the input")
    pieces = [spans.get(token, [token]) for token in corrupted.input_ids[:-1].tolist()]
    return np.asarray([token for piece in pieces for token in piece], dtype=np.int64)


def check_sentinels(sentinel_ids: Sequence[int]) -> list[int]:
    """Returns sentinel ids as a list after checking that they descend one by one from `<extra_id_0>`.

    Raises:
        DataError: They are none, repeat, or do not descend by one.
    """
    ids = [int(sentinel) for sentinel in sentinel_ids]
    if not ids or ids != list(range(ids[0], ids[0] - len(ids), -1)):
        raise DataError(
            f"sentinel ids {ids[:4]}... do not descend one by one",
            hint="give them in the order <extra_id_0>, <extra_id_1>, ...",
        )
    return ids
