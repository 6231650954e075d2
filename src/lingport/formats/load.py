"""Modules of every format that is known: a folder's files say which one it has, and each format has one reader.

Not here: what the formats say (one file each), our own format (`lingport.modules.store`), the network
(`lingport.hub`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lingport.backbones.base import Backbone
from lingport.compose.bundle import is_bundle
from lingport.config.names import is_hub_name
from lingport.errors import ModuleError
from lingport.formats import adapterhub, paper, peft
from lingport.formats.foreign import CONFIG
from lingport.modules import store
from lingport.modules.base import TransferModule
from lingport.modules.files import read_json
from lingport.registry import Registry

#: formats that are read, the more special first: each has BACKBONE_KEY, recognises and read
READERS = (adapterhub, paper, peft)
#: formats that are written
WRITERS: Registry[Any] = Registry(
    "format to export to",
    {"adapterhub": "lingport.formats.adapterhub:write", "peft": "lingport.formats.peft:write"},
)


def load_module(
    path_or_id: str | Path, backbone: Backbone, *, revision: str | None = None, allow_other_backbone: bool = False
) -> TransferModule:
    """Returns a module, frozen, on the backbone's device, ready to be composed.

    Args:
        path_or_id: A folder with a module of ours, of AdapterHub's `adapters`, of PEFT's prompt tuning, or of the
            paper's published prompts; or `user/name`, a repository of the hub with one of these.
        backbone: What it will act in.
        revision: Branch, tag or commit of the repository; None: its main branch. The commit is kept in the module's
            provenance (`origin`) and so in what is trained on top of it.
        allow_other_backbone: Only warn where the module was trained on a sibling of the backbone: other weights, the
            same shapes.

    Raises:
        ModuleError: The files are broken, or ask for what is not computed here.
        WrongBackboneError: It was trained on another backbone.
        HubError: The hub does not give the repository.
    """
    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        if revision is not None:
            hint = "leave revision out; it chooses among the states of a repository on the hub"
            raise ModuleError("a folder has no revisions", where=str(folder), hint=hint)
        return _read(folder, backbone, allow_other_backbone=allow_other_backbone)
    if not is_hub_name(str(path_or_id)):
        raise nothing_known(path_or_id)
    from lingport import hub  # it also writes cards, which needs the report's libraries

    fetched = hub.fetch(str(path_or_id), revision=revision)
    module = _read(fetched, backbone, allow_other_backbone=allow_other_backbone)
    module.provenance.origin = (module.provenance.origin or {}) | hub.origin_of(str(path_or_id), fetched)
    return module


def recognised(folder: Path) -> bool:
    """Returns whether a folder claims to hold a module of another library's format."""
    return any(reader.recognises(folder) for reader in READERS)


def stated_backbone(folder: Path) -> str | None:
    """Returns the name of the backbone that another library's folder gives; None: it gives none."""
    for reader in READERS:
        if reader.recognises(folder):
            name = read_json(folder / CONFIG).get(reader.BACKBONE_KEY)
            return name if isinstance(name, str) and name else None
    return None


def nothing_known(place: str | Path) -> ModuleError:
    """Returns the error for a place where there is no module of a known format."""
    if not Path(place).is_dir():
        hint = "give a folder with a module, or user/name"
        return ModuleError("no such folder, and no name of a hub repository", where=str(place), hint=hint)
    return ModuleError(
        "no module of a known format here",
        where=str(place),
        hint=f"a module of ours has module.json; one of another library has {CONFIG} and one of "
        f"{', '.join([*adapterhub.WEIGHTS, *peft.WEIGHTS])}",
    )


def export_module(
    module: TransferModule, folder: str | Path, backbone: Backbone, *, to: str, name: str | None = None
) -> Path:
    """Returns a folder that now holds the module in another library's format; it appears whole or not at all.

    Args:
        module: What to export.
        folder: The folder to make; its parents are made too.
        backbone: What the module acts in.
        to: `adapterhub` or `peft`.
        name: What the other library is to call it; None: the folder's name.

    Raises:
        ModuleError: The format cannot hold the module, or something lies there already.
        UnknownNameError: There is no such format.
    """
    write = WRITERS.get(to)
    place = Path(folder).expanduser()
    module.bind(backbone.layout)
    write(module, place, backbone, name=name or place.name)
    return place


def _read(folder: Path, backbone: Backbone, *, allow_other_backbone: bool) -> TransferModule:
    if store.is_module(folder):
        return store.load_module(folder, backbone, allow_other_backbone=allow_other_backbone)
    if is_bundle(folder):
        hint = "use lingport.compose.bundle.load_bundle, or load one of its folders"
        raise ModuleError("a whole bundle, not one module", where=str(folder), hint=hint)
    try:
        for reader in READERS:
            if reader.recognises(folder):
                return reader.read(folder, backbone, allow_other_backbone=allow_other_backbone)
    except OSError as error:
        raise ModuleError(f"cannot be read: {error.strerror}", where=str(error.filename or folder)) from error
    raise nothing_known(folder)
