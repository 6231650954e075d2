"""`lingport data`: the catalogue of data sets, with licences, where they come from, and what a user must bring."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingport.cli.options import Json, example
from lingport.cli.show import answer, table

if TYPE_CHECKING:
    from lingport.config.catalogue import CatalogueEntry

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Show data sets: licence, origin, what to bring.")
_LIST = """
lingport data list
lingport data list --task nli --json
"""
_SHOW = """
lingport data show xnli
lingport data show skquad --json
"""
_WIDTH = 100


@app.command("list", epilog=example(_LIST))
def list_data(
    task: Annotated[str | None, typer.Option(help="Only those of a task: qa, ner, nli, claims, text.")] = None,
    as_json: Json = False,
) -> None:
    """List the data sets that a recipe may name with `dataset`."""
    from lingport.config.catalogue import entry_names, load_entry
    from lingport.errors import UnknownNameError, nearest

    entries = {name: load_entry(name) for name in entry_names()}
    tasks = {entry.task for entry in entries.values()}
    if task is not None and task not in tasks:
        raise UnknownNameError(f"no data set is for the task {task!r}", hint=nearest(task, tasks))
    chosen = {name: entry for name, entry in entries.items() if task in (None, entry.task)}
    if as_json:
        answer([_facts(name, entry) for name, entry in chosen.items()])
        return
    rows = [
        (name, entry.task, " ".join(entry.languages), _origin(entry), entry.license)
        for name, entry in sorted(chosen.items(), key=lambda pair: (pair[1].task, pair[0]))
    ]
    table(("name", "task", "languages", "from", "licence"), rows)
    typer.echo("\nA recipe names one with `dataset: NAME`. More of each: lingport data show NAME")


@app.command("show", epilog=example(_SHOW))
def show_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `lingport data list`.")],
    as_json: Json = False,
) -> None:
    """Show a data set: licence, size, splits, where it comes from, what to bring, and what of this was verified."""
    from lingport.config.catalogue import load_entry

    entry = load_entry(name)
    facts = _facts(name, entry)
    if as_json:
        answer(facts)
        return
    typer.echo(f"{name}: {entry.title}\n")
    for key in ("task", "languages", "licence", "size", "homepage", "from", "commit", "splits", "bring"):
        value = facts[key]
        shown = " ".join(value) if isinstance(value, list) else value or "not known"
        if key != "bring" or value:
            typer.echo(textwrap.fill(f"{key:<10} {shown}", _WIDTH, subsequent_indent=" " * 11, break_on_hyphens=False))
    for key in ("notes", "verified", "unverified"):
        if facts[key]:
            typer.echo(f"\n{key}:")
        for line in facts[key]:
            typer.echo(textwrap.fill(f"  - {line}", _WIDTH, subsequent_indent=" " * 4, break_on_hyphens=False))


def _facts(name: str, entry: CatalogueEntry) -> dict[str, Any]:
    return {
        "name": name,
        "title": entry.title,
        "task": entry.task,
        "languages": entry.languages,
        "licence": entry.license,
        "size": entry.size,
        "homepage": entry.homepage,
        "from": _origin(entry),
        "commit": _commit(entry),
        "splits": list(entry.splits),
        "bring": entry.obtain,
        "source": entry.source,
        "settings_of_splits": entry.splits,
        "notes": entry.notes,
        "verified": entry.verified,
        "unverified": entry.unverified,
    }


def _origin(entry: CatalogueEntry) -> str:
    return "files that you bring" if entry.is_brought else f"hub: {entry.source['name']}"


def _commit(entry: CatalogueEntry) -> str:
    from lingport.data.fetch import is_commit, known_commit

    if entry.is_brought:
        return "known by the content of its files"
    asked = entry.source.get("revision")
    if is_commit(asked):
        return str(asked)
    known = known_commit(entry.source["name"], asked)
    branch = asked or "main"
    return f"{branch}, on this machine {known}" if known else f"{branch}; looked up and kept at first use"
