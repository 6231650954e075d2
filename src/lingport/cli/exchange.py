"""`lingport modules import` and `export`: modules from and to other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingport.cli.options import AllowOtherBackbone, BackboneName, Device, Dtype, example

IMPORT = """
lingport modules import adapters/sk modules/la-sk --backbone bigscience/mt0-base --role language --language sk
lingport modules import ivykopal/slovak_prompt_100k modules/lp-sk --role language --language sk
"""
EXPORT = """
lingport modules export runs/demo/modules/la-sk-s1 adapters/la-sk --to adapterhub
lingport modules export runs/demo/modules/lp-sk-s1 prompts/lp-sk --to peft
"""


def add_to(app: typer.Typer) -> None:
    """Adds both verbs."""
    app.command("import", epilog=example(IMPORT))(import_module)
    app.command("export", epilog=example(EXPORT))(export_module)


def import_module(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="Folder of AdapterHub, PEFT prompt tuning or the paper, or user/name on the hub."
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make for the module.")],
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", help="What it was trained on: nano, a folder, or a hub name. Default: as SRC says."),
    ] = None,
    role: Annotated[str | None, typer.Option(help="language or task; SRC does not say it.")] = None,
    language: Annotated[str | None, typer.Option(help="Code of its language: sk, de, ...")] = None,
    task: Annotated[str | None, typer.Option(help="Name of its task, for a task module.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of SRC on the hub.")] = None,
    allow_other_backbone: AllowOtherBackbone = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Read another library's module and save it as ours.

    What its settings ask for that is not computed here is refused by its name. Pickled files give tensors only.
    """
    from lingport.cli import single
    from lingport.cli.show import say
    from lingport.errors import ConfigError, nearest
    from lingport.formats.load import load_module, nothing_known, recognised, stated_backbone
    from lingport.modules.store import is_module, save_module

    if role not in (None, "language", "task"):
        raise ConfigError(f"unknown role {role!r}", where="--role", hint=nearest(role, ["language", "task"]))
    if target.exists():
        raise ConfigError("something lies there already", where=str(target), hint="choose another folder")
    folder = single.local_folder(source, revision=revision)
    if is_module(folder):
        raise ConfigError("a module of ours already", where=source, hint="copy the folder, or `lingport modules pull`")
    if not recognised(folder):
        raise nothing_known(folder)
    name = backbone or stated_backbone(folder)
    if name is None:
        raise ConfigError("which backbone?", where=source, hint="SRC does not say; give --backbone")
    loaded = single.open_backbone(name, dtype=dtype, device=device)
    module = load_module(source, loaded, revision=revision, allow_other_backbone=allow_other_backbone)
    for key, value in (("role", role), ("language", language), ("task", task)):
        if value is not None:
            setattr(module.provenance, key, value)
    save_module(module, target)
    say(f"{module.num_trained:,} numbers")
    typer.echo(str(target))


def export_module(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of a module.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make.")],
    to: Annotated[str, typer.Option(help="adapterhub (adapters) or peft (prompts).")],
    name: Annotated[
        str | None, typer.Option(help="What the other library is to call it. Default: the name of DST.")
    ] = None,
    backbone: BackboneName = None,
    allow_other_backbone: AllowOtherBackbone = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Write a module as `adapters` 1.3 or `peft` load it: safetensors and adapter_config.json.

    lingport.json beside them keeps what only we know: settings, training, the language module below it.
    """
    from lingport.cli import single
    from lingport.formats import load

    load.WRITERS.get(to)  # a wrong name is said before the backbone is loaded
    loaded = single.open_backbone(backbone, dtype=dtype, device=device, modules=[source])
    module = load.load_module(source, loaded, allow_other_backbone=allow_other_backbone)
    typer.echo(str(load.export_module(module, target, loaded, to=to, name=name)))
