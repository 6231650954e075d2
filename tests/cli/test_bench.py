"""`lingport bench`: what is measured, that sides which disagree are told apart, and the records."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from lingport.backbones import shapes
from lingport.bench import measure as bench
from lingport.bench.limit import Limit, products
from lingport.bench.measure import LENGTHS, OURS, PEERS, PLAIN, RECOMPUTED, Side, Work, measure
from lingport.errors import TrainingError
from lingport.modules.base import new_module

RECORD = {
    "work", "shape", "side", "device", "threads", "dtype", "rate", "rate_unit", "seconds", "peak_bytes_above_weights",
    "loss", "ratio_to_peer", "limit_fraction", "rate_fraction", "matmul_rate", "versions",
}  # fmt: skip


@pytest.fixture
def tiny_shape(monkeypatch):
    size = {"d_model": 64, "d_ff": 64, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 1, "vocab_size": 17_000}
    monkeypatch.setitem(shapes.SHAPES, "tiny", size)
    return "tiny"


@pytest.mark.parametrize("name", ["language", "ner", "topic", "qa"])
def test_rows_are_those_of_the_work(name):
    work = Work(name, "adapter", 8)
    rows = work.rows(3)
    assert rows == work.rows(3) != work.rows(4)
    lengths = [[len(source), len(target)] for source, target in rows]
    if name == "language":
        assert lengths == [[256, 58]] * 8
        assert work.amount(rows) == 8 * 256
    else:
        assert all(each in json.loads(LENGTHS.read_text())[name] for each in lengths)
        assert work.amount(rows) == 8


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_ours_and_the_plain_path_are_measured(tiny_shape, dtype):
    records = measure(
        Work("language", "prompt", 2),
        [PLAIN, RECOMPUTED],
        shape=tiny_shape,
        pairs=2,
        threads=1,
        device="cpu",
        dtype=dtype,
    )
    assert [record["side"] for record in records] == [OURS.name, PLAIN.name, RECOMPUTED.name]
    for record in records:
        assert set(record) == RECORD
        assert record["dtype"] == dtype
        assert record["rate"] > 0
        assert record["limit_fraction"] > 0
        assert record["rate_fraction"] > 0
        assert record["peak_bytes_above_weights"] > 0
    assert records[0]["ratio_to_peer"] == 1
    assert records[0]["loss"] == records[2]["loss"]
    assert abs(records[0]["loss"] - records[1]["loss"]) < 0.05 * records[1]["loss"]


def test_a_side_that_fails_says_why(tiny_shape):
    broken = Side("broken", "lingport", "nothing")
    with pytest.raises(TrainingError, match="broken ended: KeyError: 'nothing'"):
        measure(
            Work("ner", "adapter", 2), [broken], shape=tiny_shape, pairs=1, threads=1, device="cpu", dtype="float32"
        )


def side(loss, num_trained=10):
    return SimpleNamespace(side=PLAIN, facts={"num_trained": num_trained}, step=lambda _rows, train: {"loss": loss})


def test_sides_that_compute_something_else_are_refused():
    work = Work("ner", "adapter", 2)
    bench._check_agreement(work, [side(5.0), side(5.04)])
    with pytest.raises(TrainingError, match="do not compute the same"):
        bench._check_agreement(work, [side(5.0), side(5.06)])
    with pytest.raises(TrainingError, match="10 numbers are trained here, 11"):
        bench._check_agreement(work, [side(5.0), side(5.0, 11)])


def test_the_limit_counts_every_product(tiny_shape):
    backbone = shapes.random_backbone(tiny_shape, dtype=torch.bfloat16)
    module = new_module("adapter", bench.MODULES["adapter"], backbone)
    found = products(backbone, module, Work("language", "adapter", 2).rows(1))
    tokens, targets = 2 * 256, 2 * 58
    assert found[(1, targets, 64, 17_000)] == 1  # the head
    # encoder: q, k, v, o, and the feed-forward layer's three; of the decoder: keys and values of cross-attention
    assert found[(1, tokens, 64, 64)] == 7 + 2
    # the adapter, down and up, in each of two blocks
    assert sum(count for shape, count in found.items() if 4 in shape) == 4
    limit = Limit(Counter({(1, 512, 64, 64): 1}), "cpu", torch.bfloat16)
    many = Limit(Counter({(1, 512, 64, 64): 1000}), "cpu", torch.bfloat16)
    assert many.seconds() > 10 * limit.seconds() > 0
    # forward and to the input; of attention's also to what takes the place of the weights
    assert many.operations == 1000 * limit.operations == 1000 * 2 * 2 * 512 * 64 * 64
    assert Limit(Counter({(3, 8, 4, 2): 1}), "cpu", torch.bfloat16).operations == 3 * 2 * 3 * 8 * 4 * 2


def test_a_side_without_a_dtype_computes_in_the_one_that_is_measured():
    paper, best = (side.computing_in("float32") for side in PEERS["prompt"])
    assert (paper.name, paper.dtype) == ("peft, paper's settings", "float32")
    assert (best.name, best.dtype) == ("peft, float32", "float32")
    assert [side.computing_in("bfloat16").dtype for side in PEERS["prompt"]] == ["float32", "bfloat16"]


def test_every_kind_has_peers():
    assert set(PEERS) == set(bench.MODULES)


def test_wrong_names_are_told(call):
    assert "did you mean 'ner'" in call("bench", "--work", "nre", code=2).stderr
    assert "did you mean 'mt5-small'" in call("bench", "--shape", "mt5-smal", code=2).stderr
    assert "unknown --kind 'full'" in call("bench", "--kind", "full", code=2).stderr
