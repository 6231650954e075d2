"""Prefix language modelling as an objective: from the beginning of a text its rest.

T5 (Raffel et al. 2020, arXiv 1910.10683, section 3.3.1), as in the "LM adaptation" of Lester et al. 2021
(arXiv 2104.08691, section 3.3).
"""

from __future__ import annotations

import numpy as np

from lingport.data.batch import Row
from lingport.data.objectives.base import Objective


class PrefixLM(Objective):
    """A chunk is cut in two at a place drawn evenly: the first part is the input, the second the target.

    Difference from T5: the first part is never longer than `max_length`, where T5 chooses chunks short enough.
    """

    @property
    def _longest_prefix(self) -> int:
        return min(self.raw_length - 1, self.settings.max_length - 1)

    def max_spans(self) -> int:
        """Returns 0: no sentinel stands for what is missing at the end."""
        return 0

    def lengths(self) -> tuple[float, float]:
        """Returns the mean over all places where a chunk may be cut."""
        mean = (1 + self._longest_prefix) / 2
        return mean + 1, self.raw_length - mean + 1

    def make_row(self, chunk: np.ndarray, rng: np.random.Generator) -> Row:
        """Returns the two parts of a chunk; see `Objective.make_row`."""
        cut = int(rng.integers(1, self._longest_prefix + 1))
        ids = chunk.tolist()
        return Row([*ids[:cut], self.end_id], [*ids[cut:], self.end_id])
