"""Training in bfloat16: what the fast path changes is less than what another seed changes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.training_curves import Curves, curves
from lingport.backbones.base import Backbone


def test_curves_of_the_fast_and_the_plain_path_stay_within_the_spread_of_seeds():
    found = curves(Backbone.load("nano", dtype="bfloat16", device="cpu"), "adapter", seeds=3, steps=9, every=3)
    assert found.fast.shape == found.plain.shape == (3, 3)
    assert (found.plain[:, -1] < found.plain[:, 0] - 0.02).all()  # they learn
    assert not np.array_equal(found.fast, found.plain)
    assert found.within_spread


def test_curves_that_differ_as_much_as_seeds_do_are_outside():
    plain = np.asarray([[4.0, 3.0], [4.1, 3.1], [4.2, 3.2]])
    other = plain + np.asarray([0.0, 0.3])
    assert Curves(plain + 0.01, plain).within_spread
    assert not Curves(other, plain).within_spread
    assert Curves(other, plain).apart == pytest.approx([0.0, 0.3])
