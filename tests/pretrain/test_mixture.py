"""Batches: under the budget, nothing lost, the same for the same seed; mixtures move between their points."""

from __future__ import annotations

import numpy as np
import pytest

from lingport.pretrain.denoise import Row
from lingport.pretrain.forward import IGNORED
from lingport.pretrain.mixture import moment, pack, pool
from lingport.pretrain.recipe import Point, Stage

STAGE = Stage(
    name="x",
    steps=10,
    batch_tokens=200,
    curriculum=[
        Point(at=0.0, mixture={"copy": 1.0}, length=10),
        Point(at=0.5, mixture={"copy": 0.0, "corrupt": 2.0}, length=30),
    ],
)


def row_of(name: str, longest: int, rng: np.random.Generator) -> Row:
    ids = rng.integers(5, 99, int(rng.integers(2, longest + 1)))
    return Row(ids, ids[::-1])


def test_mixture_and_length_move_linearly():
    half_way = moment(STAGE, 0.25)
    assert half_way.mixture == {"copy": pytest.approx(0.5), "corrupt": pytest.approx(1.0)}
    assert half_way.length == 20
    assert moment(STAGE, 0.9).mixture == {"copy": 0.0, "corrupt": 2.0}


def test_packing_keeps_every_row_and_the_budget():
    rng = np.random.default_rng(0)
    rows = [row_of("copy", 40, rng) for _ in range(100)]
    batches = pack(rows, batch_tokens=200, pad=0, rng=rng)
    found = []
    for batch in batches:
        assert batch.input_ids.numel() + batch.labels.numel() <= 200
        for ids, mask, labels in zip(batch.input_ids, batch.input_mask, batch.labels, strict=True):
            found.append((tuple(ids[mask.bool()].tolist()), tuple(labels[labels != IGNORED].tolist())))
    assert sorted(found) == sorted((tuple(row.source.tolist()), tuple(row.target.tolist())) for row in rows)


def test_a_pool_depends_on_its_seed_alone():
    first, again, other = (pool(row_of, STAGE, fraction=0.3, seed=seed, pad=0) for seed in ((1, 2), (1, 2), (1, 3)))
    assert [batch.input_ids.tolist() for batch in first] == [batch.input_ids.tolist() for batch in again]
    assert [batch.input_ids.tolist() for batch in first] != [batch.input_ids.tolist() for batch in other]
