"""`lingport check`: what is wrong with a recipe and what its data look like, before anything is trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lingport.cli.options import Json, Overrides, RecipeFile, example
from lingport.cli.show import answer, one_line, say

if TYPE_CHECKING:
    from lingport.grid.check import Checked, ExampleSet, TextSet

EXAMPLES = """
lingport check recipes/demo.yaml
lingport check recipes/demo.yaml targets=[sk,cs] --json
"""
#: characters of a rendered example that are shown
_LONGEST = 100


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("check", short_help="Find what is wrong with a recipe, before training.", epilog=example(EXAMPLES))(
        check
    )


def check(recipe: RecipeFile, overrides: Overrides = None, as_json: Json = False) -> None:
    """Find what is wrong with a recipe and its data, and show each data set; nothing is trained.

    Of each data set: its size, three examples as the model sees them, how many tokens they have, and how many
    are cut or read in windows. All problems are told at once.
    """
    found = _found(recipe, overrides or [])
    if as_json:
        answer(
            {
                "recipe": found.name,
                "problems": [
                    {"message": each.message, "where": each.where, "hint": each.hint} for each in found.problems
                ],
                "data": [dataclasses.asdict(each) for each in found.data],
            }
        )
    else:
        for each in found.data:
            _show(each)
    if found.problems:
        count = len(found.problems)
        say(f"\n{count} problem{'s' if count > 1 else ''} in {recipe}:")
        for error in found.problems:
            say("\n" + "\n".join(f"  {line}" for line in str(error).splitlines()))
        raise typer.Exit(2)
    say(f"\n{recipe}: nothing wrong was found in {len(found.data)} data sets")


def _found(recipe: Path, overrides: list[str]) -> Checked:
    from lingport.cli.progress import Progress
    from lingport.grid.check import check_recipe

    with Progress() as progress:

        def show(name: str) -> None:
            progress.bar("check", 0, 1, f"reading {name}")
            progress.line(f"reading {name}")

        return check_recipe(recipe, overrides, on_progress=show)


def _show(each: TextSet | ExampleSet) -> None:
    facts = dataclasses.asdict(each)
    what = f"task {facts['task']}" if "task" in facts else "text"
    unit = "examples" if "task" in facts else "texts"
    typer.echo(f"\n{what}, {each.language}, {each.split}: {each.size:,} {unit}")
    if "task" in facts:
        _lengths("input tokens", facts["input_tokens"], limit=facts["max_input_tokens"])
        _lengths("target tokens", facts["target_tokens"], limit=facts["max_target_tokens"])
        told = {
            "num_cut": "inputs are cut at their end",
            "num_windowed": "inputs are read in windows",
            "num_left_out": "examples are left out: no window holds their answer",
            "num_long_targets": "targets are longer than an output may be (max_target_tokens)",
        }
        for name, text in told.items():
            if facts[name]:
                typer.echo(f"  {facts[name]:,} {text}")
    else:
        _lengths("tokens", facts["tokens"])
        typer.echo(f"  chunks for span corruption: about {facts['num_chunks']:,}")
        if facts["num_chunks"] < facts["num_needed"]:
            typer.echo(f"  fewer than the {facts['num_needed']:,} asked for (validation_chunks): all are used")
    for shown in each.examples:
        target = one_line(shown.target, longest=_LONGEST) or "(nothing)"
        typer.echo(f"  | {one_line(shown.input, longest=_LONGEST)}\n  |   -> {target}")


def _lengths(name: str, lengths: dict[str, Any], *, limit: int | None = None) -> None:
    told = f"median {lengths['median']}, 95 % up to {lengths['p95']}, longest {lengths['longest']}"
    typer.echo(f"  {name}: {told}" + (f" (limit {limit})" if limit else ""))
