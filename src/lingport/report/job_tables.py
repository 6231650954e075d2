"""The tables of jobs: what modules cost and learnt, what was cut or unreadable, what failed.

Not here: scores (`tables.py`), and how a table is drawn.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from lingport.config.modules import KIND_LETTERS
from lingport.report.cells import row_label
from lingport.report.read import Row, Run
from lingport.report.scores import AVERAGE, Scores
from lingport.report.table import MISSING, Cell, Table, integer, loss, mebibytes, seconds
from lingport.report.tables import score_cell

_LANGUAGE_JOB = re.compile(r"l(?P<letter>[a-z])-(?P<language>.+?)[-.]s\d+(?P<rest>.*)")


def cost_table(run: Run, scores: Scores, *, name: str) -> Table | None:
    """Returns what each configuration costs beside what it scores, or None before any module is trained."""
    jobs = {job["name"]: job for job in run.jobs if job["status"] == "done"}
    rows = []
    for label in scores.labels:
        used = scores.modules.get(label, [])
        task, language = (_distinct(jobs, [each.get(role) for each in used]) for role in ("task", "language"))
        if not task:
            continue
        peaks = [job["peak_bytes"] for job in task if job.get("peak_bytes")]
        cells = [
            integer(_mean_of(task, "num_trained")),
            integer(_mean_of(language, "num_trained")),
            seconds(_mean_of(task, "seconds")),
            seconds(_mean_of(language, "seconds")),
            mebibytes(max(peaks, default=None)),
            score_cell(scores, label, AVERAGE),
        ]
        rows.append((label, cells))
    if not rows:
        return None
    head = ["configuration", "task numbers", "language numbers", "task s", "language s", "peak MiB", AVERAGE]
    note = (
        "Trained numbers and seconds of one task module and of one language module, means over seeds and languages. "
        "Peak memory while the task module was trained: of the process, or of the GPU where one was used. "
        f"Average {scores.score} over the zero-shot targets."
    )
    return Table(f"{name}: cost and score", head, rows, note)


def language_table(run: Run) -> Table | None:
    """Returns per language the held-out loss without a module and with each kind, means over seeds."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    kinds: list[str] = []
    for job in run.done("language"):
        before, after = (job.get(key, {}).get("validation_loss") for key in ("initial", "final"))
        if before is None or after is None:
            continue
        kind, name = kind_of(job), language_of(job)
        kinds += [] if kind in kinds else [kind]
        found.setdefault(name, {}).setdefault(kind, []).append((before, after))
    if not found:
        return None
    rows = []
    for name, losses in found.items():
        cells = [loss(before for pairs in losses.values() for before, _ in pairs)]
        for kind in kinds:
            pairs = losses.get(kind, [])
            cells += [
                loss(after for _, after in pairs),
                loss((after - before for before, after in pairs), sign="+"),
            ]
        rows.append((name, cells))
    head = ["language", "without"] + [text for kind in kinds for text in (f"with {kind}", f"{kind} change")]
    note = "Loss of the training objective on held-out text of the language, nats per target token; lower is better."
    return Table("Language modules", head, rows, note)


def job_table(run: Run) -> Table | None:
    """Returns what each training job cost."""
    rows = []
    for job in [*run.done("language"), *run.done("task")]:
        cells = [
            integer(job.get("num_trained")),
            integer(job.get("steps")),
            integer(job.get("final", {}).get("best_step")),
            seconds(job.get("seconds")),
            mebibytes(job.get("peak_bytes")),
        ]
        rows.append((job["name"], cells))
    if not rows:
        return None
    head = ["job", "trained numbers", "steps", "kept step", "seconds", "peak MiB"]
    return Table("Training jobs", head, rows, "Peak memory is that of the process, or of the GPU where one was used.")


def unusable_table(run: Run) -> Table | None:
    """Returns per task and configuration how much was cut, unreadable, or in the wrong script."""
    keys = ["examples", "inputs_cut", "outputs_cut", "unreadable", "wrong_script"]
    counts: dict[tuple[str, str], list[Row]] = {}
    for row in run.results:
        if row["status"] == "done" and "counts" in row:
            counts.setdefault((row["task"], row_label(row["configuration"], row["policy"])), []).append(row["counts"])
    if not counts:
        return None
    rows = [
        (
            f"{task}, {label}",
            [integer(sum(c[key] for c in found if key in c) if any(key in c for c in found) else None) for key in keys],
        )
        for (task, label), found in counts.items()
    ]
    head = ["task, configuration", "outputs", "inputs cut", "outputs cut", "unreadable", "wrong script"]
    note = "Summed over sources, targets and seeds. Unreadable outputs count as wrong."
    return Table("Cut and unusable", head, rows, f"{note} {MISSING} is not measured for the task.")


def failure_table(run: Run) -> Table | None:
    """Returns the jobs that failed or were blocked, with the reason."""
    rows = [
        (job["name"], [Cell(job["status"]), Cell(str(job.get("error") or MISSING))])
        for job in run.jobs
        if job["status"] in ("failed", "blocked")
    ]
    if not rows:
        return None
    return Table("Failed jobs", ["job", "status", "reason"], rows, worded=frozenset({"status", "reason"}))


def kind_of(job: Row) -> str:
    """Returns the kind of a language job's module, from its name (`lp-sk-s1` is a prompt)."""
    match = _LANGUAGE_JOB.fullmatch(job["name"])
    return next((kind for kind, letter in KIND_LETTERS.items() if match and letter == match["letter"]), "module")


def language_of(job: Row) -> str:
    """Returns the language of a language job, from its name, with the sweep's point that it belongs to."""
    match = _LANGUAGE_JOB.fullmatch(job["name"])
    if not match:
        return job["name"]
    point = match["rest"].strip("-")
    return f"{match['language']} ({point})" if point else match["language"]


def _distinct(jobs: dict[str, Row], names: Sequence[str | None]) -> list[Row]:
    return [jobs[name] for name in dict.fromkeys(names) if name in jobs]


def _mean_of(jobs: Sequence[Row], key: str) -> float | None:
    known = [job[key] for job in jobs if job.get(key) is not None]
    return statistics.fmean(known) if known else None
