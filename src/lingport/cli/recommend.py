"""`lingport recommend`: which configuration of a run to take for a task in a language, as a bundle if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingport.cli.options import Json, example
from lingport.cli.show import answer, say, table

EXAMPLES = """
lingport recommend runs/demo --language sk --task ner
lingport recommend runs/demo --language sk --task ner --out bundles/ner-sk
"""
#: candidates shown; all are in the JSON answer
MAX_SHOWN = 12


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    text = "Choose a configuration by validation."
    app.command("recommend", short_help=text, epilog=example(EXAMPLES))(recommend)


def recommend(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    language: Annotated[str, typer.Option(help="Code of the language that texts will be in.")],
    task: Annotated[str, typer.Option(help="Name of a task of the run.")],
    source: Annotated[
        str | None,
        typer.Option(
            help="Source language of the task module. Default: the language itself if it is one, else the recipe's "
            "first."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the chosen modules to this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Choose a configuration for a task in a language, by validation alone: test scores are not looked at.

    Configurations are compared by their mean validation score over seeds: on data of the language itself where the
    run has such scores, else on the source language's, which tells less. Of equal ones the one with fewer trained
    numbers is taken.
    """
    from lingport.report.recommend import recommend as choose
    from lingport.report.recommend import write_bundle

    choice = choose(run, language=language, task=task, source=source)
    written = write_bundle(choice, out) if out is not None else None
    if as_json:
        answer({**choice.evidence(), "bundle": str(written) if written else None})
        return
    chosen = choice.chosen
    typer.echo(f"{task} in {language}: {chosen.name}, seed {chosen.seed}\n")
    rows = [
        (
            each.name,
            f"{each.score:.1f}",
            " ".join(f"{100 * score:.1f}" for _, score in sorted(each.scores.items())),
            each.num_trained,
        )
        for each in choice.candidates[:MAX_SHOWN]
    ]
    on = language if chosen.on_target else chosen.point.source
    table(("configuration", f"{choice.score} on {on}", "of each seed", "trained numbers"), rows, title="Validation")
    if len(choice.candidates) > MAX_SHOWN:
        typer.echo(f"... and {len(choice.candidates) - MAX_SHOWN} more")
    typer.echo("")
    for note in choice.notes:
        typer.echo(f"* {note}")
    for name, reason in choice.left_out.items():
        say(f"left out: {name} ({reason})")
    if written is not None:
        typer.echo(f"\nbundle: {written}")
