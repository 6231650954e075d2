"""What the verbs that train one module share: their options, and one training from settings to the saved module.

Not here: what is particular to languages (`train_language.py`) and to tasks (`train_task.py`).
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from lingport.cli.options import (
    BackboneName,
    Device,
    Dtype,
    Json,
    Out,
    Processes,
    Seed,
    Steps,
    Track,
    TrainingOverrides,
)
from lingport.cli.show import say

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lingport.backbones.base import Backbone
    from lingport.compose.model import ComposedModel
    from lingport.train.cost import Cost
    from lingport.train.learner import Learner, TrainResult
    from lingport.train.parallel import Team

    Facts = Callable[[TrainResult, ComposedModel], dict[str, Any]]


@dataclass(frozen=True)
class TrainingOptions:
    """The options that every verb has which trains one module; a field is an option."""

    out: Out
    overrides: TrainingOverrides = None
    backbone: BackboneName = None
    steps: Steps = None
    seed: Seed = 1
    dtype: Dtype = "auto"
    device: Device = "auto"
    processes: Processes = 1
    track: Track = None
    as_json: Json = False


@dataclass(frozen=True)
class Training:
    """One module to be trained: all settings are known to be right, nothing is read yet.

    Attributes:
        backbone: What it will act in.
        identity: Hash of everything that decides the result.
        begin: Reads the data; gives the learner, and what tells at the end which facts the module remembers of its
            training besides settings and counts.
    """

    backbone: Backbone
    identity: str
    begin: Callable[[], tuple[Learner, Facts]]


def training_verb(verb: Callable[..., None]) -> Callable[..., None]:
    """Returns a verb as typer wants it: with its own options and those of `TrainingOptions` in one list.

    The verb itself is called with the latter as its argument `common`.
    """
    shared = inspect.signature(TrainingOptions).parameters
    own = [parameter for name, parameter in inspect.signature(verb).parameters.items() if name != "common"]
    hints = get_type_hints(TrainingOptions, include_extras=True) | get_type_hints(verb, include_extras=True)

    @functools.wraps(verb)
    def command(**given: Any) -> None:
        common = TrainingOptions(**{name: given.pop(name) for name in shared})
        verb(common=common, **given)

    listed = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in (*own, *shared.values())
    ]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in listed}
    command.__dict__["__signature__"] = inspect.Signature(listed)
    return command


def chosen_settings(roles: type[BaseModel], common: TrainingOptions, *, kind: str, **more: Any) -> tuple[Any, Any]:
    """Returns what `key=value` arguments say, defaults filled in, and the training settings among it.

    Args:
        roles: `LanguageTraining` or `TaskTraining`.
        common: The options.
        kind: Kind of module.
        more: Further settings, name -> (type, default).

    Raises:
        ConfigError: All that is wrong with them at once.
    """
    from pydantic import create_model

    from lingport.cli import single

    training, module = single.kind_types(roles, kind)
    schema = create_model("SettingsOfOneTraining", __base__=training, module=(module, module()), **more)
    steps = [] if common.steps is None else [f"steps={common.steps}"]
    chosen = single.checked(schema, single.settings_given([*steps, *(common.overrides or [])]))
    return chosen, training.model_validate({key: getattr(chosen, key) for key in training.model_fields})


def train_module(
    prepare: Callable[..., Training], tell: Callable[..., None], common: TrainingOptions, **own: Any
) -> None:
    """Trains a module in as many processes as are asked for, saves it, and tells what came out.

    Args:
        prepare: Called with `common`, `device` and the verb's own options in each process; a function of a module.
        tell: Called with the module's folder and `as_json`.
        common: The options.
        own: The verb's own options.

    Raises:
        ConfigError: The settings are wrong.
        TrainingError: Training failed, or one of the processes.
    """
    from lingport.errors import ConfigError
    from lingport.train.launch import launch
    from lingport.train.parallel import started_by_launcher
    from lingport.train.trackers import check_trackers

    check_trackers(common.track or [])
    if common.processes == 1:
        if not _train(prepare=prepare, common=common, own=own):
            return
    elif started_by_launcher():
        raise ConfigError("this is one of several processes already", hint="leave --processes to torchrun")
    else:
        launch(_member, processes=common.processes, prepare=prepare, common=common, own=own)
    tell(common.out, as_json=common.as_json)


def _member(**arguments: Any) -> None:
    from lingport.cli.main import DEBUG, be_quiet

    be_quiet(debug=DEBUG in sys.argv)
    _train(**arguments)


def _train(*, prepare: Callable[..., Training], common: TrainingOptions, own: dict[str, Any]) -> bool:
    """Returns whether this process is the one that tells."""
    from lingport.cli import single
    from lingport.compose.model import ComposedModel
    from lingport.train.learner import remember_training
    from lingport.train.parallel import joined

    with joined(common.device) as (team, device), _one_voice(team):
        training = prepare(common, device=device, **own)
        if single.is_trained(common.out, training.identity):
            say(f"{common.out} is trained already, with these settings and data")
            return team.first
        (learner, facts), model = training.begin(), ComposedModel(training.backbone)
        say(f"{learner.module.num_trained:,} numbers are trained" + (f" by {team.size} processes" * (team.size > 1)))
        result, cost, resumed_at = _learn(model, learner, common, team)
        if team.first:
            spent = {"seconds": round(cost.seconds, 1), "peak_bytes": cost.peak_bytes, "resumed_at": resumed_at}
            remember_training(learner, result, **facts(result, model), **spent, processes=team.size)
            single.keep(learner.module, common.out, learner)
        return team.first


@contextmanager
def _one_voice(team: Team) -> Iterator[None]:
    """Silences all processes but the first; errors are raised and heard."""
    if team.first:
        yield
        return
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(level)


def _learn(
    model: ComposedModel, learner: Learner, common: TrainingOptions, team: Team
) -> tuple[TrainResult, Cost, int]:
    """Returns what training gave, what it cost, and after which step it went on; records and shows its events."""
    from lingport.cli.progress import Progress
    from lingport.grid.ledger import Ledger
    from lingport.train.cost import measured
    from lingport.train.loop import train
    from lingport.train.trackers import TrackedRun, tracked

    ledger, name = Ledger(common.out.parent), learner.name
    resumed_at = 0
    settings = learner.settings.model_dump(mode="json")
    run = TrackedRun(name, learner.identity, common.out.parent, settings=settings)
    if team.first and learner.checkpoint is not None and not learner.checkpoint.exists():
        ledger.restart_metrics(name, after_step=-1)
    with Progress() as progress, tracked(common.track or [], [run]) as track, measured(model.backbone.device) as cost:

        def listen(name: str, event: dict[str, Any]) -> None:
            nonlocal resumed_at
            if event["event"] == "resume":
                resumed_at = event["step"]
                ledger.restart_metrics(name, after_step=resumed_at)
            else:
                ledger.add_metric(name, event)
                track(name, event)
            _show(progress, name, event, learner.settings.steps)

        (result,) = train(model, [learner], listen=listen, team=team)
    return result, cost, resumed_at


def _show(progress: Any, name: str, event: dict[str, Any], steps: int) -> None:
    if event["event"] == "train":
        progress.step(name, event["step"], steps, f"loss {event['loss']:.3f}")
    elif event["event"] == "resume":
        progress.say(f"{name}: goes on after step {event['step']:,}")
    else:
        scores = {key: value for key, value in event["scores"].items() if key != "score"}  # said by name
        told = ", ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in scores.items())
        progress.say(f"{name}: step {event['step']:,}: {told}")


def cost_of(out: Path, training: dict[str, Any]) -> dict[str, Any]:
    """Returns what a training cost, for the answer as JSON: seconds, peak memory, processes, and its metrics file."""
    keys = ("seconds", "peak_bytes", "processes", "resumed_at")
    return {key: training.get(key) for key in keys} | {"metrics": str(out.parent / "metrics" / f"{out.name}.jsonl")}


def cost_line(out: Path, training: dict[str, Any]) -> str:
    """Returns what a training cost, as a line to read."""
    from lingport.cli.progress import clock_time

    cost = cost_of(out, training)
    steps = training["steps"] - (cost["resumed_at"] or 0)
    parts = [f"{steps:,} step{'s' * (steps != 1)} in {clock_time(cost['seconds'])}"]
    if cost["seconds"]:
        parts[0] += f" ({steps / cost['seconds']:.1f} a second)"
    if cost["peak_bytes"]:
        parts.append(f"{cost['peak_bytes'] / 2**30:.1f} GiB of memory at most")
    return f"{', '.join(parts)}; every step is in {cost['metrics']}"
