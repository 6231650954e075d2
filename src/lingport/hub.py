"""Modules and bundles to and from the Hugging Face hub, with the hub's own client.

What is fetched is pinned to a commit and lies whole in the client's cache; what is pushed is one commit, or nothing.
Not here: reading what was fetched (`lingport.formats`, `lingport.compose.bundle`), and data sets
(`lingport.data.fetch`).
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lingport import __version__
from lingport.compose.bundle import (
    is_bundle,
    module_folders,
    read_bundle,
    told_as,
    verified_bundle,
    write_manifest,
)
from lingport.errors import (
    HubAccessError,
    HubBusyError,
    HubError,
    HubNotFoundError,
    HubTransferError,
    InputError,
    ModuleError,
)
from lingport.modules.store import is_module, record_origin, verified
from lingport.report.cards import CARD, card

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: files of a repository that are fetched; what else lies there (heads, optimisers, logs) is left
FETCHED = (
    "module.json",
    "weights.safetensors",
    "bundle.json",
    "adapter_config.json",
    "adapter.safetensors",
    "adapter_model.safetensors",
    "pytorch_adapter.bin",
    "adapter_model.bin",
    "lingport.json",
    CARD,
)
#: files of a repository that a push leaves alone
_KEPT = {".gitattributes", "LICENSE", CARD}
#: longest wait in seconds that the hub may ask for before a request is given up, and how often it may ask
LONGEST_WAIT_S, MAX_WAITS = 60, 2
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOGIN = "log in (`hf auth login`, or set HF_TOKEN)"


@dataclass(frozen=True)
class Pushed:
    """Where something lies on the hub.

    Attributes:
        repository: `user/name`.
        commit: The commit, whole.
        url: Its page.
    """

    repository: str
    commit: str
    url: str


def commit_of(folder: Path) -> str:
    """Returns the commit of a folder that `fetch` gave."""
    return folder.name


def origin_of(repo_id: str, folder: Path) -> dict[str, str]:
    """Returns what a module remembers of where it was fetched: repository and commit."""
    return {"repository": repo_id, "commit": commit_of(folder)}


def fetch(repo_id: str, *, revision: str | None = None) -> Path:
    """Returns a local folder with a repository's modules as they are at one commit; see `commit_of`.

    A branch or tag is asked for each time; without a network, the commit that was fetched last is used, with a warning.
    A commit that was fetched before asks for nothing.

    Args:
        repo_id: `user/name`.
        revision: Branch, tag or commit. None: the main branch.

    Raises:
        HubNotFoundError: There is no such repository or revision, or it holds no module.
        HubAccessError: It is private or gated.
        HubBusyError: The hub asks to come back later.
        HubTransferError: It cannot be reached, or a file arrived damaged.
    """
    from huggingface_hub import HfApi, errors, snapshot_download

    asked: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": [pattern for name in FETCHED for pattern in (name, f"*/{name}")],
        "library_name": "lingport",
        "library_version": __version__,
    }
    with _told(repo_id, revision):
        try:
            if revision is None or not _COMMIT.fullmatch(revision):
                _patiently(lambda: HfApi().model_info(repo_id, revision=revision), repo_id)
            folder = Path(snapshot_download(repo_id, **asked))
        except errors.HfHubHTTPError:
            raise
        except (errors.OfflineModeIsEnabled, errors.HTTPError) as error:  # pyright: ignore[reportPrivateImportUsage]
            try:
                folder = Path(snapshot_download(repo_id, local_files_only=True, **asked))
            except errors.LocalEntryNotFoundError:
                raise error from None
            logger.warning("%s: the hub cannot be reached; using commit %s of the cache", repo_id, commit_of(folder))
    for file in sorted(folder.rglob("*")):
        _check_content(file, repo_id)
    if not any(file.is_file() for file in folder.rglob("*") if file.name != CARD):
        raise HubNotFoundError(
            "the repository holds no module",
            where=f"hub:{repo_id}",
            hint=f"looked for {', '.join(name for name in FETCHED if name != CARD)}",
        )
    return folder


def pull(repo_id: str, folder: str | Path, *, revision: str | None = None) -> Path:
    """Returns a folder that now holds a repository's module or bundle; it appears whole or not at all.

    A module of ours remembers repository and commit (`origin` in its provenance), and so does what is trained on top
    of it. Modules of other formats are copied as they are.

    Args:
        repo_id: `user/name`.
        folder: The folder to make.
        revision: Branch, tag or commit. None: the main branch.

    Raises:
        HubError: As `fetch`.
        ModuleError: Something lies there already, or what the repository holds is broken.
    """
    target = Path(folder)
    if target.exists():
        raise ModuleError("something lies there already", where=str(target), hint="choose another folder")
    source = fetch(repo_id, revision=revision)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            place = staging / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        with told_as(f"hub:{repo_id}", staging, hint="tell its owner, or choose another revision"):
            _settle(staging, origin_of(repo_id, source))
        staging.chmod(0o755)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return target


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    licence: str | None = None,
    replace: bool = False,
) -> Pushed:
    """Returns where a module or a bundle now lies on the hub: one commit, with a model card.

    The card is the folder's README.md if it has one, else it is written from what is known. The repository is made if
    it is not there; pushing again makes a further commit.

    Args:
        folder: A module that `save_module` wrote, or a bundle.
        repo_id: `user/name`.
        private: Whether a repository that is made now is private.
        licence: The hub's code of the licence, such as `apache-2.0`, for the card that is written. None: none is named.
        replace: Take files of another module or bundle out of the repository (its history keeps them).

    Raises:
        ModuleError: The module is broken.
        InputError: The repository holds other files and `replace` is false.
        HubError: As `fetch`; nothing was committed.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    files = _outgoing(Path(folder))
    readme = Path(folder) / CARD
    content = readme.read_bytes() if readme.is_file() else card(folder, name=repo_id, licence=licence).encode()
    api = HfApi(library_name="lingport", library_version=__version__)
    with _told(repo_id, None):
        _patiently(lambda: api.create_repo(repo_id, private=private, exist_ok=True), repo_id)
        there = set(_patiently(lambda: api.list_repo_files(repo_id), repo_id))
        others = sorted(there - set(files) - _KEPT)
        if others and not replace:
            raise InputError(
                f"the repository holds other files: {', '.join(others[:5])}{' ...' if len(others) > 5 else ''}",
                where=f"hub:{repo_id}",
                hint="choose another name, or --replace to take them out (its history keeps them)",
            )
        operations: list[Any] = [CommitOperationAdd(path, str(place)) for path, place in files.items()]
        operations += [CommitOperationAdd(CARD, content)]
        operations += [CommitOperationDelete(path) for path in others]
        made = api.create_commit(repo_id, operations, commit_message=f"{Path(folder).name}, lingport {__version__}")
    return Pushed(repo_id, made.oid, f"{api.endpoint}/{repo_id}/tree/{made.oid}")


def _outgoing(folder: Path) -> dict[str, Path]:
    """Returns path in the repository -> file, once everything is found whole; nothing else of the folder is sent."""
    parts = {"": folder}
    files = {}
    if is_bundle(folder):
        verified_bundle(folder)
        files["bundle.json"] = folder / "bundle.json"
        parts = {f"{place}/": part for place, part in module_folders(folder).items()}
    for prefix, part in parts.items():
        verified(part)
        files |= {f"{prefix}{name}": part / name for name in ("module.json", "weights.safetensors")}
    return files


def _settle(folder: Path, origin: dict[str, str]) -> None:
    """Checks what was fetched and writes into it where it is from; other libraries' modules stay as they are."""
    parts = [folder] if is_module(folder) else []
    if is_bundle(folder):
        verified_bundle(folder)
        write_manifest(folder, read_bundle(folder).model_copy(update={"origin": origin}))
        parts = list(module_folders(folder).values())
    for part in parts:
        verified(part)
        record_origin(part, origin)


def _check_content(pointer: Path, repo_id: str) -> None:
    """Compares a file of the cache with the hash that the hub gave for it, which the cache calls it by.

    The client checks sizes only (huggingface_hub 2.4, `file_download.http_get`).
    """
    if not pointer.is_symlink() or not pointer.is_file():  # a cache without links does not say the hash
        return
    expected = pointer.readlink().name
    if len(expected) == 64:  # large files: SHA-256 of the content
        with pointer.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    elif len(expected) == 40:  # others: git's hash of the blob
        data = pointer.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    else:
        return
    if found != expected:
        blob = pointer.parent / pointer.readlink()
        blob.unlink(missing_ok=True)
        pointer.unlink()
        raise HubTransferError(
            "the file arrived damaged: its content is not what the hub says",
            where=f"hub:{repo_id}/{pointer.name}",
            hint="try again; the damaged file was removed",
        )


def _patiently(ask: Callable[[], T], repo_id: str) -> T:
    """Returns the answer to a question that may be asked twice.

    Where the hub asks to wait a little (429 or 503 with Retry-After), waits and asks again; where a connection breaks,
    asks once more. The client does so for transfers, but not for these (huggingface_hub 2.4).
    """
    from huggingface_hub import errors

    num_waits, num_breaks = 0, 0
    while True:
        try:
            return ask()
        except errors.HfHubHTTPError as error:
            wait_s, num_waits = _retry_after(error), num_waits + 1
            is_wait = error.response.status_code in (429, 503) and wait_s is not None and wait_s <= LONGEST_WAIT_S
            if not is_wait or num_waits > MAX_WAITS:
                raise
            logger.warning("hub:%s: the hub asks to wait %d s", repo_id, wait_s)
            time.sleep(wait_s or 0)
        except errors.HTTPError:  # pyright: ignore[reportPrivateImportUsage]
            num_breaks += 1
            if num_breaks > 1:
                raise


def _retry_after(error: Any) -> int | None:
    value = error.response.headers.get("Retry-After", "")
    return int(value) if value.isdecimal() else None


@contextmanager
def _told(repo_id: str, revision: str | None) -> Generator[None]:
    """Turns the client's errors into ours, which say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except (
        errors.HTTPError,  # pyright: ignore[reportPrivateImportUsage]
        OSError,
        ValueError,
        RuntimeError,
    ) as error:
        raise _translated(error, repo_id, revision) from error


def _translated(error: BaseException, repo_id: str, revision: str | None) -> HubError:
    from huggingface_hub import errors

    # The client wraps what went wrong in "no such file in the cache" and "error while uploading".
    while isinstance(error, (errors.LocalEntryNotFoundError, RuntimeError)) and error.__cause__ is not None:
        error = error.__cause__
    where = f"hub:{repo_id}" + (f"@{revision}" if revision else "")
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    if isinstance(error, errors.GatedRepoError):
        hint = f"open https://huggingface.co/{repo_id}, accept its conditions, and {_LOGIN}"
        return HubAccessError("the repository is given only to those who ask for it", where=where, hint=hint)
    if status in (401, 403):
        told = "the hub wants a login, or has no such repository" if status == 401 else "the login may not do this"
        return HubAccessError(told, where=where, hint=f"check the spelling; {_LOGIN} with a token that may do this")
    if isinstance(error, errors.RevisionNotFoundError):
        hint = "leave the revision out, or give a branch, tag or whole commit of the repository"
        return HubNotFoundError(f"there is no revision {revision!r}", where=where, hint=hint)
    if isinstance(error, (errors.RepositoryNotFoundError, errors.HFValidationError)):
        hint = f"a name is user/name; check the spelling; if it is private, {_LOGIN}"
        return HubNotFoundError("the hub has no such repository", where=where, hint=hint)
    if isinstance(error, errors.EntryNotFoundError) and status:
        return HubNotFoundError("the hub has no such file", where=where, hint="choose another revision")
    if isinstance(error, errors.HfHubHTTPError) and (status == 429 or status >= 500):
        wait_s = _retry_after(error)
        hint = f"try again in {wait_s} s" if wait_s else "try again later"
        return HubBusyError(f"the hub is busy (it answered {status})", where=where, hint=hint)
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if status or isinstance(error, (ValueError, RuntimeError)):
        return HubError(f"the hub refuses: {first}", where=where, hint="see what it says; --debug shows all of it")
    if isinstance(error, OSError) and error.errno is not None:
        return HubTransferError(f"the files cannot be kept: {first}", where=where, hint="check the disk and HF_HOME")
    hint = "check the network and try again; nothing half-fetched was kept"
    return HubTransferError(f"the transfer failed: {first}", where=where, hint=hint)
