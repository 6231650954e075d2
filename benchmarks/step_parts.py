"""Where the time of a training step goes: encoder, decoder, loss, backward pass, the pieces of one block, the products
of the frozen head alone, and the making of the rows.

    python -m benchmarks.step_parts --work language --kind adapter --steps 5

Random weights, bfloat16, the backbone's dropout; times are medians over steps, on one machine at one time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import lingport.compose.model as composed
from lingport.backbones import loops
from lingport.backbones.shapes import random_backbone
from lingport.bench.measure import MODULES, Work
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.data.batch import Row, collate, parts_by_tokens
from lingport.data.corruption import corrupt
from lingport.modules.base import new_module
from lingport.train.loop import TOKENS_END_TO_END


def timed(found: dict[str, float], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the call, which from now on adds its seconds to a name."""

    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = call(*args, **kwargs)
        found[name] += time.perf_counter() - start
        return result

    return run


def milliseconds(call: Callable[[], Any]) -> float:
    """Returns the median of 20 calls."""
    times = []
    for _ in range(22):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) * 1e3


def show(title: str, calls: dict[str, Callable[[], Any]]) -> None:
    """Prints how long each call takes."""
    print(f"milliseconds of {title}:")
    for name, call in calls.items():
        print(f"  {name:46} {milliseconds(call):.2f}")


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="mt5-small")
    parser.add_argument("--work", default="language", help="language, ner, topic, qa")
    parser.add_argument("--kind", default="adapter", help="adapter, prompt")
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    backbone = random_backbone(arguments.shape, dtype=torch.bfloat16)
    model = ComposedModel(backbone)
    module = new_module(arguments.kind, MODULES[arguments.kind], backbone)
    module.requires_grad_(True)
    work = Work(arguments.work, arguments.kind, 8 if arguments.work in ("language", "qa") else 32)
    found: dict[str, float] = defaultdict(float)
    for name in ("encoder", "decoder"):
        stack = getattr(backbone.model, name)
        stack.forward = timed(found, name, stack.forward)
    composed.frozen_head_loss = timed(found, "loss", composed.frozen_head_loss)
    steps = []
    for step in range(arguments.steps + 1):
        found.clear()
        rows = [Row(source, target) for source, target in work.rows(step)]
        start = time.perf_counter()
        for part in parts_by_tokens(rows, max_tokens=TOKENS_END_TO_END):
            batch = collate([rows[place] for place in part], pad_id=0)
            with backbone.dropout(0.1), model.using(Composition(task=module)):
                loss = model.row_losses(batch.input_ids, batch.attention_mask, batch.labels).sum()
            timed(found, "backward", loss.backward)()
        steps.append({**found, "whole step": time.perf_counter() - start})
    print(
        f"{arguments.work} {arguments.kind}, {arguments.shape}, {torch.get_num_threads()} threads, seconds of a step:"
    )
    for name in steps[0]:
        print(f"  {name:12} {statistics.median(each[name] for each in steps[1:]):.2f}")
    config, width, vocabulary = backbone.model.config, backbone.model.config.d_model, backbone.model.config.vocab_size
    x = torch.randn(8, 256, width).bfloat16()
    inner = torch.randn(8, 256, config.d_ff).bfloat16()
    scores = torch.randn(8, config.num_heads, 256, 256).bfloat16()
    copies = iter([scores.softmax(-1) for _ in range(44)])  # what is computed in place would run down to 0
    square, wide = (torch.randn(n, width).bfloat16() for n in (64 * config.num_heads, config.d_ff))
    show(
        "the pieces of one encoder block, 8 x 256 tokens",
        {
            "one product of attention's four": lambda: F.linear(x, square),
            "one product of the feed-forward layer's three": lambda: F.linear(x, wide),
            "norm": lambda: loops.norm(x, x[0, 0], 1e-6),
            "norm, backward pass": lambda: loops.norm_back(x, x[0, 0], x, 1e-6),
            "softmax with bias and dropout": lambda: loops.softmax(scores, scores[:1], 0.1, 0),
            "softmax, backward pass": lambda: loops.softmax_back(next(copies), next(copies), 0.1),
            "gated gelu with dropout": lambda: loops.gated_gelu(inner, inner, 0.1, 0),
            "gated gelu, backward pass": lambda: loops.gated_gelu_back(inner, inner, inner, 0.1, 0),
            "dropout of a branch": lambda: loops.drop(x, 0.1, 0),
        },
    )
    hidden, scored = torch.randn(464, width).bfloat16(), torch.randn(464, vocabulary).bfloat16()
    head = torch.randn(vocabulary, width).bfloat16()
    show(
        "the head's products alone, 464 target tokens",
        {
            "hidden states to scores": lambda: F.linear(hidden, head),
            "and back": lambda: scored @ head,
            "and back, 232 rows at a time": lambda: [rows @ head for rows in scored.split(232)],
        },
    )
    ids, rng = np.arange(10, 294), np.random.default_rng(0)
    corrupted = [corrupt(ids, rng=rng, sentinel_ids=range(500, 600), end_id=1) for _ in range(8)]
    made = [Row(each.input_ids.tolist(), each.target_ids.tolist()) for each in corrupted]
    show(
        "the making of 8 rows",
        {
            "span corruption": lambda: [
                corrupt(ids, rng=rng, sentinel_ids=range(500, 600), end_id=1) for _ in range(8)
            ],
            "collation": lambda: collate(made, pad_id=0),
        },
    )


if __name__ == "__main__":
    main()
