"""20 cells of an experiment in one evaluation, against one process per cell that generates: the ratio of the times.

    python -m benchmarks.cells_by_process ../shared/data --backbone nano --steps 100 --examples 50 --pairs 3
    python -m benchmarks.cells_by_process ../shared/data --backbone mt5-small --examples 50 --pairs 1

WikiANN in five languages and XNLI in five, each with an adapter above an adapter and with a prompt. One side is a
process for all cells as `lingport run` evaluates them. The others are a process for each cell, one after the other:
`adapters` or `peft` with transformers' `generate`, and, with `--own`, this package with the model's own code. All
answer greedily, in the same dtype, with as many threads. Times are of whole processes: imports, loading and answers;
beside the time that passes stands the processor's, which other work on a shared machine changes less.
Examples are prepared, for `generate` down to the token ids. What is measured is time, not quality: task modules are
trained for `--steps` on other English examples, so that answers end; without, few do before their longest length.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.answer_cells import CELLS, CONFIGURATIONS, TESTS
from benchmarks.mixed_evaluation import module
from lingport.backbones.base import EMBEDDED, Backbone, Vocabulary
from lingport.backbones.shapes import SHAPES, random_backbone
from lingport.backbones.trim import save_model
from lingport.bench.environments import environment
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.data import ExampleSource
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row, tokenize
from lingport.data.readers import read_examples
from lingport.formats.load import export_module
from lingport.modules.base import TransferModule
from lingport.modules.store import save_module
from lingport.tasks.base import Example
from lingport.tasks.catalogue import load_task
from lingport.train.learner import Learner
from lingport.train.loop import train

#: what `seconds` gives
WHAT = ("time", "processor's time")


def trained(backbone: Backbone, task_name: str, letter: str, examples: list[Example], steps: int) -> TransferModule:
    """Returns a task module that was trained for some steps."""
    own, task = module(letter, backbone, 0, init_std=0.01), load_task(task_name)
    rendered = [task.render(example, "en") for example in examples]
    rows = [
        Row(*(tokenize(backbone.tokenizer, text, task.max_input_tokens)[0] for text in (each.input, each.target)))
        for each in rendered
    ]
    settings = {"steps": steps, "batch_size": 8, "learning_rate": 5e-3 if letter == "a" else 0.05}
    known = TrainingSettings.model_validate(settings)
    learner = Learner("task", own, Composition(task=own), lambda step: random.Random(step).sample(rows, 8), known)
    train(ComposedModel(backbone), [learner])
    return own


def prepare(data: Path, folder: Path, name: str, dtype: str, num_examples: int, steps: int) -> str:
    """Writes backbone, modules and examples for all sides; returns where the backbone is."""
    place = str(EMBEDDED.get(name, name))
    if name in SHAPES:
        made = random_backbone(name, dtype=torch.bfloat16)
        place = str(folder / name)
        save_model(made.model, Path(place))
        made.tokenizer.save_pretrained(place)
    backbone = Backbone.load(place, dtype=dtype, device="cpu")
    other: dict[str, list[Example]] = {}
    for task_name, language, source in TESTS:
        task = load_task(task_name)
        settings = source | {"path": str(data / source["path"].format(language=language)), "limit": num_examples + 200}
        found = read_examples(ExampleSource.model_validate(settings), language=language, task=task.name)
        examples = found[:num_examples]
        if language == "en":
            other[task_name] = found[num_examples:]
        (folder / f"{task_name}-{language}.examples.json").write_text(json.dumps(examples), "utf-8")
        asked = {
            "input_ids": [
                tokenize(backbone.tokenizer, task.render(example, language).input, task.max_input_tokens)[0]
                for example in examples
            ],
            "max_new_tokens": task.max_new_tokens(backbone.tokenizer, language),
        }
        (folder / f"{task_name}-{language}.questions.json").write_text(json.dumps(asked), "utf-8")
    of_task = {
        (name, letter): trained(backbone, name, letter, examples, steps)
        for name, examples in other.items()
        for letter in ("ap" if steps else "")
    }
    for number, ((task_name, language, _), configuration) in enumerate(CELLS):
        letter, parts, library = CONFIGURATIONS[configuration]
        for at, part in enumerate(parts):
            own = module(letter, backbone, 2 * number + at, init_std=0.01 if steps else 0.1)
            own = of_task.get((task_name, letter), own) if part == "t" else own
            where = f"{part}{letter}-{language}-{task_name}"
            save_module(own, folder / where)
            export_module(own, folder / library / where, backbone, to="adapterhub" if letter == "a" else "peft")
    return place


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ner/wikiann and nli/xnli")
    parser.add_argument("--backbone", default="nano", help="nano, or mt5-small with random weights")
    parser.add_argument("--examples", type=int, default=50, help="of a cell")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="that task modules are trained for")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--own", action="store_true", help="also a process per cell of this package, computed plainly")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if not arguments.data.is_dir():
        sys.exit(f"skipped: there is no {arguments.data}")
    pythons = {library: str(environment(library)) for _, _, library in CONFIGURATIONS.values()}
    with TemporaryDirectory() as name:
        folder = Path(name)
        place = prepare(
            arguments.data, folder, arguments.backbone, arguments.dtype, arguments.examples, arguments.steps
        )
        tokenizer = Vocabulary.load(place).tokenizer
        threads = str(arguments.threads)
        own = [sys.executable, "-m", "benchmarks.answer_cells", name, place, arguments.dtype, threads]

        def of_peer(number: int) -> list[str]:
            (task, language, _), configuration = CELLS[number]
            letter, parts, library = CONFIGURATIONS[configuration]
            command = [pythons[library], str(Path(__file__).with_name("generate_peer.py")), library, place]
            command += [arguments.dtype, threads, f"{name}/{task}-{language}.questions.json", f"{name}/peer.json"]
            return [*command, *(f"{name}/{library}/{part}{letter}-{language}-{task}" for part in parts)]

        sides = {"generate": of_peer}
        if arguments.own:
            sides["our plain path"] = lambda number: [*own, str(number)]
        ratios: dict[str, list[list[float]]] = {side: [] for side in sides}
        for _ in range(arguments.pairs):
            together = seconds(own)
            ours = json.loads((folder / "outputs.json").read_text("utf-8"))
            for side, command in sides.items():
                apart, same = [], []
                for number in range(len(CELLS)):
                    apart.append(seconds(command(number)))
                    if side == "generate":
                        theirs = json.loads((folder / "peer.json").read_text("utf-8"))
                        texts = [text.strip() for text in tokenizer.batch_decode(theirs, skip_special_tokens=True)]
                        same += [one == other for one, other in zip(ours[number], texts, strict=True)]
                passed = [sum(each) for each in zip(*apart, strict=True)]
                ratios[side].append([many / one for many, one in zip(passed, together, strict=True)])
                agreed = f", same outputs {sum(same) / len(same):.0%}" if same else ""
                for what, one, many, ratio in zip(WHAT, together, passed, ratios[side][-1], strict=True):
                    print(
                        f"{what}: one process {one:.1f} s, {len(CELLS)} processes ({side}) {many:.1f} s, "
                        f"ratio {ratio:.1f}{agreed}",
                        flush=True,
                    )
        shown = arguments.backbone if arguments.backbone in EMBEDDED else f"random {arguments.backbone}"
        for side, found in ratios.items():
            each = zip(WHAT, zip(*found, strict=True), strict=True)
            print(
                f"{shown}, {arguments.dtype}, {threads} threads, {arguments.examples} examples a cell, against {side}: "
                + ", ".join(f"ratio {statistics.median(of):.1f} ({what})" for what, of in each)
            )


def seconds(command: list[str]) -> tuple[float, float]:
    """Returns the time that passes while a process runs, and the processor's time that it takes."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, used


if __name__ == "__main__":
    main()
