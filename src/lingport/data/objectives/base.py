"""The contract of an objective: how a chunk of raw text becomes a row to learn from.

One file per objective; pure arithmetic on token ids. Not here: reading and cutting text (`chunks.py`).
Shapes: L raw tokens of a chunk, S source tokens, T target tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from lingport.config.language import ObjectiveSettings
from lingport.data.batch import Row
from lingport.data.corruption import raw_length
from lingport.data.order import generator
from lingport.errors import ConfigError
from lingport.registry import Registry

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective",
    {
        "span_corruption": "lingport.data.objectives.span_corruption:SpanCorruption",
        "prefix_lm": "lingport.data.objectives.prefix_lm:PrefixLM",
        "denoisers": "lingport.data.objectives.denoisers:MixtureOfDenoisers",
    },
)


class Objective(ABC):
    """What a language module learns from raw text.

    Args:
        settings: The recipe's.
        sentinel_ids: The backbone's sentinels, first sentinel first.
        end_id: The backbone's end-of-sequence token.

    Attributes:
        raw_length: L. The same for every objective under the same settings, that of span corruption: all of them
            see the same chunks in the same order, so that they are compared at an equal budget of text.

    Raises:
        ConfigError: The settings fit no chunk.
    """

    def __init__(self, settings: ObjectiveSettings, *, sentinel_ids: Sequence[int], end_id: int) -> None:
        self.settings = settings
        self.sentinel_ids = sentinel_ids
        self.end_id = end_id
        self.raw_length = raw_length(
            settings.max_length, density=settings.noise_density, mean_span_length=settings.mean_span_length
        )
        needed = self.max_spans()
        if needed > len(sentinel_ids):
            raise ConfigError(
                f"the objective {settings.name!r} needs {needed} sentinels for chunks of {self.raw_length} tokens, "
                f"the vocabulary has {len(sentinel_ids)}",
                hint="lower objective.max_length",
            )

    @abstractmethod
    def max_spans(self) -> int:
        """Returns the largest number of spans, and so of sentinels, that a row may have."""

    @abstractmethod
    def lengths(self) -> tuple[float, float]:
        """Returns the expected tokens (input, target) of a row, both with their end-of-sequence token."""

    @abstractmethod
    def make_row(self, chunk: np.ndarray, rng: np.random.Generator) -> Row:
        """Returns a chunk (L,) as a row of at most `max_length` input tokens, its ends included.

        Args:
            chunk: Token ids without special tokens.
            rng: The only source of chance.
        """

    def row(self, chunk: np.ndarray, *key: str | int) -> Row:
        """Returns a chunk (L,) as a row; the key decides all that is random in it."""
        return self.make_row(chunk, generator(*key))


def new_objective(settings: ObjectiveSettings, *, sentinel_ids: Sequence[int], end_id: int) -> Objective:
    """Returns the objective that the settings name; see `Objective`."""
    return OBJECTIVES.get(settings.name)(settings, sentinel_ids=sentinel_ids, end_id=end_id)
