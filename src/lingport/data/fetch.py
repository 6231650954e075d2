"""Files of data sets: those on this machine, and those of the hub, fetched once and pinned to a commit.

What is fetched lies in the hub's own cache. Beside it (HF_HOME/lingport) are kept the commit that each branch or tag
was first found at, and the list of files of each commit, so that a second use asks the hub for nothing. No code of a
data set is ever run. Not here: which files belong to a split (`hub_files.py`), and reading them.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lingport.config.catalogue import entry_of
from lingport.config.data import ExampleSource, TextSource
from lingport.config.paths import locate
from lingport.errors import DataError

logger = logging.getLogger(__name__)

S = TypeVar("S", TextSource, ExampleSource)

MAIN = "main"
#: formats whose `name` is no place for files
_NAMED_FORMATS = ("hub", "demo")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_OFFLINE_HINT = (
    "check the network; offline, a data set must have been fetched before on this machine (HF_HUB_OFFLINE=1 spares "
    "the retries), or be given as files (format squad, columns, spans, xnli or table)"
)


def with_local_files(source: S) -> S:
    """Returns a source (placeholders filled) whose paths are files on this machine, fetched where it names the hub.

    Raises:
        DataError: A file is not there; for a data set of the catalogue the message says where to obtain it.
    """
    if source.format in _NAMED_FORMATS:
        return source
    labels_path = getattr(source, "labels_path", None)
    changed: dict[str, Any] = {"paths": [path for pattern in source.paths for path in _local(source, pattern)]}
    if labels_path is not None:
        changed["labels_path"] = _local(source, labels_path)[0]
    return source.model_copy(update=changed)


def _local(source: TextSource | ExampleSource, pattern: str) -> list[str]:
    if source.name is not None:
        commit = commit_of(source.name, source.revision)
        return [str(path) for path in fetch(source.name, [pattern], commit=commit)]
    try:
        return [str(path) for path in locate(pattern, folders=source.base_folders)]
    except DataError as error:
        if source.dataset is None:
            raise
        raise DataError(
            error.message, where=f"data set {source.dataset}", hint=entry_of(source.dataset).obtain or error.hint
        ) from None


def is_commit(revision: str | None) -> bool:
    """Returns whether a revision is a whole commit hash, which can never mean something else."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def known_commit(name: str, revision: str | None) -> str | None:
    """Returns the commit of a revision as far as this machine knows it; asks nobody."""
    if is_commit(revision):
        return revision
    return _remembered(name, "revisions").get(revision or MAIN)


def commit_of(name: str, revision: str | None = None) -> str:
    """Returns the commit that a revision of a data set stands for: what it was at first use on this machine.

    Args:
        name: The data set's name on the hub.
        revision: Commit, branch or tag. None: the main branch.

    Raises:
        DataError: The hub does not know it, refuses it, or cannot be reached.
    """
    known = known_commit(name, revision)
    if known is None:
        known = _ask(name, revision)
        _remember(name, "revisions", {**_remembered(name, "revisions"), revision or MAIN: known})
        logger.info("%s: %s is commit %s from now on", name, revision or MAIN, known)
    return known


def list_files(name: str, commit: str) -> list[str]:
    """Returns the paths of all files of a data set at a commit, sorted.

    Raises:
        DataError: As `commit_of`.
    """
    if not (known := _remembered(name, commit)):
        _ask(name, commit)
        known = _remembered(name, commit)
    return known["files"]


def fetch(name: str, files: Sequence[str], *, commit: str) -> list[Path]:
    """Returns the local places of files of a data set, fetched where this machine has them not.

    Args:
        name: The data set's name on the hub.
        files: Paths in it.
        commit: The commit, whole.

    Raises:
        DataError: As `commit_of`, or there is no such file.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    found = []
    for file in files:
        cached = try_to_load_from_cache(name, file, repo_type="dataset", revision=commit)
        if not isinstance(cached, str):
            logger.info("fetching %s of %s, commit %s", file, name, commit)
            with _told(name, commit, file):
                cached = hf_hub_download(name, file, repo_type="dataset", revision=commit)
        found.append(Path(cached))
    return found


def _ask(name: str, revision: str | None) -> str:
    """Asks the hub for a revision's commit, and remembers the list of its files."""
    from huggingface_hub import HfApi

    with _told(name, revision, None):
        found = HfApi().dataset_info(name, revision=revision)
    if not found.sha:
        raise DataError("the hub names no commit", where=f"hub:{name}", hint="set `revision` to a commit")
    _remember(name, found.sha, {"files": sorted(each.rfilename for each in found.siblings or [])})
    return found.sha


@contextmanager
def _told(name: str, revision: str | None, file: str | None) -> Generator[None]:
    """Turns the hub's refusals into errors that say what to do."""
    from huggingface_hub import errors

    where = f"hub:{name}" + (f"/{file}" if file else "")
    page = f"https://huggingface.co/datasets/{name}"
    try:
        yield
    except errors.GatedRepoError as error:
        hint = f"open {page}, accept its conditions, and log in (`hf auth login`, or HF_TOKEN)"
        raise DataError("the data set is given only to those who ask for it", where=where, hint=hint) from error
    except errors.RevisionNotFoundError as error:
        hint = f"set `revision` to a commit or branch of {page}/commits/main, or leave it out"
        raise DataError(f"the data set has no revision {revision!r}", where=where, hint=hint) from error
    except errors.LocalEntryNotFoundError as error:
        raise DataError(f"the data set cannot be had: {_first_line(error)}", where=where, hint=_OFFLINE_HINT) from error
    except errors.EntryNotFoundError as error:
        message = f"the data set has no file {file!r} at {revision}"
        raise DataError(message, where=where, hint=f"see {page}/tree/{revision or MAIN}") from error
    except errors.RepositoryNotFoundError as error:
        hint = f"check the spelling; if {page} is private, log in (`hf auth login`, or HF_TOKEN)"
        raise DataError("there is no such data set on the hub, or it is private", where=where, hint=hint) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        hint = "log in (`hf auth login`, or HF_TOKEN)" if status in (401, 403) else "try again later"
        raise DataError(f"the hub answered {status}: {_first_line(error)}", where=where, hint=hint) from error
    except errors.HFValidationError as error:
        hint = "a data set's name is user/name, or a folder that is there"
        raise DataError(f"{name!r} is no name of the hub", where=where, hint=hint) from error
    except (errors.OfflineModeIsEnabled, errors.HTTPError, OSError) as error:  # pyright: ignore[reportPrivateImportUsage]
        raise DataError(f"the data set cannot be had: {_first_line(error)}", where=where, hint=_OFFLINE_HINT) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _memory(name: str, topic: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "lingport" / "datasets" / name.replace("/", "--") / f"{topic}.json"


def _remembered(name: str, topic: str) -> dict[str, Any]:
    file = _memory(name, topic)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _remember(name: str, topic: str, content: dict[str, Any]) -> None:
    file = _memory(name, topic)
    file.parent.mkdir(parents=True, exist_ok=True)
    staging = file.with_name(f".{file.name}.{os.getpid()}")
    staging.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    staging.replace(file)
