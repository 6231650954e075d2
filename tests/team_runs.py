"""Trainings that tests do in several processes and in one; a module of its own, since new processes import it."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.data.order import generator
from lingport.errors import TrainingError
from lingport.modules.store import weights_hash
from lingport.train.checkpoint import save_checkpoint
from lingport.train.learner import Learner
from lingport.train.loop import train
from lingport.train.parallel import ALONE, Team, joined
from tests.tiny import module, shared

#: name -> kind, settings: every kind, both optimisers, rows that cannot be shared out evenly or at all
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "adapter": ("adapter", {"batch_size": 4}),
    "uneven": ("adapter", {"batch_size": 5, "tokens_at_once": 24}),
    "a row alone": ("prompt", {"batch_size": 1}),
    "prompt": ("prompt", {"optimizer": "adafactor", "learning_rate": 0.1, "weight_decay": 1e-5}),
    "full": ("full", {"selection": "score", "patience": 1, "weight_decay": 0.1}),
}


def case(name: str, *, rank: int = 0, checkpoint: Path | None = None, identity: str = "this run") -> Learner:
    """A run of four steps, a checkpoint every two; its score falls from step 2 on, and says who measured it."""
    kind, changes = CASES[name]
    own = module(kind, shared("mt5"))
    usual = {"steps": 4, "batch_size": 4, "learning_rate": 0.01, "backbone_dropout": 0.0}
    known = TrainingSettings(**(usual | {"evaluate_every": 1, "checkpoint_every": 2} | changes))
    scores = iter([0.5, 0.7, 0.6, 0.1, 0.0])

    def rows(step: int) -> list[Row]:
        draw = generator("rows", step)
        lengths = [(int(draw.integers(2, 9)), int(draw.integers(1, 5))) for _ in range(known.batch_size)]
        return [Row([*draw.integers(3, 60, s).tolist(), 1], [*draw.integers(3, 60, t).tolist(), 1]) for s, t in lengths]

    def validate(_model: ComposedModel) -> dict[str, float]:
        # A second process that measured for itself would go on where the first stops.
        return {"validation_loss": 1.0, "score": next(scores) if rank == 0 else 0.0}

    return Learner(
        name, own, Composition(task=own), rows, known, validate=validate, checkpoint=checkpoint, identity=identity
    )


def train_cases(folder: Path, team: Team = ALONE) -> None:
    """Trains all cases and writes per process: losses, result, weights."""
    for name in CASES:
        own = case(name, rank=team.rank)
        losses: list[float] = []
        (result,) = train(
            ComposedModel(shared("mt5")),
            [own],
            listen=lambda _name, event, losses=losses: losses.append(event.get("loss", 0.0)),
            team=team,
        )
        place = folder / f"{name} {team.rank}"
        state = {"losses": losses, "result": dataclasses.asdict(result), "hash": weights_hash(own.module)}
        save_checkpoint(place.with_suffix(".safetensors"), tensors=dict(own.module.state_dict()), state=state)


def in_team(folder: Path, *, dies: bool = False) -> None:
    """What each process does: all cases; or the training that the second process does not live to finish."""
    with joined("cpu") as (team, device):
        assert device == "cpu"
        if dies:
            _until_killed(folder, team)
        train_cases(folder, team)
        try:
            train(ComposedModel(shared("mt5")), [case("adapter", identity=f"run {team.rank}")], team=team)
        except TrainingError as error:
            (folder / f"refused {team.rank}.txt").write_text(str(error))


def _until_killed(folder: Path, team: Team) -> None:
    own = case("adapter", rank=team.rank, checkpoint=folder / "c.safetensors")

    def rows(step: int) -> Sequence[Row]:
        if step == 3 and team.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return own.rows(step)

    train(ComposedModel(shared("mt5")), [dataclasses.replace(own, rows=rows)], team=team)
