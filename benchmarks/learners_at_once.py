"""Several language modules trained in one pass, against the same ones trained one after the other.

    python -m benchmarks.learners_at_once --backbone nano --learners 8 --max-length 48 --pairs 5
    python -m benchmarks.learners_at_once --backbone mt5-small --learners 8 --max-length 48 --pairs 3

Both sides make the same steps of the same learners in this process, in turn; the ratio is the median over pairs.
Half of the learners are prompts, half are adapters. On a GPU this runs unchanged.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from benchmarks.mixed_evaluation import module
from lingport.backbones.base import Backbone
from lingport.backbones.shapes import SHAPES, random_backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.data import TextSource
from lingport.config.language import ObjectiveSettings
from lingport.config.training import TrainingSettings
from lingport.train.language import LanguageData, LanguageRows, language_data
from lingport.train.learner import Learner
from lingport.train.loop import train


def learner(backbone: Backbone, data: LanguageData, number: int, *, rows: int, steps: int) -> Learner:
    """A new learner of span corruption with its own order of the text."""
    own = module("ap"[number % 2], backbone, number)
    settings = TrainingSettings(steps=steps, batch_size=rows, backbone_dropout=0.0, selection="last")
    batches = LanguageRows(data, batch_size=rows, seed=number)
    return Learner(f"learner {number}", own, Composition(language=own), batches, settings, seed=number)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="nano", help="nano, or a shape with random weights: mt5-small, mt5-base")
    parser.add_argument("--learners", type=int, default=8)
    parser.add_argument("--rows", type=int, default=4, help="of a learner's step")
    parser.add_argument("--max-length", type=int, default=48, help="input tokens of a row")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.backbone in SHAPES:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        backbone = random_backbone(arguments.backbone, dtype=torch.bfloat16, device=device)
    else:
        backbone = Backbone.load(arguments.backbone)
    data = language_data(
        backbone,
        TextSource(format="demo"),
        "en",
        objective=ObjectiveSettings(max_length=arguments.max_length),
        num_validation_chunks=1,
    )
    model = ComposedModel(backbone)

    def made() -> list[Learner]:
        size = {"rows": arguments.rows, "steps": arguments.steps}
        return [learner(backbone, data, number, **size) for number in range(arguments.learners)]

    def seconds(groups: list[list[Learner]]) -> float:
        start = time.perf_counter()
        for group in groups:
            train(model, group)
        return time.perf_counter() - start

    seconds([made()])  # the first pass of a process is slower
    ratios = []
    for _ in range(arguments.pairs):
        apart = seconds([[each] for each in made()])
        ratios.append(apart / seconds([made()]))
    print(
        f"{backbone.name}, {backbone.device}, {backbone.dtype}, {torch.get_num_threads()} threads: "
        f"{arguments.learners} learners of {arguments.rows} rows of {arguments.max_length} tokens, "
        "at once against one after the other: "
        f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
