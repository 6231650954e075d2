"""How long it takes to load a module and attach it to a backbone of 580 million parameters, and what memory it takes.

    python -m benchmarks.load_module

The backbone has mT0-base's shape and random weights in bfloat16 (1.2 GB); nothing is downloaded. The modules have the
paper's sizes, in our format and in those of other libraries. Times are medians of 20, files in the page cache. The
backbone's fingerprint is worked out once a backbone, before its first module, and is told apart.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from lingport.backbones.base import Backbone
from lingport.backbones.shapes import random_backbone
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.formats.load import export_module, load_module
from lingport.modules.base import TransferModule, new_module
from lingport.modules.store import save_module

TIMES = 20


def resident_mb() -> float:
    """Memory of this process that lies in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def folders(own: Backbone, place: Path) -> dict[str, Path]:
    """Modules of the paper's sizes in every format that is read."""
    adapter = new_module("adapter", AdapterSettings(), own)
    prompt = new_module("prompt", PromptSettings(num_virtual_tokens=50, init="vocab"), own)
    found = {"our adapter": save_module(adapter, place / "a"), "our prompt": save_module(prompt, place / "p")}
    found["AdapterHub"] = export_module(adapter, place / "ah", own, to="adapterhub")
    found["PEFT"] = export_module(prompt, place / "peft", own, to="peft")
    for name, like, weights, pickled in (
        ("AdapterHub, pickled", "AdapterHub", "adapter.safetensors", "pytorch_adapter.bin"),
        ("the paper's prompt", "PEFT", "adapter_model.safetensors", "adapter_model.bin"),
    ):
        folder = place / name
        folder.mkdir()
        torch.save(load_file(found[like] / weights), folder / pickled)
        config = json.loads((found[like] / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "task_prompt": False}))
        found[name] = folder
    return found


def median_ms(act: Callable[[], Any]) -> float:
    """Median time of a call in milliseconds."""
    times = []
    for _ in range(TIMES):
        start = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def attach(model: ComposedModel, module: TransferModule) -> None:
    """Attaches and detaches a module."""
    with model.using(Composition(task=module)):
        pass


def main() -> None:
    """Measures and prints a table."""
    own = random_backbone("mt5-base", dtype=torch.bfloat16)
    model = ComposedModel(own)
    start = time.perf_counter()
    _ = own.fingerprint, own.shape_fingerprint
    print(f"{own.num_parameters:,} parameters, {own.dtype}; fingerprint {time.perf_counter() - start:.1f} s, once")
    places = {name: parameter.data_ptr() for name, parameter in own.model.named_parameters()}
    print(f"\n{'module':22} {'numbers':>10} {'load ms':>8} {'attach ms':>10} {'together ms':>12} {'memory MB':>10}")
    with tempfile.TemporaryDirectory() as place:
        for name, folder in folders(own, Path(place)).items():
            before = resident_mb()
            module = load_module(folder, own)
            with model.using(Composition(task=module)):
                grown = resident_mb() - before
            load = median_ms(lambda folder=folder: load_module(folder, own))
            on = median_ms(lambda module=module: attach(model, module))
            print(f"{name:22} {module.num_trained:>10,} {load:8.1f} {on:10.1f} {load + on:12.1f} {grown:10.1f}")
    unmoved = places == {name: parameter.data_ptr() for name, parameter in own.model.named_parameters()}
    print(f"\nthe backbone's tensors lie where they lay: {unmoved}")


if __name__ == "__main__":
    main()
