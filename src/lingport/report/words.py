"""The sentences of a report, computed from its numbers: how much is done, and what is best on each task."""

from __future__ import annotations

from collections.abc import Sequence

from lingport.evaluate.stats import ALPHA
from lingport.report.cells import REFERENCE, cells_asked
from lingport.report.read import Run, point_of
from lingport.report.scores import AVERAGE, Comparison, Scores
from lingport.report.standings import Standings, about_ranking, small
from lingport.report.tables import BASELINE, score_cell

#: for whoever sees a report before the documentation
NAMES = (
    "Names of configurations: l is a language module, t a task module, a an adapter and p a soft prompt, so that lp+ta "
    "is a task adapter above a language prompt; none is the backbone alone."
)


def counts(run: Run) -> str:
    """Returns how many cells are done, failed and missing, and how long all jobs took."""
    asked = set(cells_asked(run))
    rows = [row for row in run.results if (point_of(row), row["seed"]) in asked]
    done = sum(row["status"] == "done" for row in rows)
    failed = len(rows) - done
    missing = len(asked) - len(rows)
    seconds = sum(job.get("seconds") or 0.0 for job in run.jobs)
    text = f"{done:,} of {len(asked):,} cells are done"
    text += f", {failed:,} failed" if failed else ""
    text += f", {missing:,} {'is' if missing == 1 else 'are'} missing" if missing else ""
    text += f". {plural(len(run.jobs), 'job')} took {_duration(seconds)} of work."
    lost = sum(job["status"] in ("failed", "blocked") for job in run.jobs)
    return f"{text} {plural(lost, 'job')} failed or could not begin." if lost else text


def overall(standings: Standings) -> str | None:
    """Returns a sentence on the best average rank over all test sets; None where there are fewer than two."""
    ranking = standings.ranking()
    if ranking is None or ranking.num_sets < 2:
        return None
    best = min(ranking.ranks)
    names = [label for label, value in zip(standings.labels, ranking.ranks, strict=True) if value == best]
    if len(names) == len(standings.labels):
        return f"All tasks together: no configuration ranks above another ({about_ranking(ranking)})."
    verb = "has" if len(names) == 1 else "have"
    text = f"All tasks together: {listed(names)} {verb} the best average rank, {best:.2f} ({about_ranking(ranking)})"
    if ranking.p_value is not None and ranking.p_value >= ALPHA:
        text += "; the configurations are not told apart"
    return text + "."


def best(scores: Scores) -> str:
    """Returns a sentence on the best of the method's own configurations.

    Controls and full training are named only where they are above it.
    """
    known = [(label, scores.mean(label, AVERAGE)) for label in scores.labels]
    averages = {label: value for label, value in known if value is not None}
    own = {label: value for label, value in averages.items() if label != REFERENCE}
    if not own:
        return f"{scores.name}: no configuration is done on all targets."
    top = max(own, key=lambda label: own[label])
    cell = score_cell(scores, top, AVERAGE)
    equal = [label for label in own if round(own[label], 1) == round(own[top], 1)]
    said = f"{listed(equal)} {'is' if len(equal) == 1 else 'are'} best"
    text = f"{scores.name}: {said if len(equal) < max(2, len(own)) else 'all configurations are alike'}"
    text += f" with {cell.text} {scores.score}"
    text += f" {cell.bounds}" if cell.bounds else ""
    text += f" over {plural(len(scores.zero_shot()), 'language')}"
    beside = [name for name in (BASELINE, "none") if name in own and name not in equal]
    named = {BASELINE: f"{BASELINE} has", "none": "without any module"}
    told = [f"{named[name]} {own[name]:.1f}{_about(scores, top, name)}" for name in beside]
    text += f"; {', '.join(told)}" if told else ""
    gains = {label: scores.gain(label, AVERAGE, over=top) for label in [*scores.controls, REFERENCE]}
    above = {label: value for label, value in gains.items() if value is not None and value > 0}
    if above:
        highest = max(above, key=lambda label: above[label])
        common = scores.zero_shot(highest, top)
        text += f"; above it is {highest}, by {above[highest]:.1f} points"
        text += f" in the {plural(len(common), 'language')} that it has" if common != scores.zero_shot() else ""
    chance = scores.majority_average()
    if chance is not None and own[top] <= chance:
        text += f"; this is not above the largest class ({chance:.1f})"
    waiting = sum(value is None for _, value in known)
    if waiting:
        text += f" ({plural(waiting, 'row')} not complete)"
    return text + "."


def _about(scores: Scores, label: str, name: str) -> str:
    """How sure the difference to the baseline is, as the table marks it."""
    if name != BASELINE:
        return ""
    pairs = [(each, BASELINE) for each in scores.labels if each != BASELINE]
    comparison: Comparison | None = scores.compare(pairs).get((label, BASELINE, AVERAGE))
    if comparison is None:
        return ""
    low, high = (100 * bound for bound in comparison.difference.interval())
    return (
        f" (difference {100 * comparison.difference.value:+.1f} [{low:.1f}, {high:.1f}], p {small(comparison.p_value)})"
    )


def listed(names: Sequence[str]) -> str:
    """Returns names as a text lists them: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural(number: int, noun: str) -> str:
    """Returns a number with its noun: 1 job, 2 jobs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
