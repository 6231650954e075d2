"""Who is at work on a run: one small file per worker process, with the jobs it holds and how far they are.

A worker writes its file again every few seconds; one that has been silent for long, or whose process is gone, is dead
and its jobs are free. Not here: which jobs there are (`board.py`) and doing them (`worker.py`).
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from lingport.errors import LingportError
from lingport.grid.ledger import Ledger, replace_file

logger = logging.getLogger(__name__)

#: seconds between two signs of life
BEAT_S = 3.0
#: a worker on another machine that gives no sign for so many seconds is dead
SILENT_S = 60.0


class SupersededError(LingportError):
    """Others thought that this worker was dead and do its jobs: it must stop."""


@dataclass
class Sign:
    """What a worker's file says.

    Attributes:
        name: Of the worker, and of its file.
        token: Differs for each process that ever bore the name.
        host: Name of its machine, for people.
        machine: Where its process number means something.
        pid: Its process number there.
        beat: How often it has written the file: a worker that lives writes a larger number.
        time: When it last wrote, in seconds since 1970 by its own clock.
        jobs: Job id -> name, done, total, message.
    """

    name: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=platform.node)
    machine: str = field(default_factory=lambda: _machine())
    pid: int = field(default_factory=os.getpid)
    beat: int = 0
    time: float = 0.0
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)


class Presence:
    """A worker's own file. A `with` block writes it, keeps it fresh from a thread, and removes it at the end.

    Args:
        ledger: The run's folder.
        name: Of the worker; who comes under the name of one that is there takes that one's place.
        beat_s: Seconds between two signs of life.
    """

    def __init__(self, ledger: Ledger, name: str, *, beat_s: float = BEAT_S) -> None:
        self.sign = Sign(name)
        self._ledger = ledger
        self._file = _folder(ledger) / f"{name}.json"
        self._beat_s = beat_s
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._keep_beating, name="presence", daemon=True)

    def __enter__(self) -> Self:
        with self._ledger.lock():
            self._write()
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._beating.join()
        with self._ledger.lock():
            if self.is_mine():
                self._file.unlink()

    def hold(self, jobs: Iterable[tuple[str, str]]) -> None:
        """Says that this worker does jobs (id, name) from now on; under the ledger's lock.

        Raises:
            SupersededError: Another worker has taken this one's place.
        """
        self.insist()
        self.sign.jobs |= {job_id: {"name": name, "done": 0, "total": 0, "message": ""} for job_id, name in jobs}
        self._write()

    def release(self, job_ids: Iterable[str]) -> None:
        """Remembers that jobs are over, for the next sign of life: that they are is recorded elsewhere."""
        over = set(job_ids)
        self.sign.jobs = {job_id: job for job_id, job in self.sign.jobs.items() if job_id not in over}

    def progress(self, job_id: str, done: int, total: int, message: str) -> None:
        """Remembers how far a job is, for the next sign of life."""
        if job_id in self.sign.jobs:
            self.sign.jobs[job_id].update(done=done, total=total, message=message)

    def insist(self) -> None:
        """Passes if this worker still counts as alive; under the ledger's lock.

        Raises:
            SupersededError: Another worker has taken this one's place.
        """
        if not self.is_mine():
            raise SupersededError(
                f"the worker {self.sign.name} was silent for so long that its jobs were given to others",
                where=str(self._file),
                hint="nothing is lost: the others do them",
            )

    def is_mine(self) -> bool:
        """Returns whether the file is still this process's."""
        sign = _read(self._file)
        return sign is not None and sign.token == self.sign.token

    def _write(self) -> None:
        self.sign.beat += 1
        self.sign.time = time.time()
        replace_file(self._file, json.dumps(asdict(self.sign), ensure_ascii=False))

    def _keep_beating(self) -> None:
        while not self._over.wait(self._beat_s):
            try:
                with self._ledger.lock():
                    if not self.is_mine():
                        return
                    self._write()
            except OSError as error:  # a full or absent disk may come back; the jobs will say so if not
                logger.warning("no sign of life could be written: %s", error)


class Watch:
    """Tells living workers from dead ones, by this process's clock only.

    Args:
        ledger: The run's folder.
        silent_s: A worker on another machine that gives no sign for so long is dead.
    """

    def __init__(self, ledger: Ledger, *, silent_s: float = SILENT_S) -> None:
        self._ledger = ledger
        self._silent_s = silent_s
        self._seen: dict[str, tuple[int, float]] = {}

    def workers(self) -> tuple[list[Sign], list[Sign]]:
        """Returns the living and the dead."""
        living, dead = [], []
        for sign in signs(self._ledger):
            (dead if self._is_dead(sign) else living).append(sign)
        return living, dead

    def forget(self, sign: Sign) -> None:
        """Removes a dead worker's file, if nobody has taken its place; under the ledger's lock."""
        file = _folder(self._ledger) / f"{sign.name}.json"
        now = _read(file)
        if now is not None and now.token == sign.token:
            file.unlink()

    def _is_dead(self, sign: Sign) -> bool:
        if is_gone(sign):
            return True
        now = time.monotonic()
        beat, since = self._seen.get(sign.token, (-1, now))
        if beat != sign.beat:
            since = now
        self._seen[sign.token] = (sign.beat, since)
        return now - since > self._silent_s


def signs(ledger: Ledger) -> list[Sign]:
    """Returns what all workers' files say, by name."""
    found = (_read(file) for file in sorted(_folder(ledger).glob("[!.]*.json")))
    return [sign for sign in found if sign is not None]


def is_gone(sign: Sign) -> bool:
    """Returns whether a worker of this machine has no process any more; False for other machines."""
    if sign.machine != _machine():
        return False
    try:
        os.kill(sign.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's, so there
        return False
    return False


def _folder(ledger: Ledger) -> Path:
    return ledger.run_dir / "workers"


def _read(file: Path) -> Sign | None:
    try:
        return Sign(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


@cache
def _machine() -> str:
    # Containers may share a name and count their processes apart: the kernel names the space of numbers.
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        return platform.node()
    return f"{boot} {space}"
