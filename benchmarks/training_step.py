"""How long a training step of a module takes, ours and the plain way, against the matrix products alone.

    python -m benchmarks.training_step --shape mt5-small --kind adapter --pairs 3 --json step.json

Plain: the model's own logits of all target tokens and torch's cross entropy. Ours: what training runs
(`ComposedModel.row_losses`), without logits. Both are stepped in turn on the same rows, in one process; the ratio is
the median over pairs. The limit is the time of the step's matrix products alone: forward, and backward to the inputs
(the frozen weights need no gradients), timed one by one on the same shapes. Not measured here: other libraries.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.shapes import SHAPES, VOCABULARY, random_backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.modules.base import TransferModule, new_module
from lingport.train.cost import measured

#: share of the source tokens that are targets under span corruption, sentinels included (284 -> 256 and 58)
TARGET_SHARE = 58 / 256
SETTINGS = {"adapter": AdapterSettings(), "prompt": PromptSettings(num_virtual_tokens=50, init="vocab")}
Batch = tuple[Tensor, Tensor, Tensor]


def make_batch(rows: int, length: int) -> Batch:
    """Random ids (B, S), their mask, and labels (B, T)."""
    torch.manual_seed(1)
    ids = torch.randint(300, VOCABULARY - 100, (rows, length))
    labels = torch.randint(300, VOCABULARY - 100, (rows, round(length * TARGET_SHARE)))
    return ids, torch.ones_like(ids), labels


def ours(model: ComposedModel, batch: Batch) -> Tensor:
    """The mean loss as training computes it."""
    return model.row_losses(*batch).sum() / batch[2].numel()


def plain(model: ComposedModel, batch: Batch) -> Tensor:
    """The mean loss by way of all logits."""
    loss = model(*batch).loss
    assert loss is not None
    return loss


SIDES: dict[str, Callable[[ComposedModel, Batch], Tensor]] = {"ours": ours, "plain": plain}


def step(model: ComposedModel, module: TransferModule, optimizer: Any, batch: Batch, side: str) -> tuple[float, float]:
    """Takes a step; returns its seconds and its loss."""
    start = time.perf_counter()
    with model.using(Composition(task=module)):
        loss = SIDES[side](model, batch)
        loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - start, float(loss.detach())


def products(model: ComposedModel, module: TransferModule, batch: Batch) -> Counter[tuple[int, ...]]:
    """Shapes (N, in, out) of the frozen matrix products of a step's forward pass, and how often each is made."""
    seen: Counter[tuple[int, ...]] = Counter()

    def note(layer: nn.Linear, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        seen[(inputs[0].numel() // layer.in_features, layer.in_features, layer.out_features)] += 1

    layers = [layer for layer in model.backbone.model.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad(), model.using(Composition(task=module)):
        model(*batch)
    for hook in hooks:
        hook.remove()
    return seen


def limit(shapes: Counter[tuple[int, ...]], *, dtype: torch.dtype, repeats: int = 3) -> float:
    """Seconds of the products alone, forward and backward to the inputs: the sum of medians."""
    total = 0.0
    for (rows, inner, outer), count in shapes.items():
        x, weight, gradient = (
            torch.randn(size, dtype=dtype) for size in ((rows, inner), (outer, inner), (rows, outer))
        )
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            torch.mm(x, weight.T)
            torch.mm(gradient, weight)
            times.append(time.perf_counter() - start)
        total += count * statistics.median(times)
    return total


def measure(shape: str, kind: str, *, rows: int, length: int, pairs: int, dtype: torch.dtype) -> list[dict[str, Any]]:
    """One record per side."""
    backbone = random_backbone(shape, dtype=dtype)
    model, batch = ComposedModel(backbone), make_batch(rows, length)
    modules = {side: new_module(kind, SETTINGS[kind], backbone) for side in SIDES}
    optimizers = {side: torch.optim.AdamW(module.parameters(), lr=1e-4) for side, module in modules.items()}
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    peaks: dict[str, int] = {}
    for side in SIDES:  # the first step allocates
        with measured(backbone.device) as before:
            pass
        with measured(backbone.device) as cost:
            step(model, modules[side], optimizers[side], batch, side)
        peaks[side] = (cost.peak_bytes or 0) - (before.peak_bytes or 0)
    for _ in range(pairs):
        for side in SIDES:
            found[side].append(step(model, modules[side], optimizers[side], batch, side))
    least = limit(products(model, modules["ours"], batch), dtype=dtype)
    ratio = statistics.median(b[0] / a[0] for a, b in zip(found["ours"], found["plain"], strict=True))
    records = []
    for side, steps in found.items():
        seconds = statistics.median(took for took, _ in steps)
        records.append(
            {
                "work": f"train {kind}",
                "shape": f"{shape}, {rows} x {length}",
                "side": side,
                "device": f"{platform.machine()} cpu",
                "threads": torch.get_num_threads(),
                "dtype": str(dtype).removeprefix("torch."),
                "rate": rows * length / seconds,
                "rate_unit": "source tokens/s",
                "seconds": seconds,
                "peak_bytes_above_weights": peaks[side],
                "loss": steps[-1][1],
                "ratio_to_peer": ratio if side == "ours" else 1.0,
                "limit_fraction": least / seconds,
                "versions": {name: version(name) for name in ("lingport", "torch", "transformers")},
            }
        )
    return records


def main() -> None:
    """Measures, prints a table, and writes the records if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="mt5-small")
    parser.add_argument("--kind", choices=SETTINGS, default="adapter")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    dtype = getattr(torch, asked.dtype)
    records = measure(asked.shape, asked.kind, rows=asked.rows, length=asked.length, pairs=asked.pairs, dtype=dtype)
    print(f"{'side':6} {'s/step':>8} {'tokens/s':>9} {'limit':>6} {'peak MB':>8} {'loss':>8}  plain / ours")
    for each in records:
        print(
            f"{each['side']:6} {each['seconds']:8.2f} {each['rate']:9.0f} {each['limit_fraction']:6.2f} "
            f"{each['peak_bytes_above_weights'] / 2**20:8.0f} {each['loss']:8.4f}  {each['ratio_to_peer']:.2f}"
        )
    if asked.json:
        asked.json.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
