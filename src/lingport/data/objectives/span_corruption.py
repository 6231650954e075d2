"""Span corruption as an objective: parts of the text give way to sentinels, and are to be given back.

T5 (Raffel et al. 2020, arXiv 1910.10683, section 3.3.4); the arithmetic is in `lingport.data.corruption`.
"""

from __future__ import annotations

import numpy as np

from lingport.data.batch import Row
from lingport.data.corruption import corrupt, corrupted_lengths, noise_counts
from lingport.data.objectives.base import Objective


class SpanCorruption(Objective):
    """T5's objective: spans of `mean_span_length` tokens, `noise_density` of all tokens."""

    @property
    def _noise(self) -> dict[str, float]:
        return {"density": self.settings.noise_density, "mean_span_length": self.settings.mean_span_length}

    def max_spans(self) -> int:
        """Returns the number of spans, which is the same for every chunk."""
        return noise_counts(self.raw_length, **self._noise).num_spans

    def lengths(self) -> tuple[float, float]:
        """Returns the exact tokens of every row."""
        return corrupted_lengths(self.raw_length, **self._noise)

    def make_row(self, chunk: np.ndarray, rng: np.random.Generator) -> Row:
        """Returns a corrupted chunk; see `Objective.make_row`."""
        found = corrupt(chunk, sentinel_ids=self.sentinel_ids, end_id=self.end_id, rng=rng, **self._noise)
        return Row(found.input_ids.tolist(), found.target_ids.tolist())
