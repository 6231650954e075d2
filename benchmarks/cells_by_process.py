"""20 cells of an experiment in one evaluation, against one process per cell that generates: the ratio of the times.

    python -m benchmarks.cells_by_process ../shared/data --backbone nano --examples 50 --pairs 3
    python -m benchmarks.cells_by_process ../shared/data --backbone mt5-small --examples 50 --pairs 1

WikiANN in five languages and XNLI in five, each with an adapter above an adapter and a prompt above a prompt. One side
is a process for all cells as `lingport run` evaluates them, each test set read once. The other is a process for each
cell, one after the other, with the model's own code. Both generate their answers greedily. Times are of whole
processes: imports, loading and answers. Modules are new and random: what is measured is time, not quality.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.mixed_evaluation import module
from lingport.backbones.base import EMBEDDED, Backbone
from lingport.backbones.shapes import SHAPES, random_backbone
from lingport.backbones.trim import save_model
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.data import ExampleSource
from lingport.data.readers import read_examples
from lingport.evaluate.cells import Cell, evaluate_cells
from lingport.modules.store import load_module, save_module
from lingport.tasks.base import Example, Task
from lingport.tasks.catalogue import load_task

NER = {"format": "columns", "path": "ner/wikiann/{language}/test.conllu.xz"}
NER_SK = {"format": "columns", "path": "ner/wikiann/sk/test.txt.xz"}
NLI = {"format": "xnli", "path": "nli/xnli/dev-{language}.tsv"}
TESTS = [
    *(("ner", language, NER) for language in ("en", "de", "es", "ru")), ("ner", "sk", NER_SK),
    *(("nli", language, NLI) for language in ("en", "de", "es", "ru", "bg")),
]  # fmt: skip
CELLS = [(test, letter) for letter in "ap" for test in TESTS]


def answer(data: Path, backbone: str, folder: Path, only: int | None, num_examples: int) -> None:
    """Evaluates all cells, or one of them the plain way."""
    loaded = Backbone.load(backbone, dtype="auto", device="cpu")
    tests: dict[tuple[str, str], tuple[Task[Any, Any], list[Example]]] = {}
    cells = []
    for (name, language, source), letter in CELLS if only is None else [CELLS[only]]:
        if (name, language) not in tests:
            task = load_task(name)
            place = source | {"path": str(data / source["path"].format(language=language)), "limit": num_examples}
            found = read_examples(ExampleSource.model_validate(place), language=language, task=task.name)
            tests[name, language] = task, found
        task, examples = tests[name, language]
        parts = [load_module(folder / f"{role}{letter}-{language}-{name}", loaded) for role in ("l", "t")]
        cells.append(Cell(task, examples, language, Composition(language=parts[0], task=parts[1])))
    with nullcontext() if only is None else loaded.plain():
        found = evaluate_cells(ComposedModel(loaded), cells)
    assert all(len(each.predictions) == num_examples for each in found)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ner/wikiann and nli/xnli")
    parser.add_argument("--backbone", default="nano", help="nano, or mt5-small with random weights")
    parser.add_argument("--examples", type=int, default=50, help="of a cell")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--modules", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.modules is not None:
        answer(arguments.data, arguments.backbone, arguments.modules, arguments.only, arguments.examples)
        return
    if not arguments.data.is_dir():
        sys.exit(f"skipped: there is no {arguments.data}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        place = arguments.backbone
        if place in SHAPES:
            backbone = random_backbone(place, dtype=torch.bfloat16)
            place = str(folder / place)
            save_model(backbone.model, Path(place))
            backbone.tokenizer.save_pretrained(place)
        backbone = Backbone.load(place, dtype="auto", device="cpu")
        for number, ((task, language, _), letter) in enumerate(CELLS):
            for role in ("l", "t"):
                own = module(letter, backbone, number)
                save_module(own, folder / f"{role}{letter}-{language}-{task}")

        def seconds(only: int | None) -> float:
            command = [sys.executable, "-m", "benchmarks.cells_by_process", str(arguments.data), "--backbone", place]
            command += ["--modules", name, "--examples", str(arguments.examples)]
            start = time.perf_counter()
            subprocess.run([*command, *([] if only is None else ["--only", str(only)])], check=True)
            return time.perf_counter() - start

        ratios = []
        for _ in range(arguments.pairs):
            together = seconds(None)
            apart = sum(seconds(number) for number in range(len(CELLS)))
            ratios.append(apart / together)
            print(
                f"one process {together:.1f} s, {len(CELLS)} processes {apart:.1f} s, ratio {ratios[-1]:.1f}",
                flush=True,
            )
        shown = arguments.backbone if arguments.backbone in EMBEDDED else f"random {arguments.backbone}"
        print(f"{shown}, {backbone.dtype}, {arguments.examples} examples a cell: ratio {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
