"""`lingport pretrain`: makes a small backbone from raw text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lingport.cli.options import Json, Overrides, RecipeFile, example
from lingport.cli.show import answer, say, table

EXAMPLES = """
lingport pretrain recipes/nano.yaml --out runs/nano
lingport pretrain recipes/nano.yaml --out runs/short stages.0.hours=0.05
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("pretrain", short_help="Make a small backbone from raw text.", epilog=example(EXAMPLES))(pretrain)


def pretrain(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; the model is in OUT/backbone at the end.")],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Make a backbone: vocabulary and model, from raw text, as the recipe says.

    Takes hours. A pretraining that was stopped goes on from its last checkpoint when the same command is given
    again, and OUT/snapshot holds a model that can be used while it runs. At the end it is measured on unseen text:
    OUT/backbone/evaluation.json.
    """
    import json

    from lingport.cli.progress import Progress
    from lingport.config.load import read_yaml, with_overrides
    from lingport.pretrain import evaluate, loop
    from lingport.pretrain.recipe import read_recipe

    settings = read_recipe(with_overrides(read_yaml(recipe), overrides).data) if overrides else read_recipe(recipe)
    say(f"reading text in {len(settings.languages)} languages")
    with Progress() as progress:
        seen: dict[str, Any] = {}

        def show(event: dict[str, Any]) -> None:
            seen.update(event)
            told = [f"{key} {value:,}" for key, value in event.items() if isinstance(value, (int, float))]
            progress.say(f"{event['event']}: {event.get('stage', '')} {', '.join(told)}")
            if "fraction" in event:
                progress.bar("stage", event["fraction"], 1.0, f"stage {event['stage']}")

        folder = loop.pretrain(settings, out, progress=show)
        progress.say("measuring it on unseen text")
    measured = evaluate.evaluate_backbone(folder, settings)
    (folder / "evaluation.json").write_text(json.dumps(measured, indent=2) + "\n", "utf-8")
    if as_json:
        answer({"backbone": str(folder), "log": str(out / "log.jsonl"), "last": seen, "evaluation": measured})
        return
    names = list(measured["mean"])
    rows = [*measured["languages"].items(), ("mean", measured["mean"])]
    table(
        ["language", *names],
        ([language, *(scores[name] for name in names)] for language, scores in rows),
        title="loss: span corruption, nats per target token; marked_N: spans of N pieces given back, of 1",
    )
    typer.echo(f"saved: {folder}")
    typer.echo(f"use it with --backbone {folder}, or backbone.name={folder} in a recipe")
