"""`lingport modules push`, `pull`, `card`: modules and bundles to and from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingport.cli.options import Json, example
from lingport.cli.show import answer, say

_PUSH = """
lingport modules push runs/demo/modules/lp-sk-s1 user/lp-sk
lingport modules push bundles/topic user/topic --private --license cc-by-sa-4.0
"""
_PULL = """
lingport modules pull user/lp-sk modules/lp-sk
lingport modules pull user/lp-sk modules/lp-sk-v1 --revision v1
"""
_CARD = """
lingport modules card runs/demo/modules/lp-sk-s1
lingport modules card runs/demo/modules/lp-sk-s1 --write
"""
Place = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of a module or a bundle.")]
Repository = Annotated[str, typer.Argument(metavar="USER/NAME", help="The repository on the hub.")]
Licence = Annotated[str | None, typer.Option("--license", help="The hub's code of the licence; named in the card.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command("push", short_help="Send a module or a bundle to the hub.", epilog=example(_PUSH))(push)
    app.command("pull", short_help="Fetch a module or a bundle from the hub.", epilog=example(_PULL))(pull)
    app.command("card", short_help="Show or write a model card.", epilog=example(_CARD))(card)


def push(
    path: Place,
    repository: Repository,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private, if it is made now.")] = False,
    licence: Licence = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take files of another module out of the repository.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send a module or a bundle to the hub, with a model card, as one commit.

    Log in before with `hf auth login`, or set HF_TOKEN. A README.md in the folder is sent as the card; without one it
    is written from what is known, scores included where the module lies in its run.
    """
    from lingport import hub

    pushed = hub.push(path, repository, private=private, licence=licence, replace=replace)
    if as_json:
        answer({"repository": pushed.repository, "commit": pushed.commit, "url": pushed.url})
        return
    typer.echo(pushed.url)


def pull(
    repository: Repository,
    path: Annotated[Path, typer.Argument(metavar="DST", help="The folder to make.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit. Default: the main branch.")] = None,
) -> None:
    """Fetch a module or a bundle from the hub into a folder; it remembers the commit."""
    from lingport import hub
    from lingport.compose.bundle import is_bundle, read_bundle
    from lingport.modules.store import is_module, read_manifest

    folder = hub.pull(repository, path, revision=revision)
    origin = None
    if is_module(folder):
        origin = read_manifest(folder)["provenance"]["origin"]
    elif is_bundle(folder):
        origin = read_bundle(folder).origin
    else:
        say("a module of another library: `lingport modules import` makes it one of ours")
    typer.echo(f"{folder}" + (f", commit {origin['commit']}" if origin else ""))


def card(
    path: Place,
    name: Annotated[str, typer.Option(help="What it is called on the hub: user/name. Default: the folder's.")] = "",
    licence: Licence = None,
    write: Annotated[bool, typer.Option("--write", help="Write it into the folder as README.md.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Also where there is one already.")] = False,
) -> None:
    """Show the model card of a module or a bundle, or write it into its folder, to be edited before a push."""
    from lingport.report import cards

    if write or replace:
        typer.echo(str(cards.write_card(path, name=name, licence=licence, replace=replace)))
    else:
        typer.echo(cards.card(path, name=name, licence=licence))
