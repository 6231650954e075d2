"""Training runs that tests interrupt and kill; a module of its own so that a subprocess can import it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.data.order import generator
from lingport.train.learner import Learner
from lingport.train.loop import train
from tests.tiny import module, shared

CASES = {
    "adamw-score": ("adapter", {"selection": "score"}),
    "adafactor-loss": (
        "prompt",
        {"optimizer": "adafactor", "learning_rate": 0.1, "weight_decay": 1e-5, "selection": "loss"},
    ),
    "dropout-last": ("adapter", {"backbone_dropout": 0.1, "tokens_at_once": 12}),
    "full": ("full", {"selection": "score", "patience": 9}),
}


def case(name: str, checkpoint: Path | None, *, identity: str = "this run") -> Learner:
    """A run of six steps, a checkpoint every two, validated at every step."""
    kind, changes = CASES[name]
    own = module(kind, shared("mt5"))
    usual = {"steps": 6, "batch_size": 2, "learning_rate": 0.01, "backbone_dropout": 0.0}
    known = TrainingSettings(**(usual | {"evaluate_every": 1, "checkpoint_every": 2} | changes))

    def rows(step: int) -> list[Row]:
        draw = generator("rows", step)
        return [Row([*draw.integers(3, 60, 5).tolist(), 1], [*draw.integers(3, 60, 2).tolist(), 1]) for _ in range(2)]

    def validate(_model: ComposedModel) -> dict[str, float]:
        first = next(iter(own.parameters())).detach().flatten()[0].item()
        value = abs(first * 1000) % 1
        return {"validation_loss": value, "score": value}

    return Learner(
        name, own, Composition(task=own), rows, known, validate=validate, checkpoint=checkpoint, identity=identity
    )


def until_killed(file: str) -> None:
    """Trains and kills this process in the middle of the run, without a chance to clean up."""

    def listen(_name: str, event: dict) -> None:
        if event["event"] == "train" and event["step"] == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    train(ComposedModel(shared("mt5")), [case("adamw-score", Path(file))], listen=listen)
