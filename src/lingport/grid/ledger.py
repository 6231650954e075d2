"""What a run folder holds: which jobs are done, their results and metrics. Rows are appended, never changed.

Of several rows on one job or cell the last one counts. Several processes may append at once: each append is whole
lines under one lock, and a line that a killed process left half written is taken away by the next append.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from lingport.errors import DataError

Row = dict[str, Any]
JOBS, RESULTS = "jobs.jsonl", "results.jsonl"
#: seconds between two tries for the lock; it is held for a few milliseconds
_LOCK_POLL_S = 0.002


class Ledger:
    """The records of a run.

    Args:
        run_dir: The run's folder; made when something is written.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._lock = FileLock(run_dir / ".lock", poll_interval=_LOCK_POLL_S)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps all other processes from changing what is done and who does what; may be nested.

        The operating system opens the lock of a process that dies.
        """
        self.run_dir.mkdir(parents=True, exist_ok=True)
        with self._lock:
            yield

    def module_dir(self, name: str) -> Path:
        """Returns where a module of that name lies, or will lie."""
        return self.run_dir / "modules" / name

    def checkpoint(self, job_id: str) -> Path:
        """Returns where the checkpoint of a job lies while it runs."""
        return self.run_dir / "checkpoints" / f"{job_id}.safetensors"

    def jobs(self) -> dict[str, Row]:
        """Returns job id -> its last record."""
        return {row["job"]: row for row in self._read(JOBS)}

    def results(self) -> dict[str, Row]:
        """Returns cell id -> its last result."""
        return {row["cell"]: row for row in self._read(RESULTS)}

    def plan(self) -> list[Row]:
        """Returns the jobs that the run was last asked for, parents first: job, phase, name, needs (job ids).

        A cell's row also says where it lies: task, configuration, source, target, policy, seed, shots, settings.
        """
        return list(self._read("plan.jsonl"))

    def add_jobs(self, *rows: Row) -> None:
        """Records how jobs ended."""
        with self.lock():
            self._append(self.run_dir / JOBS, rows)

    def add_results(self, *rows: Row) -> None:
        """Records cells."""
        with self.lock():
            self._append(self.run_dir / RESULTS, rows)

    def sync(self) -> None:
        """Returns when all records lie on the disk; best outside of the lock, since the disk may take its time."""
        for name in (RESULTS, JOBS):
            if (self.run_dir / name).exists():
                with (self.run_dir / name).open("rb") as stream:
                    os.fsync(stream.fileno())

    def add_metric(self, name: str, row: Row) -> None:
        """Records an event of a training run; only the process that trains the module writes to its file."""
        self._append(self.run_dir / "metrics" / f"{name}.jsonl", [row])

    def restart_metrics(self, name: str, *, after_step: int) -> None:
        """Forgets events later than a step, which a resumed run makes again."""
        file = self.run_dir / "metrics" / f"{name}.jsonl"
        rows = [row for row in self._read(f"metrics/{name}.jsonl") if row["step"] <= after_step]
        if file.exists():
            self._replace(file, rows)

    def write_recipe(self, recipe: Row) -> None:
        """Writes the resolved recipe beside the results."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False)
        replace_file(self.run_dir / "recipe.yaml", text)

    def backbone(self) -> Row:
        """Returns the backbone that the run was last done with: name, revision, fingerprint; empty before any run."""
        file = self.run_dir / "backbone.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def write_backbone(self, backbone: Row) -> None:
        """Writes which backbone the run is done with; see `backbone`."""
        replace_file(self.run_dir / "backbone.json", json.dumps(backbone, indent=2) + "\n")

    def write_plan(self, rows: Sequence[Row]) -> None:
        """Writes the jobs that the run is asked for; see `plan`."""
        self._replace(self.run_dir / "plan.jsonl", rows)

    def write_tasks(self, definitions: Row) -> None:
        """Writes the tasks as they are now, name -> what a task file says: scores can be counted again from outputs."""
        replace_file(self.run_dir / "tasks.json", json.dumps(definitions, ensure_ascii=False, indent=2) + "\n")

    def write_predictions(self, name: str, rows: Sequence[Row]) -> None:
        """Writes all outputs of a cell."""
        self._replace(self.run_dir / "predictions" / f"{name}.jsonl", rows)

    def _read(self, name: str) -> Iterator[Row]:
        file = self.run_dir / name
        if not file.exists():
            return
        lines = file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                yield json.loads(line)
            except ValueError as error:  # no JSON, or cut within a letter of several bytes
                if number == len(lines):  # the process was killed while it wrote this line
                    return
                raise DataError(
                    f"not valid JSON: {error}", where=f"{file}:{number}", hint="remove this line"
                ) from error

    def _append(self, file: Path, rows: Sequence[Row]) -> None:
        if not rows:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a+b") as stream:
            if stream.tell() and not _ends_line(stream):
                stream.truncate(_last_line_start(file))
            stream.write(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))

    def _replace(self, file: Path, rows: Sequence[Row]) -> None:
        replace_file(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


class Tail:
    """Reads what was appended to a file of rows since the last look.

    Args:
        file: May not be there yet.
        offset: Where to begin, in bytes; the end of a line.
    """

    def __init__(self, file: Path, *, offset: int = 0) -> None:
        self.file = file
        self.offset = offset

    def rows(self) -> list[Row]:
        """Returns the new rows; a line that is being written is left for the next look."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            new = stream.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [json.loads(line) for line in whole.split(b"\n") if line]


def replace_file(file: Path, text: str) -> None:
    """Writes a file that appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write the same file, one of them thought dead: each has its own staging file.
    staging = file.with_name(f".{file.name}.{os.getpid()}")
    staging.write_text(text, encoding="utf-8")
    staging.replace(file)


def _ends_line(stream: Any) -> bool:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


def _last_line_start(file: Path) -> int:
    return file.read_bytes().rfind(b"\n") + 1
