"""All cells of `cells_by_process` as this package answers them, or one of them by the model's own code.

    python -m benchmarks.answer_cells FOLDER BACKBONE DTYPE THREADS [NUMBER_OF_A_CELL]

The counterpart of `generate_peer.py`: a file of its own, so that its process imports what answering takes, no more.
FOLDER: modules and examples as `cells_by_process` prepares them; gets `outputs.json`, the texts of each cell.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.evaluate.cells import Cell, evaluate_cells
from lingport.modules.store import load_module
from lingport.tasks.base import Example
from lingport.tasks.catalogue import load_task

NER = {"format": "columns", "path": "ner/wikiann/{language}/test.conllu.xz"}
NER_SK = {"format": "columns", "path": "ner/wikiann/sk/test.txt.xz"}
NLI = {"format": "xnli", "path": "nli/xnli/dev-{language}.tsv"}
TESTS = [
    *(("ner", language, NER) for language in ("en", "de", "es", "ru")), ("ner", "sk", NER_SK),
    *(("nli", language, NLI) for language in ("en", "de", "es", "ru", "bg")),
]  # fmt: skip
#: configuration -> letter of its modules, the parts that it has, and who else computes it
CONFIGURATIONS = {"la+ta": ("a", ("l", "t"), "adapters"), "tp": ("p", ("t",), "peft")}
CELLS = [(test, configuration) for configuration in CONFIGURATIONS for test in TESTS]


def answer(folder: Path, backbone: str, dtype: str, only: int | None) -> None:
    """Evaluates all cells, or one of them the plain way, and writes the outputs."""
    loaded = Backbone.load(backbone, dtype=dtype, device="cpu")
    tests: dict[tuple[str, str], tuple[Any, list[Example]]] = {}
    cells = []
    for (name, language, _), configuration in CELLS if only is None else [CELLS[only]]:
        if (name, language) not in tests:
            examples = json.loads((folder / f"{name}-{language}.examples.json").read_text("utf-8"))
            tests[name, language] = load_task(name), examples
        letter, parts, _ = CONFIGURATIONS[configuration]
        acting = {part: load_module(folder / f"{part}{letter}-{language}-{name}", loaded) for part in parts}
        cells.append(Cell(*tests[name, language], language, Composition(acting.get("l"), acting["t"])))
    with nullcontext() if only is None else loaded.plain():
        found = evaluate_cells(ComposedModel(loaded), cells)
    outputs = [[prediction.text for prediction in each.predictions] for each in found]
    (folder / "outputs.json").write_text(json.dumps(outputs), "utf-8")


def main(folder: str, backbone: str, dtype: str, threads: str, only: str | None = None) -> None:
    """Answers."""
    torch.set_num_threads(int(threads))
    answer(Path(folder), backbone, dtype, None if only is None else int(only))


if __name__ == "__main__":
    main(*sys.argv[1:])
