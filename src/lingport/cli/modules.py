"""`lingport modules`: lists modules, and shows where one comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingport.cli import audit, exchange, merge, share
from lingport.cli.options import Json, example
from lingport.cli.show import answer, say, shown, table

if TYPE_CHECKING:
    from lingport.modules.ancestry import Relative

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Modules: look at them, send and fetch them.")
_LIST = """
lingport modules list runs/demo
lingport modules list runs/demo --json
"""
_SHOW = """
lingport modules show runs/demo/modules/lp-sk-s1
"""


share.add_to(app)
audit.add_to(app)
exchange.add_to(app)
merge.add_to(app)


@app.command("list", epilog=example(_LIST))
def list_modules(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run, or any folder of modules.")],
    as_json: Json = False,
) -> None:
    """List the modules in a run or a folder."""
    from lingport.errors import InputError, ModuleError
    from lingport.modules.store import read_manifest

    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), hint="give a run, or a folder of modules")
    places = [folder / "modules", folder]
    found = next((files for place in places if (files := sorted(place.glob("*/module.json")))), [])
    if (folder / "module.json").is_file():
        found = [folder / "module.json"]
    rows = []
    for file in found:
        try:
            rows.append(_row(file.parent, read_manifest(file.parent)))
        except ModuleError as error:  # one broken module does not hide the others
            say(f"warning: {error}")
    if as_json:
        answer(rows)
        return
    if not rows:
        typer.echo(f"no modules in {folder}")
        return
    head = ("name", "kind", "role", "language", "task", "numbers", "backbone")
    table(head, [[row["num_trained" if name == "numbers" else name] for name in head] for row in rows])


@app.command("show", epilog=example(_SHOW))
def show_module(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A module's folder.")],
    as_json: Json = False,
) -> None:
    """Show what a module is: kind, settings, training, its family tree, tensors."""
    from lingport.modules.ancestry import family
    from lingport.modules.store import read_manifest

    manifest = read_manifest(path)
    shapes = _shapes(path / "weights.safetensors")
    tree = family({**manifest["provenance"], "kind": manifest["kind"]}, name=path.name)
    if as_json:
        answer({**manifest, "tensors": shapes, "family": tree.plain()})
        return
    provenance = {key: value for key, value in manifest["provenance"].items() if key not in ("above", "ancestors")}
    training = dict(provenance.pop("training", {}))
    if origin := provenance.get("origin"):
        provenance["origin"] = ", ".join(f"{key} {value}" for key, value in origin.items())
    typer.echo(str(path))
    _section("module", {"kind": manifest["kind"], "trained numbers": manifest["num_trained"], **provenance})
    if tree.parents:
        typer.echo("\nfamily")
        for depth, each in tree.walk():
            typer.echo(f"  {'   ' * depth}{_relative(each)}")
    _section("settings", manifest["settings"])
    for name in ("settings", "task", "data", "initial", "final"):
        if isinstance(part := training.pop(name, None), dict):
            _section({"settings": "training settings", "data": "training data"}.get(name, name), part)
    _section("training", training)
    _section("tensors", {name: " x ".join(map(str, shape)) for name, shape in shapes.items()})
    _section("files", {"lingport": manifest["lingport"], "weights sha256": manifest["weights_sha256"]})


def _relative(each: Relative) -> str:
    """Returns a line on a module of a family tree."""
    words = [each.facts.get(key) for key in ("role", "task", "kind", "language")]
    origin = each.facts.get("origin") or {}
    where = [f"{origin['repository']} at {origin['commit'][:12]}"] if "commit" in origin else []
    weights = [f"weights {each.facts['weights'][:12]}"] if "weights" in each.facts else []
    told = ", ".join(filter(None, [" ".join(str(word) for word in words if word), *weights, *where]))
    return f"{each.relation} {each.name}: {told}".strip()


def _shapes(file: Path) -> dict[str, list[int]]:
    from safetensors import SafetensorError, safe_open

    from lingport.errors import ModuleError

    try:
        with safe_open(file, framework="numpy") as reader:
            return {name: list(reader.get_slice(name).get_shape()) for name in sorted(reader.keys())}
    except (OSError, SafetensorError) as error:
        raise ModuleError(
            f"the tensors cannot be read: {error}", where=str(file), hint="copy the module again"
        ) from None


def _row(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    provenance = manifest["provenance"]
    return {
        "name": folder.name,
        "kind": manifest["kind"],
        "role": provenance["role"],
        "language": provenance["language"],
        "task": provenance["task"],
        "num_trained": manifest["num_trained"],
        "backbone": provenance["backbone"],
        "path": str(folder),
    }


def _section(title: str, facts: dict[str, Any]) -> None:
    facts = {name: value for name, value in facts.items() if value not in (None, "", [], {})}
    if not facts:
        return
    typer.echo(f"\n{title}")
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"  {name.replace('_', ' '):{width}}  {shown(value)}")
