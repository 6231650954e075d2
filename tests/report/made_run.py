"""A run folder that was made up, with everything that a report must cope with. Not a test.

Named entities from two sources with a control; topics from one source with few shots and a sweep. One cell failed,
two are missing, one result was written twice, and the last line of the results is torn.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import yaml

CONFIGURATIONS = ["none", "ta", "tp", "la+ta", "la+tp", "lp+ta", "lp+tp"]
TARGETS = ["en", "de", "es", "sk"]
SEEDS = [1, 2]
SWEPT = "language_training.modules.prompt.num_virtual_tokens"
LENGTHS = [5, 20]
SHOTS = [0, 4]
NUM_EXAMPLES = 60
FAILED = "la+tp-ner-en-sk-target-s2"
MISSING = ["tp-ner-en-es-target-s1", "tp-ner-en-es-target-s2"]
LABELS = ["science/technology", "travel", "politics", "sports", "health"]
SCORES = {"ner": "f1", "topic": "accuracy"}
_MEANS = dict(zip(CONFIGURATIONS, (0.04, 0.41, 0.33, 0.47, 0.35, 0.62, 0.36), strict=True))
_STEPS = 400


def made_cells() -> list[dict[str, Any]]:
    """Returns the cells of the made-up run as its plan names them, missing and failed ones too."""
    found = []
    for source in ("en", "de"):
        for configuration in CONFIGURATIONS:
            for policy in ["target", "source"] if "+" in configuration else ["target"]:
                for seed in SEEDS if configuration != "none" else SEEDS[:1]:
                    found += [_cell("ner", source, configuration, policy, target, seed) for target in TARGETS]
    for configuration in ("none", "ta", "lp+ta"):
        for length in LENGTHS if configuration == "lp+ta" else [None]:
            for shots in SHOTS if configuration != "none" else [0]:
                for seed in SEEDS if configuration != "none" else SEEDS[:1]:
                    for target in TARGETS:
                        more = {"shots": shots, "settings": {SWEPT: length} if length else {}}
                        found.append(_cell("topic", "en", configuration, "target", target, seed, **more))
    return found


def made_score(cell: dict[str, Any]) -> float:
    """Returns the main score that a cell of the made-up run has, 0 to 1."""
    return sum(_right(cell)) / NUM_EXAMPLES


def cell_named(name: str) -> dict[str, Any]:
    """Returns the cell of that name."""
    return next(cell for cell in made_cells() if cell["name"] == name)


def write_run(folder: Path) -> Path:
    """Returns the folder with the run in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(_recipe(), sort_keys=False), encoding="utf-8")
    cells = [cell for cell in made_cells() if cell["name"] not in MISSING]
    jobs = [_language_job(folder, kind, t, s) for kind in "ap" for t in TARGETS for s in SEEDS]
    modules = dict.fromkeys(_modules(cell)["task"] for cell in cells)
    jobs += [_task_job(folder, name) for name in modules if name]
    for cell in cells:
        state = {"status": "failed", "error": "the loss is | not finite"} if cell["name"] == FAILED else {}
        named = {"job": cell["cell"], "phase": "evaluate", "name": cell["name"], "seconds": 2.5}
        jobs.append({"status": "done", "error": None, **named, **state})
    results = [_result(cell) for cell in cells]
    stale = {**results[0], "scores": {"f1": 0.99}}
    _write(folder / "jobs.jsonl", jobs)
    _write(folder / "results.jsonl", [stale, *results])
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"cell": "torn')
    _write(folder / "plan.jsonl", [{"phase": "evaluate", "job": cell["cell"], **cell} for cell in made_cells()])
    for cell in cells:
        if cell["name"] != FAILED:
            _write(folder / "predictions" / f"{cell['name']}.jsonl", _predictions(cell))
    return folder


def _cell(
    task: str,
    source: str,
    configuration: str,
    policy: str,
    target: str,
    seed: int,
    shots: int = 0,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    name = f"{configuration}-{task}-{source}-{target}-{policy}-s{seed}"
    name += f"-{shots}shot" if shots else ""
    name += "".join(f"-prompt.num_virtual_tokens={value}" for value in (settings or {}).values() if value != 20)
    return {
        "cell": f"id-{name}",
        "name": name,
        "task": task,
        "configuration": configuration,
        "source": source,
        "target": target,
        "policy": policy,
        "seed": seed,
        "shots": shots,
        "settings": settings or {},
    }


def _right(cell: dict[str, Any]) -> list[bool]:
    """Which examples are answered rightly: the easy ones are the same for all configurations."""
    base = _MEANS[cell["configuration"]] + (0.18 if cell["task"] == "topic" else 0.0)
    base -= 0.05 * TARGETS.index(cell["target"]) + (0.03 if cell["policy"] == "source" else 0.0)
    base += 0.03 * cell["shots"] + 0.01 * sum(cell["settings"].values()) - (0.06 if cell["source"] == "de" else 0.0)
    luck = random.Random(cell["name"])
    base += luck.gauss(0, 0.01)
    ease = random.Random(cell["task"] + cell["target"])
    return [0.8 * ease.random() + 0.2 * luck.random() < base for _ in range(NUM_EXAMPLES)]


def _predictions(cell: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for index, right in enumerate(_right(cell)):
        gold: Any = LABELS[index % 5] if cell["task"] == "topic" else [["LOC", f"place {index}"]]
        wrong: Any = LABELS[(index + 1) % 5] if cell["task"] == "topic" else [["LOC", "elsewhere"]]
        name = f"{cell['task']}-{cell['target']}-{index}"
        rows.append({"id": name, "output": "...", "answer": gold if right else wrong, "gold": gold})
    return rows


def _recipe() -> dict:
    return {
        "name": "made-up",
        "description": "Scores that nobody measured.",
        "backbone": {"name": "nano", "dtype": "float32"},
        "configurations": CONFIGURATIONS,
        "policies": ["target", "source"],
        "sources": ["en", "de"],
        "targets": TARGETS,
        "seeds": SEEDS,
        "shots": SHOTS,
        "fusion": "concat",
        "sweep": {SWEPT: LENGTHS},
        "tasks": [{"task": "ner", "name": None}, {"task": "topic", "name": None}],
    }


def _modules(cell: dict[str, Any]) -> dict[str, str | None]:
    """The modules of a cell, named as the planner names them."""
    if cell["configuration"] == "none":
        return {"language": None, "task": None}
    few = f"-{cell['shots']}shot-{cell['target']}" if cell["shots"] else ""
    few += "-prompt.num_virtual_tokens=5" if cell["settings"].get(SWEPT) == 5 else ""
    task = f"{cell['configuration']}-{cell['task']}-{cell['source']}-s{cell['seed']}{few}"
    active = cell["target"] if cell["policy"] == "target" else cell["source"]
    language = f"l{cell['configuration'][1]}-{active}-s{cell['seed']}" if "+" in cell["configuration"] else None
    return {"language": language, "task": task}


def _language_job(folder: Path, letter: str, target: str, seed: int) -> dict:
    name, before = f"l{letter}-{target}-s{seed}", 4.2 + 0.1 * TARGETS.index(target)
    after = before - (0.45 if letter == "a" else 0.2) - 0.01 * seed
    _metrics(folder, name, before, after, score=None)
    return {
        **_job(name, "language", 19_264 if letter == "a" else 9_600, 41.5 + seed),
        "initial": {"validation_loss": before},
        "final": {"validation_loss": after, "best_step": _STEPS},
    }


def _task_job(folder: Path, name: str) -> dict:
    configuration, task, source, seed = name.split("-")[:4]
    is_adapter = configuration.endswith("ta")
    best = round(_MEANS[configuration] + 0.1 + random.Random(name).gauss(0, 0.01), 4)
    _metrics(folder, name, 3.1, 1.2 if is_adapter else 1.7, score=best)
    seconds = 30.0 + 4 * CONFIGURATIONS.index(configuration) + int(seed[1:])
    job = _job(name, "task", 19_264 if is_adapter else 9_600, seconds)
    return {**job, "final": {SCORES[task]: best, "score": best, "best_step": 300}, "source": source}


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


def _result(cell: dict[str, Any]) -> dict:
    if cell["name"] == FAILED:
        return {**cell, "status": "failed", "error": "the loss is | not finite"}
    is_ner = cell["task"] == "ner"
    counts = {"examples": NUM_EXAMPLES, "inputs_cut": 3, "outputs_cut": 1, "unreadable": 4 if is_ner else 0}
    return {
        **cell,
        "status": "done",
        "main_score": SCORES[cell["task"]],
        "scores": {SCORES[cell["task"]]: made_score(cell), "unreadable": counts["unreadable"] / NUM_EXAMPLES},
        "counts": counts | ({"wrong_script": 1} if is_ner else {}),
        "num_trained": 19_264,
        "seconds": 2.5,
        "peak_bytes": 640 * 2**20,
        "majority": None if is_ner else 0.24,
        "modules": _modules(cell),
    }


def _write(file: Path, rows: list[dict]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
