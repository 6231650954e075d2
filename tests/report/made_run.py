"""A run folder that was made up, with everything that a report must cope with. Not a test."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import yaml

CONFIGURATIONS = ["none", "ta", "tp", "la+ta", "la+tp", "lp+ta", "lp+tp"]
TARGETS = ["en", "de", "es", "sk"]
TASKS = {"ner": "f1", "topic": "accuracy"}
SEEDS = [1, 2]
FAILED_PLACE = ("ner", "la+tp", "target", "sk", 2)
MISSING_PLACES = [("ner", "tp", "target", "es", 1), ("ner", "tp", "target", "es", 2)]
BLOCKED = "topic", "lp+tp", "source", "de"
_MEANS = dict(zip(CONFIGURATIONS, (0.04, 0.41, 0.33, 0.44, 0.35, 0.47, 0.36), strict=True))
_STEPS = 400


def made_score(task: str, configuration: str, policy: str, target: str, seed: int) -> float:
    """Returns the score that a cell of the made-up run has, 0 to 1."""
    luck = random.Random(f"{task}{configuration}{policy}{target}{seed}").gauss(0, 0.012)
    base = _MEANS[configuration] + (0.18 if task == "topic" and configuration != "none" else 0.0)
    base -= 0.05 * TARGETS.index(target) + (0.03 if policy == "source" else 0.0)
    return round(max(0.0, base + luck), 4)


def write_run(folder: Path) -> Path:
    """Returns the folder with the run in it: one cell failed, one missing, one policy beside the method's own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(_recipe(), sort_keys=False), encoding="utf-8")
    jobs = [_language_job(folder, kind, t, s) for kind in "ap" for t in TARGETS for s in SEEDS]
    jobs += [_task_job(folder, task, c, s) for task in TASKS for c in CONFIGURATIONS[1:] for s in SEEDS]
    results = [
        _result(task, configuration, policy, target, seed)
        for task in TASKS
        for configuration in CONFIGURATIONS
        for policy in (["target", "source"] if "+" in configuration else ["target"])
        for target in TARGETS
        for seed in (SEEDS if configuration != "none" else SEEDS[:1])
        if (task, configuration, policy, target, seed) not in MISSING_PLACES
    ]
    for row in results:
        name = f"{row['configuration']}-{row['task']}-en-{row['target']}-{row['policy']}-s{row['seed']}"
        state = {"status": row["status"], "error": row.get("error")}
        jobs.append({"job": row["cell"], "phase": "evaluate", "name": name, "seconds": 2.5, **state})
    _write(folder / "jobs.jsonl", jobs)
    _write(folder / "results.jsonl", results)
    return folder


def _recipe() -> dict:
    return {
        "name": "made-up",
        "description": "Scores that nobody measured.",
        "backbone": {"name": "nano", "dtype": "float32"},
        "configurations": CONFIGURATIONS,
        "policies": ["target", "source"],
        "sources": ["en"],
        "targets": TARGETS,
        "seeds": SEEDS,
        "tasks": [{"task": "ner", "name": None}, {"task": "topic", "name": None}],
    }


def _language_job(folder: Path, letter: str, target: str, seed: int) -> dict:
    name, before = f"l{letter}-{target}-s{seed}", 4.2 + 0.1 * TARGETS.index(target)
    after = before - (0.45 if letter == "a" else 0.2) - 0.01 * seed
    _metrics(folder, name, before, after, score=None)
    return {
        **_job(name, "language", 19_264 if letter == "a" else 9_600, 41.5 + seed),
        "initial": {"validation_loss": before},
        "final": {"validation_loss": after, "best_step": _STEPS},
    }


def _task_job(folder: Path, task: str, configuration: str, seed: int) -> dict:
    name, is_adapter = f"{configuration}-{task}-en-s{seed}", configuration.endswith("ta")
    best = made_score(task, configuration, "target", "en", seed)
    _metrics(folder, name, 3.1, 1.2 if is_adapter else 1.7, score=best)
    seconds = 30.0 + 4 * CONFIGURATIONS.index(configuration) + seed
    job = _job(name, "task", 19_264 if is_adapter else 9_600, seconds)
    return {**job, "final": {TASKS[task]: best, "best_step": 300}}


def _job(name: str, phase: str, num_trained: int, seconds: float) -> dict:
    row = {"job": f"id-{name}", "phase": phase, "name": name, "status": "done", "error": None}
    return {**row, "num_trained": num_trained, "steps": _STEPS, "seconds": seconds, "peak_bytes": 620 * 2**20}


def _metrics(folder: Path, name: str, start: float, end: float, *, score: float | None) -> None:
    luck, rows = random.Random(name), []
    for step in range(1, _STEPS + 1):
        loss = end + (start - end) * math.exp(-step / 90)
        rows.append({"event": "train", "step": step, "loss": loss + luck.gauss(0, 0.15), "learning_rate": 1e-3})
        if step % 50 == 0:
            scores = {"validation_loss": loss}
            if score is not None:
                scores |= {"score": score * (1 - math.exp(-step / 80))}
            rows.append({"event": "evaluate", "step": step, "scores": scores})
    _write(folder / "metrics" / f"{name}.jsonl", rows)


def _result(task: str, configuration: str, policy: str, target: str, seed: int) -> dict:
    place = (task, configuration, policy, target, seed)
    row = {
        "cell": "-".join(map(str, place)),
        "task": task,
        "configuration": configuration,
        "source": "en",
        "target": target,
        "policy": policy,
        "seed": seed,
    }
    if place == FAILED_PLACE or place[:4] == BLOCKED:
        return {**row, "status": "failed", "error": f"the loss of {place[1]} | {place[0]} is not finite"}
    counts = {"examples": 200, "inputs_cut": 3, "outputs_cut": 1, "unreadable": 4 if task == "ner" else 0}
    return {
        **row,
        "status": "done",
        "main_score": TASKS[task],
        "scores": {TASKS[task]: made_score(*place), "unreadable": counts["unreadable"] / 200},
        "counts": counts | ({"wrong_script": 1} if task == "ner" else {}),
        "num_trained": 19_264,
        "seconds": 2.5,
        "peak_bytes": 640 * 2**20,
        "majority": 0.24 if task == "topic" else None,
    }


def _write(file: Path, rows: list[dict]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
