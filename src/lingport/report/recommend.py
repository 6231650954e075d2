"""Which configuration of a run to take for a task in a language, from validation alone: test scores are not looked at.

Not here: what there is to choose from (`candidates.py`), and what a bundle is (`lingport.compose.bundle`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lingport.compose.bundle import save_bundle
from lingport.errors import InputError, nearest
from lingport.modules.store import read_manifest
from lingport.report.candidates import Candidate, candidates
from lingport.report.card_scores import scores_of_module
from lingport.report.cells import cells_asked
from lingport.report.read import Run, read_run


@dataclass(frozen=True)
class Recommendation:
    """What to take, and why.

    Attributes:
        run: What it was chosen from.
        score: Name of the validation score.
        candidates: All that could be taken and were validated alike, the best first.
        notes: What the choice rests on and what it does not tell.
        left_out: Configuration -> why it is no candidate.
    """

    run: Run
    score: str
    candidates: list[Candidate]
    notes: list[str]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def chosen(self) -> Candidate:
        """The best."""
        return self.candidates[0]

    def evidence(self) -> dict[str, Any]:
        """Returns all of it as JSON can hold it."""
        return {
            "run": self.run.recipe["name"],
            "task": self.chosen.point.task,
            "language": self.chosen.point.target,
            "score": self.score,
            "chosen": {**self.chosen.plain(), "seed": self.chosen.seed},
            "others": [candidate.plain() for candidate in self.candidates[1:]],
            "left_out": self.left_out,
            "notes": self.notes,
        }


def recommend(run_dir: Path, *, language: str, task: str, source: str | None = None) -> Recommendation:
    """Returns the configuration with the best mean validation score; of equal ones that with fewer trained numbers.

    Where some were validated on data of the language itself (trained on it, or few-shot), only those count: their
    scores say what is asked. Otherwise scores are of the source's validation data, and only one source's can be
    compared.

    Args:
        run_dir: A run's folder.
        language: Code of the language that texts will be in.
        task: Name of a task of the run.
        source: Source language of the task modules. None: the language itself if it is one, else the recipe's first.

    Raises:
        DataError: There is no run, or a file of it is damaged.
        InputError: The run has no such task or source, or nothing to choose from.
    """
    run = read_run(run_dir)
    asked = [point for point, _ in cells_asked(run)]
    tasks = dict.fromkeys(point.task for point in asked)
    if task not in tasks:
        raise InputError(f"the run has no task {task!r}", where=str(run_dir), hint=nearest(task, tasks))
    sources = list(dict.fromkeys(point.source for point in asked if point.task == task))
    if source is not None and source not in sources:
        raise InputError(f"the run has no source {source!r}", where=str(run_dir), hint=nearest(source, sources))
    found, left_out = candidates(run, task, language, [source] if source else sources)
    used = [each for each in found if each.on_target]
    if not used:
        source = source or next((each for each in sources if language in each.split("+")), sources[0])
        used = [each for each in found if each.point.source == source]
    if not used:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(
            f"nothing to choose from for {task} in {language!r}" + (f" ({reasons})" if reasons else ""),
            where=str(run_dir),
            hint="run the recipe to its end, or train a language module for this language and name it in the recipe",
        )
    used.sort(key=lambda each: (-round(each.score, 1), each.num_trained, each.name))
    definition = run.definition(task)
    score = definition.main_score if definition else "score"
    return Recommendation(run, score, used, _notes(used, sources, score), left_out)


def write_bundle(choice: Recommendation, folder: Path) -> Path:
    """Returns the folder with the chosen modules in it: a bundle that `predict` takes.

    Raises:
        ModuleError: Something lies there already, or a module is broken.
    """
    chosen, run = choice.chosen, choice.run
    modules = run.folder / "modules"
    task = modules / chosen.task_modules[chosen.seed]
    provenance = read_manifest(task)["provenance"]
    definition = run.definition(chosen.point.task)
    active = chosen.language_modules.get(chosen.seed)
    tested = [
        each for each in scores_of_module(task) if (each.language, each.policy) == (chosen.point.target, "target")
    ]
    return save_bundle(
        folder,
        backbone={
            "name": provenance["backbone"],
            "fingerprint": provenance["backbone_fingerprint"],
            "revision": run.recipe["backbone"].get("revision"),
        },
        configuration=chosen.point.configuration,
        fusion=provenance["training"].get("fusion", "concat"),
        languages={chosen.point.target: modules / active} if active else {},
        task=task,
        task_definition=definition.config.model_dump(mode="json", exclude_defaults=True) if definition else None,
        # Chosen without them: they go along for the reader of its card.
        evidence={**choice.evidence(), "scores": [asdict(each) for each in tested]},
    )


def _notes(used: Sequence[Candidate], sources: Sequence[str], score: str) -> list[str]:
    best = used[0]
    source, language = best.point.source.replace("+", " and "), best.point.target
    notes = []
    if best.on_target:
        notes.append(f"Validated on labelled data of {language}. Modules that were not are left out of the comparison.")
    else:
        notes.append(
            f"Validated on {source} only: the scores say how well each configuration learns the task in {source}, not "
            f"how well it carries over to {language}. A few hundred labelled examples of {language} as validation data "
            "of few-shot training would tell."
        )
        if len(sources) > 1:
            notes.append(
                f"Of the sources {', '.join(sources)} only {best.point.source} is compared: each is validated on its "
                "own data, which says nothing on which of them suits."
            )
    notes.append("The run's test scores were not looked at.")
    if best.losses:
        before, after = best.losses
        told = f"The language module changes the held-out loss on {language} text from {before:.3f} to {after:.3f}"
        notes.append(
            f"{told} nats per token" + ("." if after < before else ": it has learnt nothing that helps there.")
        )
    notes += _closeness(used, score)
    return notes


def _closeness(used: Sequence[Candidate], score: str) -> list[str]:
    if len(used) < 2:
        return []
    best, second = used[0], used[1]
    lead = best.score - second.score
    if round(best.score, 1) == round(second.score, 1):
        return [f"{second.name} validates as well ({second.score:.1f} {score}) with more trained numbers."]
    if len(best.scores) < 2:
        return [f"One seed each: {second.name}, {lead:.1f} points behind, may be as good."]
    spread = max(100 * statistics.stdev(each.scores.values()) for each in (best, second) if len(each.scores) > 1)
    if lead < spread:
        return [
            f"{second.name} is {lead:.1f} points behind, less than seeds differ by ({spread:.1f}): it may be as good."
        ]
    return []
