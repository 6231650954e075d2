"""A small server that speaks as much of the hub's protocol as reading a repository needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _handler(repositories: dict[str, Path], log: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: Any) -> None:
            log.append(format % args)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlparse(self.path).path).lstrip("/")
            for name, folder in repositories.items():
                if path.startswith(f"api/models/{name}"):
                    return self._info(name, folder, path.removeprefix(f"api/models/{name}").strip("/"))
                if path.startswith(f"{name}/resolve/"):
                    file = folder / path.removeprefix(f"{name}/resolve/").split("/", 1)[1]
                    if file.is_file():
                        return self._file(file, with_body=with_body)
                    return self._error("EntryNotFound")
            return self._error("RepoNotFound")

        def _info(self, name: str, folder: Path, rest: str) -> None:
            files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
            if rest.startswith("tree"):
                sizes = {file: (folder / file).stat().st_size for file in files}
                content: Any = [
                    {"type": "file", "path": file, "size": size, "oid": COMMIT} for file, size in sizes.items()
                ]
            else:
                content = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
            body = json.dumps(content).encode()
            self._head(200, len(body), {"Content-Type": "application/json"})
            self.wfile.write(body)

        def _file(self, file: Path, *, with_body: bool) -> None:
            body = file.read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._head(200, len(body), headers)
            if with_body:
                self.wfile.write(body)

        def _error(self, code: str) -> None:
            self._head(404, 0, {"X-Error-Code": code})

        def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(length)}.items():
                self.send_header(key, value)
            self.end_headers()

    return Handler


@contextmanager
def hub_server(repositories: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Yields the server's address and the list of requests it has answered.

    Args:
        repositories: Name (`user/name`) -> folder with its files.
    """
    log: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(repositories, log))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", log
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
