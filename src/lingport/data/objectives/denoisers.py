"""UL2's mixture of denoisers as an objective: regular, extreme and sequential denoising, one for each row.

UL2 (Tay et al. 2022, arXiv 2205.05131, section 3.1 and table 1).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lingport.data.batch import Row
from lingport.data.corruption import apply_mask, corrupted_lengths, noise_counts, noise_mask
from lingport.data.objectives.base import Objective

#: (mean span length, noise density) of the regular denoisers, then of the extreme ones
REGULAR = ((3.0, 0.15), (8.0, 0.15))
EXTREME = ((3.0, 0.5), (8.0, 0.5), (64.0, 0.15), (64.0, 0.5))
#: mean share of a chunk that the sequential denoiser hides, one span at the end
SEQUENTIAL = 0.25


class MixtureOfDenoisers(Objective):
    """The seven denoisers of table 1, each as likely as the others.

    Differences from UL2: no mode token is put before the input, since a module must act on plain text; the lengths
    of spans are drawn as in T5, not from a normal distribution; a hidden end is long enough for its input to fit
    `max_length`. `noise_density` and `mean_span_length` of the settings decide the length of the chunks alone.
    """

    def _noises(self) -> Iterator[dict[str, float]]:
        for mean_span_length, density in (*REGULAR, *EXTREME):
            yield {"density": density, "mean_span_length": mean_span_length}

    @property
    def _suffixes(self) -> tuple[int, int]:
        """Lengths of the shortest and of the longest hidden end; evenly between them, the mean is the paper's."""
        shortest = max(1, self.raw_length + 2 - self.settings.max_length)
        return shortest, max(shortest, min(round(2 * SEQUENTIAL * self.raw_length) - shortest, self.raw_length - 1))

    def max_spans(self) -> int:
        """Returns the number of spans of the denoiser that makes most."""
        return max(noise_counts(self.raw_length, **noise).num_spans for noise in self._noises())

    def lengths(self) -> tuple[float, float]:
        """Returns the mean over the seven denoisers."""
        suffix = sum(self._suffixes) / 2
        pairs = [corrupted_lengths(self.raw_length, **noise) for noise in self._noises()]
        pairs.append((self.raw_length - suffix + 2, suffix + 2))  # pyright: ignore[reportArgumentType] - means
        inputs, targets = zip(*pairs, strict=True)
        return sum(inputs) / len(pairs), sum(targets) / len(pairs)

    def make_row(self, chunk: np.ndarray, rng: np.random.Generator) -> Row:
        """Returns a chunk under one of the denoisers; see `Objective.make_row`."""
        noises = list(self._noises())
        which = int(rng.integers(len(noises) + 1))
        if which < len(noises):
            mask = noise_mask(len(chunk), rng=rng, **noises[which])
        else:
            shortest, longest = self._suffixes
            mask = np.arange(len(chunk)) >= len(chunk) - int(rng.integers(shortest, longest + 1))
        found = apply_mask(chunk, mask, sentinel_ids=self.sentinel_ids, end_id=self.end_id)
        return Row(found.input_ids.tolist(), found.target_ids.tolist())
