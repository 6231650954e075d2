"""Checkpoints of a learner: one safetensors file, replaced whole, so that a killed run leaves the last good one.

Holds tensors and JSON only. Not a module: those are written by `lingport.modules.store` when training is done.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from lingport.errors import TrainingError


def save_checkpoint(file: Path, *, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Writes tensors and a JSON state under a temporary name and then puts them in the file's place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    staging = file.with_name(f".{file.name}.{os.getpid()}")
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file(copies, staging, metadata={"state": json.dumps(state)})
    with staging.open("rb") as written:
        os.fsync(written.fileno())
    staging.replace(file)


def remove_checkpoint(file: Path) -> None:
    """Removes a checkpoint, or a folder of them, and what killed processes left half written; it need not be there."""
    shutil.rmtree(file, ignore_errors=True)
    for left in (file, *file.parent.glob(f".{file.name}.*")):
        left.unlink(missing_ok=True)


def load_checkpoint(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns what `save_checkpoint` wrote.

    Raises:
        TrainingError: The file is damaged.
    """
    try:
        with safe_open(file, framework="pt") as reader:
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118 - not a mapping
            return tensors, json.loads(reader.metadata()["state"])
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise TrainingError(
            f"the checkpoint cannot be read: {error}",
            where=str(file),
            hint="remove it to start this job again",
        ) from error


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Returns the optimiser's state as flat tensors, named `<parameter index>.<entry>`."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(value) for index, part in state.items() for name, value in part.items()}


def load_optimizer_tensors(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave, to the bit."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
