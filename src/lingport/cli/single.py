"""What the verbs that handle one module share: backbone, task and data from options.

Imported late, when a verb is called. Not here: what answers (`answering.py`), recipes (`run.py`), and one training
(`training.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from lingport.backbones.base import EMBEDDED, Backbone
from lingport.cli.show import say
from lingport.config.data import ExampleSource
from lingport.config.load import MarkedYaml, validated, with_overrides
from lingport.config.modules import ModuleSettings
from lingport.config.names import is_hub_name
from lingport.config.training import TrainingSettings
from lingport.errors import ConfigError, ModuleError, nearest
from lingport.formats.load import recognised, stated_backbone
from lingport.modules.base import TransferModule
from lingport.modules.store import is_module, read_manifest, save_module
from lingport.tasks.base import Task
from lingport.tasks.catalogue import load_task, task_from_text, task_names
from lingport.train.learner import Learner

#: file ending -> example format, where none is given
FORMAT_OF_ENDING = {
    ".csv": "table",
    ".tsv": "table",
    ".jsonl": "table",
    ".conll": "columns",
    ".conllu": "columns",
    ".iob2": "columns",
}
_COMPRESSED = {".xz", ".gz", ".bz2"}
#: formats whose data are named by split, not by file
_SPLIT_FORMATS = ("demo", "hub")


def settings_given(overrides: Sequence[str]) -> dict[str, Any]:
    """Returns the `key=value` arguments as nested settings.

    Raises:
        ConfigError: An argument is not key=value.
    """
    for text in overrides:
        if "=" not in text:
            raise ConfigError(
                f"{text!r} is neither an option nor key=value",
                hint="several files: repeat the option, or put a pattern in quotes ('data/*.txt')",
            )
    return with_overrides(MarkedYaml("command line", {}), overrides).data


def checked(schema: type[BaseModel], data: Mapping[str, Any]) -> Any:
    """Returns settings of the command line as the schema's object.

    Raises:
        ConfigError: All that is wrong with them at once.
    """
    return validated(schema, MarkedYaml("command line", dict(data)))


def kind_types(roles: type[BaseModel], kind: str) -> tuple[type[TrainingSettings], type[BaseModel]]:
    """Returns the types of a kind's training settings and of its module settings.

    Args:
        roles: `LanguageTraining` or `TaskTraining`.
        kind: Kind of module.

    Raises:
        ConfigError: Modules of this role are not of that kind.
    """
    kinds = [name for name in ModuleSettings.model_fields if name in roles.model_fields]
    if kind not in kinds:
        raise ConfigError(f"unknown kind {kind!r}", where="--kind", hint=nearest(kind, kinds))
    training, module = (each.model_fields[kind].annotation for each in (roles, ModuleSettings))
    return cast(type[TrainingSettings], training), cast(type[BaseModel], module)


def local_folder(place: str | Path, *, revision: str | None = None) -> Path:
    """Returns the folder of a module or bundle: itself, or what is fetched for `user/name` of the hub."""
    if Path(place).exists() or not is_hub_name(str(place)):
        return Path(place)
    from lingport import hub

    return hub.fetch(str(place), revision=revision)


def manifest_of(module: Path | None) -> dict[str, Any] | None:
    """Returns what a module's files say of it; None: there is no module, or it is of another library's format."""
    folder = local_folder(module) if module is not None else None
    if folder is None or (folder.is_dir() and not is_module(folder) and recognised(folder)):
        return None
    return read_manifest(folder)


def open_backbone(name: str | None, *, dtype: str, device: str, modules: Sequence[Path | None] = ()) -> Backbone:
    """Returns the backbone that was named, else that of the first module that names one, else the embedded one."""
    manifests = [manifest for manifest in map(manifest_of, modules) if manifest is not None]
    revision = None
    if name is None and not manifests:
        name = next(filter(None, (stated_backbone(local_folder(module)) for module in modules if module)), None)
    if name is None and manifests:
        trained_on = manifests[0]["provenance"]
        name, revision = trained_on["backbone"], trained_on.get("backbone_revision")
    name = str(name or next(iter(EMBEDDED)))
    say(f"loading the backbone {name}")
    return Backbone.load(name, dtype=dtype, device=device, revision=revision)


def open_task(name: str | None, module: Path | None, settings: Mapping[str, Any]) -> Task[Any, Any]:
    """Returns the task that was named, else the one that the task module was trained on, as it was then.

    Args:
        name: Name in the catalogue or file; may be None where a module is given.
        module: Folder of a task module.
        settings: Keys that replace those of the task.

    Raises:
        ConfigError: There is no such task, or nothing says which.
    """
    manifest = manifest_of(module)
    if manifest and manifest["provenance"]["role"] == "language":
        raise ModuleError("this is a language module", where=str(module), hint="give it as --language-module")
    if name is None and manifest is None:
        raise ConfigError(
            "which task?", hint=f"--task with one of {', '.join(task_names())} or a YAML file, or --task-module"
        )
    if name is not None:
        return load_task(name, overrides=settings or None)
    assert manifest is not None
    definition = manifest["provenance"]["training"].get("task")
    if definition is None:
        return load_task(manifest["provenance"]["task"], overrides=settings or None)
    return task_from_text(json.dumps({**definition, **settings}), name=f"task of {module}")


def example_source(place: str | None, form: str | None, settings: Mapping[str, Any], *, split: str) -> ExampleSource:
    """Returns a source of labelled examples, its paths resolved.

    Args:
        place: A file or pattern; for the formats hub and demo a split (None: the one of this name).
        form: Format; None: by the file's ending.
        settings: Further settings of the source.
        split: train, validation or test: the option that the place was given with.

    Raises:
        ConfigError: The format cannot be known, or a setting is wrong.
        DataError: The file is not there.
    """
    option = f"--{split}"
    if form in _SPLIT_FORMATS:
        place = place or split
    if place is None:
        raise ConfigError("this option is needed: a file of examples", where=option)
    if form is None:
        endings = [ending for ending in Path(place).suffixes if ending not in _COMPRESSED]
        form = FORMAT_OF_ENDING.get(endings[-1]) if endings else None
        if form is None:
            raise ConfigError(
                f"the ending of {place!r} does not say how the examples are written",
                where=option,
                hint="--format squad, columns, spans, xnli, table, hub or demo",
            )
    at = {"split": place} if form in _SPLIT_FORMATS else {"paths": [place]}
    return checked(ExampleSource, {"format": form, **at, **settings}).resolve()


def checkpoint_beside(out: Path) -> Path:
    """Returns where the checkpoint of a module's training lies while it is trained."""
    return out.with_name(f"{out.name}.checkpoint.safetensors")


def is_trained(out: Path, identity: str) -> bool:
    """Whether the very module that is asked for lies there already.

    Raises:
        ModuleError: Something else lies there.
    """
    if not out.exists():
        return False
    if (out / "module.json").is_file() and read_manifest(out)["provenance"]["training"].get("job") == identity:
        return True
    raise ModuleError(
        "something else lies there: not a module trained with these settings, data and backbone",
        where=str(out),
        hint="choose another --out; nothing is overwritten",
    )


def keep(module: TransferModule, out: Path, learner: Learner) -> None:
    """Saves a trained module and removes its checkpoint."""
    save_module(module, out)
    if learner.checkpoint is not None:
        learner.checkpoint.unlink(missing_ok=True)
