"""One evaluation of many cells in mixed batches against the same cells one after the other: the ratio of the times.

    python -m benchmarks.mixed_evaluation --backbone nano --cells 16 --examples 16 --pairs 5

Both sides run in this process, in turn, on the same modules and examples, and must give the same predictions; the
ratio is the median over pairs. Modules are new and random, half of the tasks are ranked and half are generated:
what is measured is time, not quality.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.evaluate.cells import Cell, Evaluated, evaluate_cells
from lingport.modules.base import TransferModule, new_module
from lingport.tasks.catalogue import load_task

WORDS = ("river", "bread", "winter", "teacher", "green", "window", "music", "paper", "stone", "garden", "letter", "sea")
SHAPES = ("", "ta", "tp", "la+ta", "la+tp", "lp+ta", "lp+tp")


def module(letter: str, backbone: Backbone, seed: int, *, init_std: float = 0.1) -> TransferModule:
    """A new adapter (reduction 16) or prompt (50 virtual tokens) that changes what the backbone computes."""
    if letter == "a":
        return new_module("adapter", AdapterSettings(init_std=init_std), backbone, seed=seed)
    return new_module("prompt", PromptSettings(init="vocab", num_virtual_tokens=50), backbone, seed=seed)


def make_cells(backbone: Backbone, num_cells: int, num_examples: int) -> list[Cell]:
    """Cells of all configurations in turn, each with modules of its own."""
    task = [
        load_task("topic", overrides={"labels": ["river", "bread"], "decoding": decoding, "max_target_tokens": 4})
        for decoding in ("rank", "generate")
    ]
    examples = [
        {
            "id": str(index),
            "where": "here",
            "text": " ".join(WORDS[(index * step + step) % len(WORDS)] for step in range(1, 6 + index * 7 % 25)),
            "label": "river",
        }
        for index in range(num_examples)
    ]
    cells = []
    for number in range(num_cells):
        parts = {part[0]: module(part[1], backbone, number) for part in SHAPES[number % len(SHAPES)].split("+") if part}
        composition = Composition(language=parts.get("l"), task=parts.get("t"))
        cells.append(Cell(task[number // len(SHAPES) % 2], examples, "en", composition))
    return cells


def timed(model: ComposedModel, groups: Sequence[Sequence[Cell]], limits: dict[str, int]) -> tuple[float, list[Any]]:
    """Returns the seconds that groups of cells take, and their outputs."""
    start = time.perf_counter()
    found: list[Evaluated] = [each for group in groups for each in evaluate_cells(model, group, **limits)]
    seconds = time.perf_counter() - start
    return seconds, [[prediction.text for prediction in each.predictions] for each in found]


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="nano", help="nano, a folder, or a hub name")
    parser.add_argument("--cells", type=int, default=14)
    parser.add_argument("--examples", type=int, nargs="+", default=[8, 32, 128], help="test examples of a cell")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--max-rows", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=8192)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    backbone = Backbone.load(arguments.backbone, dtype=arguments.dtype, device=arguments.device)
    model = ComposedModel(backbone)
    limits = {"max_rows": arguments.max_rows, "max_tokens": arguments.max_tokens}
    threads = torch.get_num_threads()
    print(f"{backbone.name}, {backbone.device}, {threads} threads, {arguments.cells} cells, {arguments.pairs} pairs")
    for num_examples in arguments.examples:
        cells = make_cells(backbone, arguments.cells, num_examples)
        apart, together = [[cell] for cell in cells], [cells]
        timed(model, together, limits)  # the first pass of a process is slower
        ratios, one_s, many_s, same = [], [], [], 1.0
        for _ in range(arguments.pairs):
            one, alone = timed(model, apart, limits)
            many, mixed = timed(model, together, limits)
            ratios.append(one / many)
            one_s.append(one)
            many_s.append(many)
            pairs = [a == b for x, y in zip(alone, mixed, strict=True) for a, b in zip(x, y, strict=True)]
            same = min(same, sum(pairs) / len(pairs))
        print(
            f"{num_examples:5} examples a cell: one by one {statistics.median(one_s):.2f} s, mixed "
            f"{statistics.median(many_s):.2f} s, ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}), same outputs {same:.2%}"
        )


if __name__ == "__main__":
    main()
