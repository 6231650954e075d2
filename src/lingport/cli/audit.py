"""`lingport modules audit`: what a stranger's module looks like inside."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lingport.cli.options import AllowOtherBackbone, BackboneName, Device, Dtype, Json, example
from lingport.cli.show import answer, table

if TYPE_CHECKING:
    from lingport.modules.audit import Audit

EXAMPLES = """
lingport modules audit runs/demo/modules/lp-sk-s1
lingport modules audit user/name --backbone bigscience/mt0-base --json
"""
_CAVEAT = (
    "An audit finds what is odd, it clears nobody: what a prompt is near to does not say what it does. "
    "Measure it: lingport evaluate, lingport predict."
)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("audit", short_help="Look for what is odd in a stranger's module.", epilog=example(EXAMPLES))(audit)


def audit(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of a module, or user/name on the hub.")],
    backbone: BackboneName = None,
    allow_other_backbone: AllowOtherBackbone = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Look for what is odd in a module: prompts that read as text, rows and blocks that stand out.

    Shows the nearest tokens of each virtual token, norms against the vocabulary's, dead and duplicate rows, and how
    much each block's adapter changes. The backbone is loaded, but no text is needed.
    """
    from lingport.cli import single
    from lingport.formats.load import load_module
    from lingport.modules.audit import audit as look

    loaded = single.open_backbone(backbone, dtype=dtype, device=device, modules=[path])
    found = look(load_module(path, loaded, allow_other_backbone=allow_other_backbone), loaded)
    if as_json:
        answer({"module": str(path), **dataclasses.asdict(found)})
        return
    _show(found)


def _show(found: Audit) -> None:
    if found.virtual_tokens:
        told = ", at most ".join(f"{found.vocabulary[key]:.3g}" for key in ("median_norm", "largest_norm"))
        typer.echo(f"virtual tokens, and the vocabulary's tokens nearest to them (their median norm is {told})\n")
        rows = [
            (
                row["row"],
                row["norm"],
                row["ratio"],
                "   ".join(f"{near['token']} {near['cosine']:.2f}" for near in row["nearest"]),
                ", ".join(row["odd"]),
            )
            for row in found.virtual_tokens
        ]
        table(("row", "norm", "of median", "nearest tokens, cosine", ""), rows)
    if found.sites:
        typer.echo("how much the module changes hidden states, relative to their size\n")
        rows = [(s["site"], s["gain"], s["largest_gain"], ", ".join(s.get("odd", []))) for s in found.sites]
        table(("site", "mean gain", "largest", ""), rows)
    if found.weights:
        typer.echo("how much the module changes weights, relative to their size\n")
        table(("weight", "change", ""), [(w["name"], w["change"], ", ".join(w.get("odd", []))) for w in found.weights])
    typer.echo("\ntensors\n")
    rows = [
        (t["name"], " x ".join(map(str, t["shape"])), t["norm"], t["dead_rows"], t["duplicate_rows"])
        for t in found.tensors
    ]
    table(("tensor", "shape", "norm", "dead rows", "duplicate rows"), rows)
    typer.echo("")
    for note in found.notes:
        typer.echo(f"note: {note}")
    for warning in found.warnings:
        typer.echo(f"WARNING: {warning}")
    typer.echo(f"{len(found.warnings)} warnings. {_CAVEAT}")
