"""Our side of the benchmark: a step of a module as training makes it, or the plain way.

    python -m lingport.bench.own fast|recomputed|plain BACKBONE_FOLDER MODULE_FOLDER DTYPE THREADS DEVICE

Plain: the model's own code, all rows padded to the longest, logits of every target token, torch's cross-entropy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version

import torch

from lingport.backbones.base import Backbone
from lingport.backbones.heap import return_freed_memory
from lingport.bench.wire import Rows, serve
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row, collate
from lingport.modules.base import TransferModule
from lingport.modules.store import load_module
from lingport.train.learner import Learner, LearnerState
from lingport.train.loop import step as training_step

Step = Callable[[list[Row], bool], float]


def _fast(model: ComposedModel, module: TransferModule, *, recomputed: bool = False) -> Step:
    told: list[float] = []
    rows: list[Row] = []
    composition = Composition(task=module)
    learner = Learner(
        "bench",
        module,
        composition,
        lambda _step: rows,
        TrainingSettings.model_validate({"gradient_checkpointing": recomputed}),
    )
    state = LearnerState(learner, lambda _name, event: told.append(event["loss"]))

    def step(asked: list[Row], train: bool) -> float:
        rows[:] = asked
        if train:
            with model.backbone.dropout(model.backbone.dropout_rate(None)):
                training_step(model, [state])
            return told[-1]
        batch = collate(rows, pad_id=model.backbone.tokenizer.pad_token_id).to(model.backbone.device)
        with torch.no_grad(), model.using(composition):
            losses = model.row_losses(batch.input_ids, batch.attention_mask, batch.labels)
        return float(losses.sum() / sum(len(row.label_ids) for row in rows))

    return step


def _plain(model: ComposedModel, module: TransferModule) -> Step:
    module.requires_grad_(True)
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=5e-5, weight_decay=0.0)

    def step(asked: list[Row], train: bool) -> float:
        batch = collate(asked, pad_id=model.backbone.tokenizer.pad_token_id).to(model.backbone.device)
        with ExitStack() as block:
            block.enter_context(model.backbone.plain())
            block.enter_context(model.backbone.dropout(model.backbone.dropout_rate(None) if train else 0.0))
            block.enter_context(torch.set_grad_enabled(train))
            block.enter_context(model.using(Composition(task=module)))
            loss = model(batch.input_ids, batch.attention_mask, batch.labels).loss
            assert loss is not None
            if train:
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


WAYS: dict[str, Callable[[ComposedModel, TransferModule], Step]] = {
    "fast": _fast,
    "recomputed": partial(_fast, recomputed=True),
    "plain": _plain,
}


def main(way: str, folder: str, module_folder: str, dtype: str, threads: str, device: str) -> None:
    """Loads, and answers until the other end closes."""
    torch.set_num_threads(int(threads))
    backbone = Backbone.load(folder, dtype=dtype, device=device)
    module = load_module(module_folder, backbone)
    make = WAYS[way](ComposedModel(backbone), module)
    return_freed_memory()  # what loading needed would count as weights, and hide what a step takes

    def step(rows: Rows, _pad_to: int | None, train: bool) -> float:
        return make([Row(source, target) for source, target in rows], train)

    versions = {name: version(name) for name in ("lingport", "torch", "transformers")}
    serve({"versions": versions, "num_trained": module.num_trained}, step, device)


if __name__ == "__main__":
    main(*sys.argv[1:])
