"""What a run folder holds: which jobs are done, their results and metrics. Rows are appended, never changed.

Of several rows on one job or cell the last one counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lingport.errors import DataError


class Ledger:
    """The records of a run.

    Args:
        run_dir: The run's folder; made when something is written.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    def module_dir(self, name: str) -> Path:
        """Returns where a module of that name lies, or will lie."""
        return self.run_dir / "modules" / name

    def checkpoint(self, job_id: str) -> Path:
        """Returns where the checkpoint of a job lies while it runs."""
        return self.run_dir / "checkpoints" / f"{job_id}.safetensors"

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Returns job id -> its last record."""
        return {row["job"]: row for row in self._read("jobs.jsonl")}

    def results(self) -> dict[str, dict[str, Any]]:
        """Returns cell id -> its last result."""
        return {row["cell"]: row for row in self._read("results.jsonl")}

    def add_job(self, row: dict[str, Any]) -> None:
        """Records how a job ended."""
        self._append(self.run_dir / "jobs.jsonl", row)

    def add_result(self, row: dict[str, Any]) -> None:
        """Records a cell."""
        self._append(self.run_dir / "results.jsonl", row)

    def add_metric(self, name: str, row: dict[str, Any]) -> None:
        """Records an event of a training run."""
        self._append(self.run_dir / "metrics" / f"{name}.jsonl", row, flush=False)

    def restart_metrics(self, name: str, *, after_step: int) -> None:
        """Forgets events later than a step, which a resumed run makes again."""
        file = self.run_dir / "metrics" / f"{name}.jsonl"
        rows = [row for row in self._read(f"metrics/{name}.jsonl") if row["step"] <= after_step]
        if file.exists():
            self._replace(file, rows)

    def write_recipe(self, recipe: dict[str, Any]) -> None:
        """Writes the resolved recipe beside the results."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False)
        (self.run_dir / "recipe.yaml").write_text(text, encoding="utf-8")

    def write_predictions(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Writes all outputs of a cell."""
        self._replace(self.run_dir / "predictions" / f"{name}.jsonl", rows)

    def _read(self, name: str) -> Iterator[dict[str, Any]]:
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

    def _append(self, file: Path, row: dict[str, Any], *, flush: bool = True) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a+b") as stream:
            if stream.tell() and not _ends_line(stream):
                stream.truncate(_last_line_start(file))
            stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            if flush:
                stream.flush()
                os.fsync(stream.fileno())

    def _replace(self, file: Path, rows: list[dict[str, Any]]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        staging = file.with_name(f".{file.name}")
        staging.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        staging.replace(file)


def _ends_line(stream: Any) -> bool:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


def _last_line_start(file: Path) -> int:
    return file.read_bytes().rfind(b"\n") + 1
