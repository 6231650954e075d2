"""A small server that speaks the hub's protocol for repositories of models: reading, commits, large files, refusals.

As huggingface_hub 2.4 uses it, without xet. Data sets are `dataset_server.py`'s.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MAIN = "main"
Files = dict[str, bytes]


@dataclass
class Repository:
    """One repository: commits (id -> path -> content) and branches (name -> commit)."""

    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    private: bool = False

    def at(self, revision: str) -> tuple[str, Files] | None:
        """The commit of a revision and its files; None: there is none."""
        commit = self.branches.get(revision, revision)
        return (commit, self.commits[commit]) if commit in self.commits else None

    def commit(self, files: Files) -> str:
        """Makes a commit on the main branch."""
        content = json.dumps({path: hashlib.sha256(data).hexdigest() for path, data in files.items()}, sort_keys=True)
        commit = hashlib.sha1(f"{len(self.commits)} {content}".encode(), usedforsecurity=False).hexdigest()
        self.commits[commit], self.branches[MAIN] = files, commit
        return commit


@dataclass
class Fault:
    """What the server does in place of its answer to requests whose `METHOD path` holds a text.

    Attributes:
        where: The text.
        status: Answers with this status.
        headers: Sent along with it.
        drop: Closes the connection without an answer.
        cut: Says the whole length, sends half, and closes the connection.
        short: Sends half, and says so, as if that were all.
        spoil: Sends other bytes of the same length.
        times: How often; then it answers as usual.
    """

    where: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    cut: bool = False
    short: bool = False
    spoil: bool = False
    times: int = 1_000


@dataclass
class Hub:
    """The running server.

    Attributes:
        endpoint: Its address.
        repositories: By name (`user/name`); what is changed in them is served at once.
        token: What a request must bring to write, or to read what is private; None: nobody asks.
        faults: The first one that fits a request is used.
        log: `METHOD path` of every request so far.
        stored: Large files by their SHA-256.
    """

    endpoint: str
    repositories: dict[str, Repository]
    token: str | None = None
    faults: list[Fault] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    stored: Files = field(default_factory=dict)

    def count(self, text: str) -> int:
        """How many requests hold a text."""
        return sum(text in line for line in self.log)

    def fault(self, request: str) -> Fault | None:
        """The fault that a request meets now."""
        for each in self.faults:
            if each.where in request and each.times > 0:
                each.times -= 1
                return each
        return None


def is_large(path: str) -> bool:
    """Whether the hub keeps a file as a large one, by its name."""
    return path.endswith((".safetensors", ".bin"))


def etag(path: str, data: bytes) -> str:
    """The hash that the hub calls a file by: SHA-256 of large files, else git's of the blob."""
    if is_large(path):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing; requests are kept in the log."""

    def _answer(self) -> None:
        self.path_asked = unquote(urlparse(self.path).path)
        request = f"{self.command} {self.path_asked}"
        self.hub.log.append(request)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fault = self.hub.fault(request)
        if self.fault is not None and self.fault.drop:
            self.close_connection = True
            return None
        if self.fault is not None and self.fault.status:
            return self._send(self.fault.status, b"", self.fault.headers)
        for pattern, answer in _ROUTES.items():
            if found := re.fullmatch(pattern, request):
                return answer(self, **found.groupdict())
        return self._refuse(404, "RepoNotFound")

    def _may_not(self, repository: Repository | None = None, *, write: bool = False) -> bool:
        asked = write or (repository is not None and repository.private)
        if self.hub.token is None or not asked or self.headers.get("Authorization") == f"Bearer {self.hub.token}":
            return False
        self._send(401, b'{"error": "Invalid username or password."}', {"X-Error-Message": "Invalid credentials"})
        return True

    def _info(self, name: str, revision: str | None = None) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._refuse(404, "RepoNotFound")
        if self._may_not(repository):
            return None
        found = repository.at(revision or MAIN)
        if found is None:
            return self._refuse(404, "RevisionNotFound")
        siblings = [{"rfilename": path} for path in found[1]]
        return self._json({"id": name, "sha": found[0], "siblings": siblings, "private": repository.private})

    def _tree(self, name: str, revision: str, folder: str | None = None) -> None:
        if name not in self.hub.repositories:
            return self._refuse(404, "RepoNotFound")
        found = self.hub.repositories[name].at(revision)
        if found is None:
            return self._refuse(404, "RevisionNotFound")
        inside = {path: data for path, data in found[1].items() if path.startswith(f"{folder}/" if folder else "")}
        if not inside:
            return self._refuse(404, "EntryNotFound")
        rows = []
        for path, data in inside.items():
            oid = etag(path, data)
            large = {"lfs": {"oid": oid, "size": len(data), "pointerSize": 130}} if is_large(path) else {}
            rows.append({"type": "file", "path": path, "size": len(data), "oid": oid[:40], **large})
        return self._json(rows)

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._refuse(404, "RepoNotFound")
        if self._may_not(repository):
            return None
        commit, files = repository.at(revision) or ("", {})
        if path not in files:
            return self._refuse(404, "EntryNotFound")
        data = files[path]
        headers = {"ETag": f'"{etag(path, data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        start = int(re.sub(r"\D", "", self.headers.get("Range") or "") or 0)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self._send(206 if start else 200, data[start:], headers)

    def _create(self) -> None:
        if self._may_not(write=True):
            return None
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.hub.endpoint}/{name}", "name": name}
        if name in self.hub.repositories:
            return self._json(url, status=409)
        made = Repository(private=asked.get("visibility") == "private" or bool(asked.get("private")))
        made.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        self.hub.repositories[name] = made
        return self._json(url)

    def _validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def _preupload(self, name: str, revision: str) -> None:
        if name not in self.hub.repositories:
            return self._refuse(404, "RepoNotFound")
        if self._may_not(write=True):
            return None
        files = [
            {"path": each["path"], "uploadMode": "lfs" if is_large(each["path"]) else "regular", "shouldIgnore": False}
            for each in json.loads(self.body)["files"]
        ]
        return self._json({"files": files})

    def _batch(self, name: str) -> None:
        if self._may_not(write=True):
            return None
        objects = []
        for each in json.loads(self.body)["objects"]:
            told: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.stored:
                place = f"{self.hub.endpoint}/storage/{each['oid']}"
                verify = f"{self.hub.endpoint}/{name}.git/info/lfs/verify"
                told["actions"] = {"upload": {"href": place}, "verify": {"href": verify}}
            objects.append(told)
        return self._json({"transfer": "basic", "objects": objects})

    def _store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._send(400, b"", {})
        self.hub.stored[oid] = self.body
        return self._send(200, b"", {})

    def _verify(self, name: str) -> None:
        asked = json.loads(self.body)
        self._send(200 if len(self.hub.stored.get(asked["oid"], b"")) == asked["size"] else 404, b"{}", {})

    def _commit(self, name: str, revision: str) -> None:
        if self._may_not(write=True):
            return None
        repository = self.hub.repositories[name]
        files = dict(repository.at(revision)[1])  # pyright: ignore[reportOptionalSubscript]
        for line in self.body.splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif row["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(files)
        url = f"{self.hub.endpoint}/{name}/commit/{commit}"
        return self._json({"commitUrl": url, "commitOid": commit, "pullRequestUrl": None})

    def _json(self, content: Any, *, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        fault, half = self.fault, body[: len(body) // 2]
        if fault and fault.short:
            body = half
        if fault and fault.spoil:
            body = bytes(255 - byte for byte in body)
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault and fault.cut:
            self.wfile.write(half)
            self.close_connection = True
            return
        self.wfile.write(body)


_REPOSITORY = r"(?P<name>[\w.-]+/[\w.-]+)"
_ROUTES = {
    rf"GET /api/models/{_REPOSITORY}": _Handler._info,
    rf"GET /api/models/{_REPOSITORY}/revision/(?P<revision>.+)": _Handler._info,
    rf"GET /api/models/{_REPOSITORY}/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?": _Handler._tree,
    rf"(GET|HEAD) /{_REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": _Handler._resolve,
    r"POST /api/repos/create": _Handler._create,
    r"POST /api/validate-yaml": _Handler._validate,
    rf"POST /api/models/{_REPOSITORY}/preupload/(?P<revision>[^/]+)": _Handler._preupload,
    rf"POST /{_REPOSITORY}\.git/info/lfs/objects/batch": _Handler._batch,
    r"PUT /storage/(?P<oid>\w+)": _Handler._store,
    rf"POST /{_REPOSITORY}\.git/info/lfs/verify": _Handler._verify,
    rf"POST /api/models/{_REPOSITORY}/commit/(?P<revision>[^/]+)": _Handler._commit,
}


def use_hub(hub: Hub, home: Path, patch: Any) -> None:
    """Lets the client in this process talk to a server only, with a cache of its own and no waiting bars.

    Args:
        hub: The server.
        home: Stands for HF_HOME.
        patch: A `pytest.MonkeyPatch`.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    settings = {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }
    for name, value in settings.items():
        patch.setattr(constants, name, value)
    patch.delenv("HF_TOKEN", raising=False)
    disable_progress_bars()


@contextmanager
def hub_server(repositories: Mapping[str, Path] | None = None, *, token: str | None = None) -> Iterator[Hub]:
    """Yields the server.

    Args:
        repositories: Name (`user/name`) -> folder with its files, as they are at the commit `COMMIT`.
        token: What writing asks for; None: nobody is asked.
    """
    hub = Hub("", {}, token=token)
    for name, folder in (repositories or {}).items():
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        hub.repositories[name] = Repository({COMMIT: files}, {MAIN: COMMIT})
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
