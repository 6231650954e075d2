"""Training curves of the fast path against the plain path, and against the spread of seeds, in the dtype asked for.

    python -m benchmarks.training_curves --backbone nano --dtype bfloat16 --seeds 5 --steps 200

A language module of each kind is trained on the demo's text, with every seed on either path: same start, same rows.
The curve is the loss on held-out text, computed by the path that trains. What the paths may differ by is rounding,
which training amplifies; it must stay below what another seed changes. Ends with 1 where it does not.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np

from lingport.backbones.base import Backbone
from lingport.compose.model import ComposedModel
from lingport.config.data import TextSource
from lingport.config.language import ObjectiveSettings
from lingport.config.modules import AdapterSettings, PromptSettings, Settings
from lingport.config.training import TrainingSettings
from lingport.train.language import LanguageData, language_data, language_learner
from lingport.train.loop import train

MODULES: dict[str, Settings] = {
    "adapter": AdapterSettings(reduction=4),
    "prompt": PromptSettings(num_virtual_tokens=10),
}
RATES = {"adapter": 1e-3, "prompt": 0.01}  # of recipes/demo.yaml


@dataclass(frozen=True)
class Curves:
    """Held-out losses (seeds, evaluations) of the same learners on either path."""

    fast: np.ndarray
    plain: np.ndarray

    @property
    def apart(self) -> np.ndarray:
        """(evaluations,) how far the two paths' means over seeds are from each other."""
        return np.abs(self.fast.mean(0) - self.plain.mean(0))

    @property
    def same_seed(self) -> np.ndarray:
        """(evaluations,) how far the paths are from each other with the same seed, root of the mean square."""
        return np.sqrt(((self.fast - self.plain) ** 2).mean(0))

    @property
    def spread(self) -> np.ndarray:
        """(evaluations,) how far two seeds of the plain path are from each other, root of the mean square."""
        return self.plain.std(0, ddof=1) * 2**0.5

    @property
    def over_the_curve(self) -> tuple[float, float]:
        """`same_seed` and `spread`, root of the mean square over the evaluations."""
        same, seeds = (float(np.sqrt((distance**2).mean())) for distance in (self.same_seed, self.spread))
        return same, seeds

    @property
    def within_spread(self) -> bool:
        """Whether paths of the same seed are nearer to each other than seeds of the same path, over the whole curve.

        At one evaluation the spread of a handful of seeds is too uncertain to be a bound.
        """
        same, seeds = self.over_the_curve
        return same < seeds


def curve(
    backbone: Backbone, data: LanguageData, kind: str, seed: int, *, steps: int, every: int, fast: bool
) -> list[float]:
    """Returns the held-out loss after every so many steps."""
    settings = TrainingSettings(
        steps=steps, batch_size=8, learning_rate=RATES[kind], evaluate_every=every, backbone_dropout=0.0
    )
    learner = language_learner(
        backbone, data, kind=kind, module=MODULES[kind], training=settings, seed=seed, name=f"{kind} {seed}"
    )
    losses: list[float] = []

    def listen(_name: str, event: dict) -> None:
        if event["event"] == "evaluate":
            losses.append(event["scores"]["validation_loss"])

    with nullcontext() if fast else backbone.plain():
        train(ComposedModel(backbone), [learner], listen=listen)
    return losses


def curves(backbone: Backbone, kind: str, *, seeds: int, steps: int, every: int) -> Curves:
    """Returns the curves of a kind of module."""
    data = language_data(
        backbone,
        TextSource(format="demo"),
        "de",
        objective=ObjectiveSettings(max_length=48),
        num_validation_chunks=32,
    )
    of_seed = partial(curve, backbone, data, kind, steps=steps, every=every)
    fast, plain = ([of_seed(seed, fast=path) for seed in range(seeds)] for path in (True, False))
    return Curves(np.asarray(fast), np.asarray(plain))


def main() -> None:
    """Trains, and prints what the paths differ by beside the spread of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="nano")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    backbone = Backbone.load(arguments.backbone, dtype=arguments.dtype)
    print(f"{backbone.name}, {backbone.device}, {backbone.dtype}; held-out loss, {arguments.seeds} seeds")
    fine, every = True, max(arguments.steps // 10, 1)
    for kind in MODULES:
        found = curves(backbone, kind, seeds=arguments.seeds, steps=arguments.steps, every=every)
        fine = fine and found.within_spread
        same, seeds = found.over_the_curve
        verdict = "within" if found.within_spread else "OUTSIDE"
        print(f"{kind}: {verdict} the spread of seeds, over the curve {same:.4f} against {seeds:.4f}")
        print("  step    fast   plain   means apart     same seed       seeds")
        columns = (found.fast.mean(0), found.plain.mean(0), found.apart, found.same_seed, found.spread)
        for number, (fast, plain, *distances) in enumerate(zip(*columns, strict=True), 1):
            apart = "".join(f"{distance:14.4f}" for distance in distances)
            print(f"  {number * every:4}  {fast:.4f}  {plain:.4f}{apart}")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
