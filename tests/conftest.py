"""Shared fixtures: the tiny golden backbone, its modules, and where the public data may lie."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lingport.backbones.base import Backbone
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.modules.base import TransferModule, new_module

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """The tiny mT5 of the golden files: 2 + 2 layers, width 32, float32."""
    return Backbone.load(str(GOLDEN / "base"), dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data beside the project; tests that need it skip without it."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs ../shared/data, which is not here")
    return SHARED / "data"


@pytest.fixture(scope="session")
def golden_modules(backbone: Backbone) -> dict[str, TransferModule]:
    """Our modules, filled with the golden weights: la, ta, lp, tp."""
    modules = {}
    for role in ("language", "task"):
        modules[f"{role[0]}a"] = golden_adapter(backbone, role)
        modules[f"{role[0]}p"] = golden_prompt(backbone, role)
    return modules


def golden_adapter(backbone: Backbone, role: str) -> TransferModule:
    theirs = load_file(GOLDEN / "adapterhub-1.3" / role / "adapter.safetensors")
    down = {name: value for name, value in theirs.items() if name.endswith("adapter_down.0.weight")}
    bottleneck = next(iter(down.values())).shape[0]
    adapter = new_module("adapter", AdapterSettings(reduction=backbone.layout.width / bottleneck), backbone)
    with torch.no_grad():
        for name, value in theirs.items():
            tensor, index = adapterhub_place(backbone, name)
            getattr(adapter, tensor)[index].copy_(value)
    return adapter


def golden_prompt(backbone: Backbone, role: str) -> TransferModule:
    rows = load_file(GOLDEN / "peft-0.21" / role / "adapter_model.safetensors")["prompt_embeddings"]
    rows = rows[: len(rows) // 2]
    prompt = new_module("prompt", PromptSettings(num_virtual_tokens=len(rows), init="random"), backbone)
    with torch.no_grad():
        prompt.get_parameter("prompt").copy_(rows)
    return prompt


def adapterhub_place(backbone: Backbone, name: str) -> tuple[str, int]:
    """AdapterHub's tensor name -> our tensor's name and the index of the site."""
    path = name.split(".adapters.")[0]
    index = next(i for i, site in enumerate(backbone.layout.sites("feed_forward")) if path.endswith(site.path))
    direction = "down" if "adapter_down" in name else "up"
    return f"{direction}_{name.rsplit('.', 1)[1]}", index
