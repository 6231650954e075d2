"""A grid of thousands of tiny cells on a Ray cluster of this machine, while workers are killed at random and the driver
once: nothing may be lost, nothing done twice, and the report must be that of a run in one process, to the byte.

    python -m benchmarks.grid_stress --cells 2000 --workers 4 --kill-every 20 --out /tmp/stress

Scheduling overhead: a worker's clock runs from one record to the next; what no job took of it went into taking jobs,
saying how far they are, and recording them (waiting for others' jobs not counted). The sum of that over all workers is
divided by the sum of the times that the jobs took. Both are in `jobs.jsonl`, as `scheduling_s` and `took_s`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import secrets
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from lingport.config.schema import Recipe
from lingport.grid.follow import Silent
from lingport.grid.ledger import Ledger
from lingport.grid.presence import is_gone, signs
from lingport.grid.run import run_recipe
from lingport.report.build import build_report
from tests.grid.ray_cluster import ray_cluster
from tests.grid_runs import predictions, recipe, results, write_data

LANGUAGES = ("sk", "de", "cs", "pl", "fr", "es", "it", "pt", "nl", "sv", "da", "fi", "hu", "ro", "bg", "el")
POLICIES = ("target", "source", "none", "untrained", "wrong:en")
CONFIGURATIONS = ("none", "ta", "tp", "la+ta", "la+tp", "lp+ta", "lp+tp")
#: what differs between two runs of the same jobs
COSTS = ("seconds", "peak_bytes", "took_s", "scheduling_s", "rows_per_s", "tokens_per_s")


def make_recipe(folder: Path, num_cells: int) -> Recipe:
    """A recipe of at least so many cells: seven configurations, five policies, targets and seeds as it takes."""
    write_data(folder)
    text = folder / "en.txt"
    for language in LANGUAGES:
        (folder / f"{language}.txt").write_text(text.read_text())
    per_target_and_seed = 2 + 4 * len(POLICIES)
    num_targets = min(len(LANGUAGES), -(-num_cells // per_target_and_seed))
    num_seeds = -(-num_cells // (per_target_and_seed * num_targets))
    targets = LANGUAGES[:num_targets]
    return recipe(
        folder,
        name="stress",
        deterministic=True,
        configurations=list(CONFIGURATIONS),
        policies=list(POLICIES),
        targets=list(targets),
        seeds=list(range(1, num_seeds + 1)),
        text={language: {"path": str(folder / f"{language}.txt"), "validation": 0.2} for language in ("en", *targets)},
    )


def drive(folder: str, num_cells: int, run_dir: str, address: str, num_workers: int) -> None:
    """A driver: a process that can be killed."""
    torch.set_num_threads(1)
    content = make_recipe(Path(folder), num_cells)
    summary = run_recipe(content, Path(run_dir), reporter=Silent(), on=address, num_workers=num_workers)
    if summary.failed:
        raise SystemExit(f"failed: {summary.failed}")


def num_ended(ledger: Ledger) -> int:
    """Lines of the list of ended jobs."""
    file = ledger.run_dir / "jobs.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def run_and_kill(arguments: argparse.Namespace, run_dir: Path, address: str, total: int) -> dict[str, int]:
    """Drives the run until it is over, killing on the way; returns how often what was killed."""
    ledger, killed, chance = Ledger(run_dir), Counter({"workers": 0, "drivers": 0}), random.Random(arguments.seed)
    context = multiprocessing.get_context("spawn")
    while True:
        said = (str(arguments.out / "data"), arguments.cells, str(run_dir), address, arguments.workers)
        driver = context.Process(target=drive, args=said)
        driver.start()
        next_kill = time.monotonic() + arguments.kill_every
        while driver.is_alive():
            driver.join(timeout=0.2)
            busy = [sign for sign in signs(ledger) if sign.jobs and not is_gone(sign)]
            if arguments.kill_every and busy and time.monotonic() > next_kill:
                os.kill(chance.choice(busy).pid, signal.SIGKILL)
                killed["workers"] += 1
                next_kill = time.monotonic() + chance.expovariate(1 / arguments.kill_every)
            if arguments.kill_every and not killed["drivers"] and num_ended(ledger) > total // 2:
                assert driver.pid is not None
                os.kill(driver.pid, signal.SIGKILL)
                killed["drivers"] += 1
        if driver.exitcode == 0:
            return dict(killed)
        if driver.exitcode != -signal.SIGKILL:
            raise SystemExit(f"the driver ended with {driver.exitcode}")
        print(f"the driver was killed after {num_ended(ledger)} jobs; it is started again", flush=True)


def overhead(run_dir: Path) -> dict[str, float]:
    """Sums over the jobs that were done."""
    rows = [row for row in Ledger(run_dir).jobs().values() if row["status"] == "done"]
    took, scheduling = (sum(row.get(key, 0.0) for row in rows) for key in ("took_s", "scheduling_s"))
    return {"jobs_s": round(took, 2), "scheduling_s": round(scheduling, 2), "overhead": round(scheduling / took, 4)}


def report_files(run_dir: Path, folder: Path) -> dict[str, bytes]:
    """The files of the run's report, made with all costs set alike."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run_dir, folder, ignore=shutil.ignore_patterns("report", "checkpoints", "workers", "slurm"))
    for file in (folder / "jobs.jsonl", folder / "results.jsonl", *folder.glob("metrics/*.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        told = [{key: 1.0 if key in COSTS else value for key, value in row.items()} for row in rows]
        file.write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")
    made = build_report(folder)
    return {
        str(path.relative_to(made.html.parent)): path.read_bytes()
        for path in sorted(made.html.parent.rglob("*"))
        if path.is_file()
    }


def check(here: Path, there: Path, scratch: Path) -> dict[str, Any]:
    """Compares the two runs; every value must be 0 or empty."""
    mine, others = results(here), results(there)
    rows = [json.loads(line) for line in (there / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    times = Counter(row["cell"] for row in rows if row["status"] == "done")
    ours, theirs = report_files(here, scratch / "here"), report_files(there, scratch / "there")
    return {
        "cells lost": len(set(mine) - set(others)),
        "cells done twice": sum(count > 1 for count in times.values()),
        "results that differ": sum(mine[name] != others.get(name) for name in mine),
        "predictions that differ": sum(predictions(here)[name] != text for name, text in predictions(there).items()),
        "report files that differ": [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)],
    }


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2000, help="at least so many cells")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds between two kills, mean; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/stress"), help="a new folder")
    arguments = parser.parse_args()
    if arguments.out.exists():
        raise SystemExit(f"{arguments.out} exists already")
    torch.set_num_threads(1)
    content = make_recipe(arguments.out / "data", arguments.cells)
    here, there = arguments.out / "here", arguments.out / "ray"
    start = time.perf_counter()
    summary = run_recipe(content, here)
    here_s = time.perf_counter() - start
    num_cells = len(results(here))
    print(f"in one process: {summary.num_done} jobs, {num_cells} cells, {here_s:.1f} s, {overhead(here)}", flush=True)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1"}
    with ray_cluster(num_cpus=arguments.workers, environment={}) as address:
        start = time.perf_counter()
        killed = run_and_kill(arguments, there, f"ray:{address}", summary.num_done)
        there_s = time.perf_counter() - start
    print(f"on Ray, {arguments.workers} workers: {there_s:.1f} s, killed {killed}, {overhead(there)}", flush=True)
    found = check(here, there, arguments.out / "compared")
    for what, value in found.items():
        print(f"{what}: {value}")
    if any(found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
