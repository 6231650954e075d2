"""A small server that speaks as much of the hub's protocol as reading data sets needs, refusals included.

Data sets only; repositories of models and uploads are `hub_server.py`'s.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse

FIRST = "1" * 40
SECOND = "2" * 40


@dataclass
class ServedDataset:
    """One data set.

    Attributes:
        commits: Commit -> path -> content.
        branches: Branch -> commit.
        refusal: Status and error code given in place of everything; None: it is public.
    """

    commits: Mapping[str, Mapping[str, bytes]]
    branches: dict[str, str] = field(default_factory=lambda: {"main": FIRST})
    refusal: tuple[int, str] | None = None


@dataclass
class Hub:
    """The running server.

    Attributes:
        endpoint: Its address.
        log: `METHOD path` of every request so far.
    """

    endpoint: str
    log: list[str]

    def count(self, text: str) -> int:
        """How many requests hold a text."""
        return sum(text in line for line in self.log)


def _handler(datasets: Mapping[str, ServedDataset], log: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing; requests are kept in the log."""

        def _answer(self, *, with_body: bool) -> None:
            path = urlparse(self.path).path.lstrip("/")
            log.append(f"{self.command} {unquote(path)}")
            for name, served in datasets.items():
                for prefix, answer in ((f"api/datasets/{name}", self._info), (f"datasets/{name}/resolve/", self._file)):
                    if path.startswith(prefix):
                        if served.refusal:
                            return self._refuse(*served.refusal)
                        return answer(name, served, path.removeprefix(prefix).strip("/"), with_body)
            return self._refuse(404, "RepoNotFound")

        def _info(self, name: str, served: ServedDataset, rest: str, with_body: bool) -> None:
            asked = unquote(rest.removeprefix("revision/")) or "main"
            commit = served.branches.get(asked, asked)
            if commit not in served.commits:
                return self._refuse(404, "RevisionNotFound")
            siblings = [{"rfilename": file} for file in served.commits[commit]]
            body = json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode()
            return self._send(200, body, {"Content-Type": "application/json"}, with_body)

        def _file(self, name: str, served: ServedDataset, rest: str, with_body: bool) -> None:
            revision, _, file = rest.partition("/")
            commit = served.branches.get(unquote(revision), unquote(revision))
            content = served.commits.get(commit, {}).get(unquote(file))
            if content is None:
                return self._refuse(404, "EntryNotFound")
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}
            return self._send(200, content, headers, with_body)

        def _refuse(self, status: int, code: str) -> None:
            self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code}, False)

        def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return Handler


@contextmanager
def dataset_server(datasets: Mapping[str, ServedDataset]) -> Iterator[Hub]:
    """Yields a server of data sets, by name (`user/name`); what is changed in them is served at once."""
    log: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(datasets, log))
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_address[1]}", log)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
