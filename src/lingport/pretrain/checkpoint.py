"""Saving a pretraining run so that it can be stopped and gone on with, and its model in transformers' format.

Tensors go to safetensors, the rest to JSON; everything is written under a temporary name and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import MT5ForConditionalGeneration, PreTrainedTokenizerBase

from lingport.errors import TrainingError

STATE_FILE = "state.json"
TENSOR_FILE = "tensors.safetensors"


def _replace_folder(written: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    written.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _fresh(folder: Path) -> Path:
    fresh = folder.with_name(folder.name + ".writing")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh


def save_backbone(model: MT5ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a model in bfloat16 with its tokenizer, in transformers' format; the folder is replaced at once."""
    fresh = _fresh(folder)
    kept = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    try:
        torch.nn.Module.to(model, torch.bfloat16)
        model.save_pretrained(fresh)
    finally:
        torch.nn.Module.to(model, torch.float32)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(kept[name])
    tokenizer.save_pretrained(fresh)
    _replace_folder(fresh, folder)


def save_checkpoint(
    folder: Path,
    *,
    model: torch.nn.Module,
    optimizers: dict[str, torch.optim.Optimizer],
    state: dict[str, Any],
) -> None:
    """Writes everything that a run needs to go on; the folder is replaced at once.

    Args:
        folder: Where to; replaced.
        model: In float32.
        optimizers: By name; tensors of their state are kept, their settings are the recipe's.
        state: JSON values: where the run stands.
    """
    fresh = _fresh(folder)
    tensors = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    for label, optimizer in optimizers.items():
        for index, values in optimizer.state_dict()["state"].items():
            for key, value in values.items():
                tensors[f"{label}.{index}.{key}"] = torch.as_tensor(value)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, fresh / TENSOR_FILE)
    with (fresh / STATE_FILE).open("w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    _replace_folder(fresh, folder)


def load_checkpoint(
    folder: Path, *, model: torch.nn.Module, optimizers: dict[str, torch.optim.Optimizer]
) -> dict[str, Any]:
    """Puts a checkpoint's tensors into the model and its optimisers; returns the state saved with them.

    Raises:
        TrainingError: The checkpoint is of another model.
    """
    tensors = load_file(folder / TENSOR_FILE)
    state = json.loads((folder / STATE_FILE).read_text("utf-8"))
    parameters = dict(model.named_parameters())
    expected = {f"model.{name}": tuple(parameter.shape) for name, parameter in parameters.items()}
    found = {name: tuple(value.shape) for name, value in tensors.items() if name.startswith("model.")}
    if expected != found:
        raise TrainingError("the checkpoint is of another model", where=str(folder), hint="take another output folder")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model.{name}"])
    for label, optimizer in optimizers.items():
        values: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(f"{label}."):
                _, index, key = name.split(".", 2)
                values.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": values})
    return state
