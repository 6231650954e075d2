"""A bundle: everything that a task needs in several languages, in one folder that can be sent and used.

    bundle.json                backbone, configuration, fusion, task, and the evidence for the choice
    languages/<code>/          the language module of each language (none where the configuration has none)
    task/                      the task module (none for the bare backbone)

Not here: which configuration to choose (`lingport.report`), and sending it (`lingport.hub`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from lingport import __version__
from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.config.modules import CONFIGURATIONS, Settings
from lingport.errors import ModuleError, nearest
from lingport.modules.base import TransferModule
from lingport.modules.files import read_json, write_json
from lingport.modules.store import load_module, verified

FORMAT = 1
MANIFEST = "bundle.json"
_LANGUAGES, _TASK = "languages", "task"


class BundleManifest(Settings):
    """What bundle.json says.

    Attributes:
        backbone: `name`, `fingerprint` and, for one of the hub, `revision` of the backbone.
        configuration: Name of the configuration.
        fusion: What two prompts give.
        languages: Codes of the languages that it has a module for; empty where the configuration has none.
        task: The task's definition, as a task file says it.
        evidence: Why this configuration: scores, intervals, the run.
        origin: Repository and commit that it was fetched from.
    """

    format: Literal[1] = FORMAT
    lingport: str = __version__
    backbone: dict[str, str | None]
    configuration: str
    fusion: Literal["concat", "mean"] = "concat"
    languages: tuple[str, ...] = ()
    task: dict[str, Any] | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)
    origin: dict[str, str] | None = None


def save_bundle(
    folder: str | Path,
    *,
    backbone: Mapping[str, str | None],
    configuration: str,
    fusion: Literal["concat", "mean"],
    languages: Mapping[str, Path],
    task: Path | None,
    task_definition: Mapping[str, Any] | None,
    evidence: Mapping[str, Any],
) -> Path:
    """Returns the folder that now holds the bundle; it appears whole or not at all.

    Args:
        folder: The folder to make.
        backbone: Its `name` and `fingerprint`; `revision` for one of the hub.
        configuration: Name of the configuration that the modules are for.
        fusion: What two prompts give.
        languages: Code -> folder of the language module to use for it. The module may be another language's: that is
            the policy `source`.
        task: Folder of the task module; None for the configuration `none`.
        task_definition: What the task's file says; None: the bundle serves compositions, but knows no task.
        evidence: Why this configuration; anything that JSON can say. A model card shows `notes` (sentences), `chosen`
            and `others` (candidates with `name`, `score` and `num_trained`, validated by `score`), and `scores` (test
            scores, see `lingport.report.card_scores.Scored`).

    Raises:
        ModuleError: Something lies there already, or the modules are broken or not those of the configuration.
    """
    folder = Path(folder)
    if folder.exists():
        raise ModuleError("something lies there already", where=str(folder), hint="choose another folder")
    manifest = BundleManifest(
        backbone=dict(backbone),
        configuration=configuration,
        fusion=fusion,
        languages=tuple(sorted(languages)),
        task=dict(task_definition) if task_definition is not None else None,
        evidence=dict(evidence),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for code, place in languages.items():
            _copy_module(Path(place), staging / _LANGUAGES / code)
        if task is not None:
            _copy_module(Path(task), staging / _TASK)
        write_manifest(staging, manifest)
        with told_as(str(folder), staging):
            verified_bundle(staging)
        staging.chmod(0o755)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


@contextmanager
def told_as(name: str, folder: Path, *, hint: str | None = None) -> Generator[None]:
    """Calls a folder that will be gone by another name in errors about what is in it.

    Args:
        name: What errors call it.
        folder: Where it lies now.
        hint: Stands in place of the errors' own hint. None: theirs.
    """
    try:
        yield
    except ModuleError as error:
        where = name + (error.where or "").removeprefix(str(folder))
        raise type(error)(error.message, where=where, hint=hint or error.hint) from error


def _copy_module(source: Path, target: Path) -> None:
    verified(source)
    target.mkdir(parents=True)
    for name in ("module.json", "weights.safetensors"):
        shutil.copyfile(source / name, target / name)


def write_manifest(folder: Path, manifest: BundleManifest) -> None:
    """Writes bundle.json, whole or not at all."""
    staging = folder / f".{MANIFEST}"
    write_json(staging, manifest.model_dump(mode="json"))
    staging.replace(folder / MANIFEST)


def is_bundle(path: str | Path) -> bool:
    """Returns whether a folder claims to be a bundle."""
    return (Path(path) / MANIFEST).is_file()


def read_bundle(path: str | Path) -> BundleManifest:
    """Returns what bundle.json says.

    Raises:
        ModuleError: There is no bundle, or bundle.json is broken or of a newer format.
    """
    file = Path(path) / MANIFEST
    if not file.is_file():
        raise ModuleError(f"no bundle here: {MANIFEST} is missing", where=str(path), hint="give a bundle's folder")
    try:
        manifest = BundleManifest.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModuleError(
            f"{place or 'the file'}: {first['msg']}", where=str(file), hint="copy the bundle again, or update lingport"
        ) from None
    if manifest.configuration not in CONFIGURATIONS:
        raise ModuleError(
            f"unknown configuration {manifest.configuration!r}",
            where=str(file),
            hint=nearest(manifest.configuration, CONFIGURATIONS),
        )
    return manifest


def module_folders(path: str | Path) -> dict[str, Path]:
    """Returns the folders of a bundle's modules by their place in it (`task`, `languages/sk`), without opening them.

    Raises:
        ModuleError: As `read_bundle`, or a code is no name for a folder.
    """
    manifest, folder = read_bundle(path), Path(path)
    shape = CONFIGURATIONS[manifest.configuration]
    places = [f"{_LANGUAGES}/{code}" for code in manifest.languages] if shape.language else []
    for code in manifest.languages:
        if Path(code).name != code or code in ("", ".", ".."):
            raise ModuleError(f"{code!r} is no language code", where=str(folder / MANIFEST))
    return {place: folder / place for place in [*places, *([_TASK] if shape.task else [])]}


def verified_bundle(path: str | Path) -> BundleManifest:
    """Returns the manifest of a bundle whose modules are all there, undamaged, and of the configuration's kinds.

    Raises:
        ModuleError: One of them is not.
    """
    manifest, folders = read_bundle(path), module_folders(path)
    shape = CONFIGURATIONS[manifest.configuration]
    for place, folder in folders.items():
        where, module = str(folder), verified(folder)
        wanted = shape.task if place == _TASK else shape.language
        if module["kind"] != wanted:
            raise ModuleError(
                f"a module of kind {module['kind']!r}, where the configuration {shape.name!r} has one of {wanted!r}",
                where=where,
                hint="choose modules of the configuration",
            )
        if module["provenance"].get("backbone_fingerprint") != manifest.backbone.get("fingerprint"):
            raise ModuleError(
                f"trained on another backbone than {manifest.backbone.get('name')!r}, the bundle's",
                where=where,
                hint="all modules of a bundle are of one backbone",
            )
    return manifest


@dataclass
class Bundle:
    """A bundle with its backbone: language modules are loaded when they are asked for.

    Attributes:
        manifest: What bundle.json says.
        folder: Where it lies.
        backbone: What its modules act in.
    """

    manifest: BundleManifest
    folder: Path
    backbone: Backbone
    allow_other_backbone: bool = False
    _loaded: dict[str, TransferModule] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it can be used in; empty: any language, since none has a module of its own."""
        return self.manifest.languages if CONFIGURATIONS[self.manifest.configuration].language else ()

    def composition(self, language: str) -> Composition:
        """Returns the modules that act on texts of a language.

        Raises:
            ModuleError: The bundle has no module for the language, or it is broken.
        """
        shape = CONFIGURATIONS[self.manifest.configuration]
        if shape.language and language not in self.languages:
            raise ModuleError(
                f"no module for the language {language!r}",
                where=str(self.folder),
                hint=nearest(language, self.languages),
            )
        return Composition(
            language=self._module(f"{_LANGUAGES}/{language}") if shape.language else None,
            task=self._module(_TASK) if shape.task else None,
            fusion=self.manifest.fusion,
        )

    def _module(self, place: str) -> TransferModule:
        if place not in self._loaded:
            folder = self.folder / place
            self._loaded[place] = load_module(folder, self.backbone, allow_other_backbone=self.allow_other_backbone)
        return self._loaded[place]


def load_bundle(folder: str | Path, backbone: Backbone, *, allow_other_backbone: bool = False) -> Bundle:
    """Returns a bundle on a backbone.

    Args:
        folder: What `save_bundle` wrote.
        backbone: The one that its modules were trained on.
        allow_other_backbone: As in `load_module`.

    Raises:
        ModuleError: It is broken or incomplete.
        WrongBackboneError: It is for another backbone.
    """
    manifest = verified_bundle(folder)
    bundle = Bundle(manifest, Path(folder), backbone, allow_other_backbone)
    for code in bundle.languages[:1] or ("",):  # a wrong backbone is told here, not at the first text
        bundle.composition(code)
    return bundle
