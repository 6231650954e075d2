"""The sentences of a report, computed from its numbers: how much is done, and what is best on each task."""

from __future__ import annotations

from collections.abc import Iterable

from lingport.report.read import Run
from lingport.report.scores import Scores, num_expected


def counts(run: Run) -> str:
    """Returns how many cells are done, failed and missing, and how long all jobs took."""
    done = sum(row["status"] == "done" for row in run.results)
    failed = len(run.results) - done
    expected = max(num_expected(run), len(run.results))
    seconds = sum(job.get("seconds") or 0.0 for job in run.jobs)
    text = f"{done:,} of {expected:,} cells are done"
    if failed:
        text += f", {failed:,} failed"
    if expected > done + failed:
        text += f", {expected - done - failed:,} are missing"
    text += f". {_plural(len(run.jobs), 'job')} took {_duration(seconds)} of work."
    lost = sum(job["status"] != "done" for job in run.jobs)
    return f"{text} {_plural(lost, 'job')} failed or could not begin." if lost else text


def summary(scores: Iterable[Scores]) -> list[str]:
    """Returns a sentence per task and source that says which configuration is best."""
    return [_best(each) for each in scores]


def _best(scores: Scores) -> str:
    """The best of the method's own configurations; controls and full training only where they are above it."""
    known = [(label, scores.average(label)) for label in scores.labels]
    averages = {label: value for label, value in known if value is not None}
    own = {label: value for label, value in averages.items() if "(" not in label and label != "full"}
    if not own:
        return f"{scores.name}: no configuration is done on all targets."
    best = max(own, key=lambda label: own[label])
    languages = _plural(len(scores.zero_shot()), "language")
    text = f"{scores.name}: {best} is best with {own[best]:.1f} {scores.score} over {languages}"
    beside = [name for name in ("ta", "none") if name in own and name != best]
    named = {"ta": "ta has", "none": "without any module"}
    text += "".join(f"{'; ' if i == 0 else ', '}{named[name]} {own[name]:.1f}" for i, name in enumerate(beside))
    above = {name: value for name, value in averages.items() if name not in own and value > own[best]}
    if above:
        top = max(above, key=lambda label: above[label])
        text += f"; above it is {top} with {above[top]:.1f}"
    chance = scores.majority_average()
    if chance is not None and own[best] <= chance:
        text += f"; this is not above the largest class ({chance:.1f})"
    waiting = sum(value is None for _, value in known)
    if waiting:
        text += f" ({_plural(waiting, 'row')} not complete)"
    return text + "."


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
