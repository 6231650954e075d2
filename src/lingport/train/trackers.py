"""Metrics passed on to TensorBoard, Weights & Biases or trackio, where a user asks for it. Off by default.

Nothing leaves the machine: W&B runs offline unless WANDB_MODE says otherwise, trackio keeps its local database.
Not here: the metrics that are always kept (`metrics/*.jsonl`, the ledger's).
"""

from __future__ import annotations

import contextvars
import importlib
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lingport.errors import ConfigError
from lingport.registry import Registry
from lingport.train.learner import Listener

TRACKERS: Registry[type[Tracker]] = Registry(
    "tracker",
    {
        "tensorboard": "lingport.train.trackers:TensorBoard",
        "wandb": "lingport.train.trackers:WeightsAndBiases",
        "trackio": "lingport.train.trackers:Trackio",
    },
)


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker shows as one run: the training of one module.

    Attributes:
        name: The learner's.
        id: The same for the same training, resumed or not.
        folder: Trackers that write files do so in a folder of their own below it.
        project: What the run is shown with.
        settings: Recorded with it; JSON.
    """

    name: str
    id: str
    folder: Path
    project: str = "lingport"
    settings: dict[str, Any] = field(default_factory=dict)


class Tracker(ABC):
    """One run at one tracker; opened by its first numbers.

    Args:
        run: What is trained.
        step: Step of the first numbers: above 1 where a training was resumed.
    """

    #: what is imported; the extra `tracking` installs it
    library: ClassVar[str]

    @abstractmethod
    def __init__(self, run: TrackedRun, step: int) -> None: ...

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records numbers of a step; steps never fall."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is not written yet."""

    @classmethod
    def load(cls) -> Any:
        """Returns the tracker's library.

        Raises:
            ConfigError: It is not installed.
        """
        try:
            return importlib.import_module(cls.library)
        except ImportError as error:
            package = cls.library.partition(".")[0] if "torch" not in cls.library else "tensorboard"
            raise ConfigError(
                f"the tracker needs {package}, which cannot be imported: {error}",
                hint=f"pip install {package}, or pip install 'lingport[tracking]' for all trackers",
            ) from error


class TensorBoard(Tracker):
    """Event files in tensorboard/<name>: `tensorboard --logdir FOLDER/tensorboard` shows them."""

    library = "torch.utils.tensorboard"

    def __init__(self, run: TrackedRun, step: int) -> None:
        # Steps after the last checkpoint were recorded before the training stopped, and come once more.
        self._writer = self.load().SummaryWriter(str(run.folder / "tensorboard" / run.name), purge_step=step)
        self._writer.add_text("settings", f"```json\n{json.dumps(run.settings, indent=2)}\n```", step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._writer.close()


class WeightsAndBiases(Tracker):
    """Runs in wandb/, offline unless WANDB_MODE says otherwise: `wandb sync FOLDER/wandb/offline-run-*` sends them."""

    library = "wandb"

    def __init__(self, run: TrackedRun, step: int) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when it is imported
        wandb = self.load()
        run.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=run.project,
            name=run.name,
            id=run.id,
            dir=str(run.folder),
            config=run.settings,
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",  # modules that are trained side by side are runs side by side
            # Our numbers and nothing about the machine, its files and its packages.
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


class Trackio(Tracker):
    """Rows of trackio's own local database (TRACKIO_DIR): `trackio show --project PROJECT` shows them."""

    library = "trackio"

    def __init__(self, run: TrackedRun, step: int) -> None:
        # Its `init` ends the context's other run; in contexts of their own they go side by side.
        context = contextvars.copy_context()
        with redirect_stdout(sys.stderr):  # standard output is the answer's
            self._run = context.run(
                self.load().init,
                project=run.project,
                name=run.name,
                config=run.settings,
                resume="allow" if step > 1 else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        with redirect_stdout(sys.stderr):
            self._run.finish()


def check_trackers(names: Sequence[str]) -> None:
    """Makes sure that trackers can be used, before anything is trained.

    Raises:
        UnknownNameError: There is no such tracker.
        ConfigError: Its library is not installed.
    """
    for name in names:
        TRACKERS.get(name).load()


@contextmanager
def tracked(names: Sequence[str], runs: Sequence[TrackedRun]) -> Iterator[Listener]:
    """Yields a listener of `train` that passes the numbers on to trackers, which are closed when the block ends.

    Args:
        names: Of trackers; none: the listener does nothing.
        runs: One per learner, of its name.
    """
    known = {run.name: run for run in runs}
    opened: dict[str, list[Tracker]] = {}

    def listen(name: str, event: dict[str, Any]) -> None:
        values = numbers(event)
        if not values:
            return
        if name not in opened:
            opened[name] = [TRACKERS.get(tracker)(known[name], event["step"]) for tracker in names]
        for tracker in opened[name]:
            tracker.log(event["step"], values)

    try:
        yield listen
    finally:
        for tracker in [tracker for each in opened.values() for tracker in each]:
            tracker.close()


def numbers(event: Mapping[str, Any]) -> dict[str, float]:
    """Returns what is to be drawn of an event of training: `train/loss`, `validation/loss`, `validation/f1`, ..."""
    plain = {f"train/{key}": event[key] for key in ("loss", "learning_rate") if key in event}
    scores = {f"validation/{key.removeprefix('validation_')}": value for key, value in event.get("scores", {}).items()}
    return plain | scores
