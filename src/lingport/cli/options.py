"""Options that several verbs share, so that they are called and explained alike.

Imports nothing heavy: every `--help` reads this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, and nothing else, on stdout.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings, values in YAML: seeds=[1,2] backbone.dtype=float32"),
]
TrainingOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Training settings (learning_rate=1e-3 batch_size=16), settings of the module "
        "(module.num_virtual_tokens=20) and of the data (data.limit=500).",
    ),
]
TaskOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings of the task, such as task.decoding=rank."),
]
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe (YAML); see recipes/.")]
BackboneName = Annotated[
    str | None,
    typer.Option("--backbone", help="nano, a folder, or a hub name. Default: the modules' own, else nano."),
]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, or auto.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, ...")]
Seed = Annotated[int, typer.Option(help="Decides every random number.")]
Steps = Annotated[int | None, typer.Option(help="Optimiser steps. Default: the paper's.")]
Processes = Annotated[
    int, typer.Option(min=1, help="Processes on this machine that train together, each with a GPU of its own if any.")
]
Track = Annotated[
    list[str] | None,
    typer.Option("--track", help="tensorboard, wandb or trackio: where to show the numbers besides. May be repeated."),
]
Language = Annotated[str, typer.Option(help="Code of the language: sk, de, ...")]
TaskName = Annotated[
    str | None, typer.Option("--task", help="Name in the catalogue (ner, qa, nli, claims, topic) or a YAML file.")
]
TaskModule = Annotated[Path | None, typer.Option(help="Folder of a task module, or user/name on the hub.")]
LanguageModule = Annotated[Path | None, typer.Option(help="Folder of a language module, or user/name on the hub.")]
AllowOtherBackbone = Annotated[
    bool,
    typer.Option(
        "--allow-other-backbone", help="Only warn where a module was trained on a sibling: other weights, same shapes."
    ),
]
DataFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="squad, columns, spans, xnli, table, hub, demo. Default: .csv .tsv .jsonl are table, .conll .conllu "
        ".iob2 are columns. With hub and demo, splits are named instead of files.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to make for the module.")]


def example(text: str) -> str:
    """Returns a help text's last part: examples that can be copied, one a line."""
    return "\b\nFor example:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())
