"""A learner: one module with its own data, optimiser, schedule, random numbers and stopping.

The loop steps learners; what is particular to languages and tasks is in `language.py` and `task.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.errors import TrainingError
from lingport.modules.base import TransferModule
from lingport.modules.store import weights_hash
from lingport.train.checkpoint import (
    load_checkpoint,
    load_optimizer_tensors,
    optimizer_tensors,
    save_checkpoint,
)
from lingport.train.optim import OPTIMIZERS, rate_at
from lingport.train.parallel import ALONE, Team

Listener = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Learner:
    """What is to be learnt.

    Attributes:
        name: Shown in progress and errors.
        module: The module whose parameters are trained; it ends with the selected weights.
        composition: What acts on the rows; holds the module.
        rows: Step -> its rows. A pure function: calling it again gives the same rows.
        row_compositions: Step -> what acts on each of its rows; all hold the module. None: `composition` on all.
        settings: The training run.
        seed: Decides dropout; data and initialisation have their own.
        validate: Gives `validation_loss` and, for tasks, `score`; None: nothing is validated.
        checkpoint: File to resume from; None: no checkpoints.
        identity: Hash of everything that decides the result; a checkpoint of another identity is refused.
    """

    name: str
    module: TransferModule
    composition: Composition
    rows: Callable[[int], Sequence[Row]]
    settings: TrainingSettings
    seed: int = 0
    row_compositions: Callable[[int], Sequence[Composition]] | None = None
    validate: Callable[[ComposedModel], dict[str, float]] | None = None
    checkpoint: Path | None = None
    identity: str = ""

    def acting(self, step: int, *, num_rows: int) -> Sequence[Composition]:
        """Returns what acts on each row of a step."""
        return self.row_compositions(step) if self.row_compositions else [self.composition] * num_rows


@dataclass
class TrainResult:
    """What a run of a learner gave.

    Attributes:
        steps: Steps made, earlier runs that were resumed included.
        rows: Rows seen.
        tokens: Input tokens seen, padding not counted.
        best_step: Step whose weights the module holds now.
        scores: Validation at that step; empty without validation.
        stopped_early: Whether patience ran out.
    """

    steps: int = 0
    rows: int = 0
    tokens: int = 0
    best_step: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    stopped_early: bool = False


class LearnerState:
    """A learner under way: counters, optimiser, best weights so far.

    Args:
        learner: What is to be learnt.
        listen: Told of every event: `train`, `evaluate`, `resume`.
        team: The processes that train it together.

    Raises:
        TrainingError: The checkpoint is damaged or of another run, or the processes do not begin alike.
    """

    def __init__(self, learner: Learner, listen: Listener, team: Team = ALONE) -> None:
        self.learner = learner
        self.settings = learner.settings
        self.result = TrainResult()
        self._listen = listen
        self._team = team
        self._best: dict[str, Tensor] | None = None
        self._best_value = -math.inf
        self._without_better = 0
        self.parameters: list[nn.Parameter] = list(learner.module.parameters())
        learner.module.requires_grad_(True)
        self.optimizer = OPTIMIZERS.get(self.settings.optimizer)(self.parameters, self.settings)
        if learner.checkpoint is not None and learner.checkpoint.exists():
            self._resume(learner.checkpoint)
        team.check_same(lambda: [learner.identity, self.result.steps, weights_hash(learner.module)])

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.result.stopped_early or self.result.steps >= self.settings.steps

    def apply_gradients(self, loss: float) -> None:
        """Makes the optimiser's step from the gradients that lie in the parameters.

        Raises:
            TrainingError: The loss or a gradient is not finite.
        """
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm or math.inf)
        if not math.isfinite(loss) or not math.isfinite(norm.item()):
            raise TrainingError(
                f"the {'gradient' if math.isfinite(loss) else 'loss'} is not finite at step {self.result.steps + 1}",
                where=self.learner.name,
                hint="lower the learning rate, or load the backbone in float32",
            )
        rate = rate_at(self.result.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.result.steps += 1
        self._listen(
            self.learner.name,
            {"event": "train", "step": self.result.steps, "loss": loss, "learning_rate": rate},
        )

    def after_step(self, model: ComposedModel) -> None:
        """Validates, selects, stops early and writes a checkpoint where one of them is due."""
        last = self.result.steps >= self.settings.steps
        if self.learner.validate is not None and (last or self.result.steps % self.settings.evaluate_every == 0):
            self._validate(model)
        if (
            self.learner.checkpoint is not None
            and self._team.first
            and not self.done
            and self.result.steps % self.settings.checkpoint_every == 0
        ):
            self._save(self.learner.checkpoint)

    def finish(self) -> TrainResult:
        """Returns the result; the module then holds the selected weights, frozen."""
        if self._best is not None:
            self.learner.module.load_state_dict(self._best)
        else:
            self.result.best_step = self.result.steps
        self.learner.module.requires_grad_(False)
        return self.result

    def _validate(self, model: ComposedModel) -> None:
        validate = self.learner.validate
        assert validate is not None
        # One process decides for all: scores that differ in the last bit could stop one and not the other.
        scores = self._team.of_first(lambda: validate(model))
        self._listen(self.learner.name, {"event": "evaluate", "step": self.result.steps, "scores": scores})
        if self.settings.selection == "last":
            self.result.scores = scores
            return
        value = -scores["validation_loss"] if self.settings.selection == "loss" else scores["score"]
        if value > self._best_value:
            self._best_value, self._without_better = value, 0
            self._best = {name: tensor.detach().clone() for name, tensor in self.learner.module.state_dict().items()}
            self.result.best_step, self.result.scores = self.result.steps, scores
            return
        self._without_better += 1
        if self.settings.patience is not None and self._without_better >= self.settings.patience:
            self.result.stopped_early = True

    def _save(self, file: Path) -> None:
        tensors = {f"module.{name}": value for name, value in self.learner.module.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in (self._best or {}).items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        state = {
            "identity": self.learner.identity,
            "result": asdict(self.result),
            "best_value": None if self._best_value == -math.inf else self._best_value,
            "without_better": self._without_better,
        }
        save_checkpoint(file, tensors=tensors, state=state)

    def _resume(self, file: Path) -> None:
        tensors, state = load_checkpoint(file)
        if state["identity"] != self.learner.identity:
            raise TrainingError(
                "the checkpoint belongs to other settings, data or modules",
                where=str(file),
                hint="use another output folder, or remove the checkpoint",
            )
        parts: dict[str, dict[str, Tensor]] = {"module": {}, "best": {}, "optimizer": {}}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        self.learner.module.load_state_dict(parts["module"])
        load_optimizer_tensors(self.optimizer, parts["optimizer"])
        self.result = TrainResult(**state["result"])
        device = self.parameters[0].device
        self._best = {name: value.to(device) for name, value in parts["best"].items()} or None
        self._best_value = -math.inf if state["best_value"] is None else state["best_value"]
        self._without_better = state["without_better"]
        self._listen(self.learner.name, {"event": "resume", "step": self.result.steps})


def remember_training(learner: Learner, result: TrainResult, **facts: Any) -> None:
    """Writes into the module's provenance how it was trained.

    Args:
        learner: What was learnt; its identity is kept as the job's id.
        result: What training gave.
        facts: What else is worth knowing: losses, scores, data.
    """
    learner.module.provenance.training = {
        "job": learner.identity,
        "seed": learner.seed,
        "settings": learner.settings.model_dump(mode="json"),
        "steps": result.steps,
        "rows": result.rows,
        "tokens": result.tokens,
        "stopped_early": result.stopped_early,
        "fusion": learner.composition.fusion,
        **facts,
    }
