"""The other side of the benchmark: a library's training step, run in an environment of that library's own.

    python peer.py adapters|peft BACKBONE_FOLDER MODULE_FOLDER DTYPE THREADS DEVICE [compiled]

A script beside the package: it imports nothing of lingport but its neighbour `wire.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
import transformers
import wire  # pyright: ignore[reportMissingImports]
from transformers import AutoModelForSeq2SeqLM

IGNORED = -100


def load_adapters(backbone: str, module: str, dtype: torch.dtype) -> tuple[Any, str]:
    """A model with a trainable adapter."""
    import adapters  # pyright: ignore[reportMissingImports]

    model = AutoModelForSeq2SeqLM.from_pretrained(backbone, dtype=dtype)
    adapters.init(model)
    name = model.load_adapter(module, use_safetensors=True)
    model.train_adapter(name)
    return model.to(dtype), adapters.__version__


def load_peft(backbone: str, module: str, dtype: torch.dtype) -> tuple[Any, str]:
    """A model with a trainable soft prompt."""
    import peft  # pyright: ignore[reportMissingImports]

    base = AutoModelForSeq2SeqLM.from_pretrained(backbone, dtype=dtype)
    model = peft.PeftModel.from_pretrained(base, module)
    model.peft_config["default"].inference_mode = False  # it refuses to load a prompt as trainable
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("prompt_encoder" in name)
    return model, peft.__version__


LIBRARIES: dict[str, Callable[[str, str, torch.dtype], tuple[Any, str]]] = {
    "adapters": load_adapters,
    "peft": load_peft,
}


def main(library: str, backbone: str, module: str, dtype: str, threads: str, device: str, compiled: str = "") -> None:
    """Loads, and answers until the other end closes."""
    torch.set_num_threads(int(threads))
    model, version = LIBRARIES[library](backbone, module, getattr(torch, dtype))
    model = model.to(device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-5, weight_decay=0.0)
    computed = torch.compile(model) if compiled else model

    def step(rows: wire.Rows, pad_to: int | None, train: bool) -> float:
        input_ids = padded([ids for ids, _ in rows], 0, pad_to).to(device)
        labels = padded([ids for _, ids in rows], IGNORED, None).to(device)
        model.train(train)
        with torch.set_grad_enabled(train):
            loss = computed(input_ids=input_ids, attention_mask=(input_ids != 0).long(), labels=labels).loss
        if train:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    versions = {library: version, "transformers": transformers.__version__, "torch": torch.__version__}
    wire.serve({"versions": versions, "num_trained": sum(each.numel() for each in trained)}, step, device)


def padded(rows: list[list[int]], value: int, length: int | None) -> torch.Tensor:
    """Rows side by side, filled up to a length."""
    longest = max(len(row) for row in rows) if length is None else length
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
