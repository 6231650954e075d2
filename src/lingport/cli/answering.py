"""What answers in `predict` and `evaluate`: a bundle, or modules of one's own choice.

Imported late, when a verb is called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingport.backbones.base import EMBEDDED, Backbone
from lingport.cli.show import say
from lingport.cli.single import local_folder, open_backbone, open_task
from lingport.compose.bundle import Bundle, load_bundle, read_bundle
from lingport.compose.composition import Composition
from lingport.errors import ConfigError, ModuleError
from lingport.formats.load import load_module
from lingport.tasks.base import Task
from lingport.tasks.catalogue import task_from_text


@dataclass(frozen=True)
class Answering:
    """Who answers what.

    Attributes:
        task: What is asked.
        backbone: The model.
        composition: The modules.
        language: Language of the texts.
    """

    task: Task[Any, Any]
    backbone: Backbone
    composition: Composition
    language: str


def open_answering(
    bundle: str | None,
    *,
    task: str | None,
    task_module: Path | None,
    language_module: Path | None,
    language: str | None,
    settings: Mapping[str, Any],
    backbone: str | None,
    allow_other_backbone: bool,
    dtype: str,
    device: str,
) -> Answering:
    """Returns what answers: a bundle, or a task module and a language module, or the bare backbone.

    Args:
        bundle: A folder, or `user/name` on the hub; None: the modules.
        task: Name in the catalogue or file; None: the bundle's or the task module's own.
        task_module: Folder of a task module.
        language_module: Folder of a language module.
        language: Of the texts; None: the modules' own.
        settings: Keys that replace those of the task.
        backbone: Its name; None: the one that the modules were trained on.
        allow_other_backbone: Whether a sibling of that is taken as well.
        dtype: Of the backbone.
        device: Of the backbone.

    Raises:
        ConfigError: Nothing says which task or language, or both a bundle and modules were given.
        ModuleError: A module is not what it was given as.
    """
    if bundle is None:
        definition = open_task(task, task_module, settings)
        loaded = open_backbone(backbone, dtype=dtype, device=device, modules=[task_module, language_module])
        composition = _composition(
            loaded,
            language_module=language_module,
            task_module=task_module,
            allow_other_backbone=allow_other_backbone,
        )
        return Answering(definition, loaded, composition, _language(language, composition))
    if task_module or language_module:
        raise ConfigError("a bundle brings its modules along", hint="leave out --task-module and --language-module")
    opened = _bundle(bundle, backbone, dtype=dtype, device=device, allow_other_backbone=allow_other_backbone)
    code = _language_of(opened, language)
    return Answering(_task_of(opened, task, settings), opened.backbone, opened.composition(code), code)


def _composition(
    backbone: Backbone, *, language_module: Path | None, task_module: Path | None, allow_other_backbone: bool = False
) -> Composition:
    """Returns the modules put together as the task module was trained; warns where it was trained otherwise."""
    language, task = (
        load_module(place, backbone, allow_other_backbone=allow_other_backbone) if place else None
        for place in (language_module, task_module)
    )
    if language is not None and language.provenance.role == "task":
        raise ModuleError("this is a task module", where=str(language_module), hint="give it as --task-module")
    if task is not None and bool(task.provenance.above) != (language is not None):
        above = task.provenance.above
        told = f"above the language module {above['name']}" if above else "without a language module"
        here = "with" if language is not None else "without"
        say(f"warning: {task_module} was trained {told}, and is used {here} one here")
    fusion = task.provenance.training.get("fusion", "concat") if task else "concat"
    return Composition(language=language, task=task, fusion=fusion)


def _bundle(
    place: str | Path, backbone: str | None, *, dtype: str, device: str, allow_other_backbone: bool = False
) -> Bundle:
    """Returns a bundle, a folder or `user/name` of the hub, on its backbone or the one that was named."""
    folder = local_folder(place)
    manifest = read_bundle(folder)
    name = backbone or str(manifest.backbone.get("name") or next(iter(EMBEDDED)))
    revision = manifest.backbone.get("revision") if backbone is None else None
    say(f"loading the backbone {name}")
    loaded = Backbone.load(name, dtype=dtype, device=device, revision=revision)
    return load_bundle(folder, loaded, allow_other_backbone=allow_other_backbone)


def _task_of(bundle: Bundle, name: str | None, settings: Mapping[str, Any]) -> Task[Any, Any]:
    """Returns the task that was named, else the bundle's own.

    Raises:
        ConfigError: Neither says which.
    """
    definition = bundle.manifest.task
    if name is not None or definition is None:
        return open_task(name, None, settings)
    return task_from_text(json.dumps({**definition, **settings}), name=f"task of {bundle.folder}")


def _language_of(bundle: Bundle, given: str | None) -> str:
    """Returns the language that was given, else the bundle's only one.

    Raises:
        ConfigError: It has several, or none of its own.
    """
    if given is None and len(bundle.manifest.languages) != 1:
        has = f"; the bundle has {', '.join(bundle.languages)}" if bundle.languages else ""
        raise ConfigError("which language is the text in?", hint=f"--language, for example --language sk{has}")
    return given or bundle.manifest.languages[0]


def _language(given: str | None, composition: Composition) -> str:
    """Returns the language that was given, else the language module's, else the task module's.

    Raises:
        ConfigError: Nothing says which.
    """
    for module in composition.modules:
        given = given or module.provenance.language
    if not given:
        raise ConfigError("which language is the text in?", hint="--language, for example --language sk")
    return given
