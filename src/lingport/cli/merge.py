"""`lingport modules merge`: a module that is the weighted sum of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingport.cli.options import AllowOtherBackbone, BackboneName, Device, Dtype, Json, Out, example
from lingport.cli.show import answer, say, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lingport.modules.base import TransferModule

EXAMPLES = r"""
lingport modules merge runs/demo/modules/la-de-s1 runs/demo/modules/la-es-s1 --out modules/la-mean
lingport modules merge modules/la-en modules/la-sk modules/la-fresh --weights 1,0.5,-0.5 --out modules/la-ensk
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("merge", short_help="Make a module of several: a mean, a weighted sum.", epilog=example(EXAMPLES))(
        merge
    )


def merge(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Modules of one kind and shape: folders, or hub names.")
    ],
    out: Out,
    weights: Annotated[
        str | None, typer.Option(help="A factor for each module, in order: 0.7,0.3. Default: the mean.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the result. Default: that of the modules, if it is one.")
    ] = None,
    backbone: BackboneName = None,
    allow_other_backbone: AllowOtherBackbone = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Make a module of several: their mean, or the sum weighted as you say. Nothing is trained.

    Factors may be negative: with the module that another one started from (train it with --steps 0), 1,0.5,-0.5 adds
    half of what the second module learnt to the first. The result remembers its ancestors.
    """
    from lingport.cli import single
    from lingport.formats.load import load_module
    from lingport.modules.merge import Term, merged
    from lingport.modules.store import save_module

    factors = _factors(weights, len(paths))
    loaded = single.open_backbone(backbone, dtype=dtype, device=device, modules=paths)
    modules = [load_module(path, loaded, allow_other_backbone=allow_other_backbone) for path in paths]
    terms = [Term(module, factor, name=path.name) for module, factor, path in zip(modules, factors, paths, strict=True)]
    made = merged(terms)
    for key in ("role", "language", "task", "above"):
        setattr(made.provenance, key, _common(modules, key))
    made.provenance.language = language or made.provenance.language
    known = [module.provenance.training for module in modules]
    made.provenance.training = {
        key: known[0][key]
        for key in ("task", "fusion")
        if key in known[0] and all(each.get(key) == known[0][key] for each in known)
    }
    save_module(made, out)
    if as_json:
        answer({"module": str(out), "kind": made.kind, "ancestors": made.provenance.ancestors})
        return
    for term in terms:
        say(f"{shown(term.weight):>8} x {term.name}")
    typer.echo(f"saved: {out}")


def _factors(weights: str | None, count: int) -> list[float]:
    from lingport.errors import ConfigError

    if weights is None:
        return [1 / count] * count
    try:
        factors = [float(text) for text in weights.split(",")]
    except ValueError:
        raise ConfigError(f"{weights!r} are no numbers", where="--weights", hint="for example 0.7,0.3") from None
    if len(factors) != count:
        raise ConfigError(
            f"{len(factors)} factors for {count} modules", where="--weights", hint="one for each, in order"
        )
    return factors


def _common(modules: Sequence[TransferModule], key: str) -> Any:
    """Returns what all modules say; None (or nothing, for a role) where they differ."""
    values = [getattr(module.provenance, key) for module in modules]
    nothing = "" if key == "role" else None
    return values[0] if all(value == values[0] for value in values) else nothing
