"""The tables of scores: configuration x target, controls, gains, transfer from source to target.

Scores are means over seeds, shown as 0 to 100, with the interval of `lingport.evaluate.stats`. Not here: tables over
several tasks (`standings.py`), of jobs (`job_tables.py`), and how a table is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lingport.evaluate.stats import ALPHA, Estimate
from lingport.report.cells import REFERENCE, is_trained
from lingport.report.scores import AVERAGE, Comparison, Scores
from lingport.report.shades import difference_shade, score_shade
from lingport.report.table import ABOVE, BELOW, FAILED, MISSING, PARTIAL, Cell, Table, number, ranked, signed

Comparisons = Mapping[tuple[str, str, str], Comparison]
#: the configuration that others are compared with
BASELINE = "ta"
_ARROWS = {1: ABOVE, 0: "", -1: BELOW}


def score_table(scores: Scores, compared: Comparisons, *, name: str) -> Table:
    """Returns configuration x target with the best two of each column marked, and the zero-shot average.

    Args:
        scores: What is shown.
        compared: Arrows are set against the baseline.
        name: What the table is about, for its title.
    """
    columns = _columns(scores)
    rows = [
        (label, [score_cell(scores, label, each, compared=compared) for each in columns]) for label in scores.labels
    ]
    rows = ranked(rows, without=REFERENCE)
    if scores.majority:
        share = {**{target: 100 * part for target, part in scores.majority.items()}, AVERAGE: scores.majority_average()}
        rows.append(("largest class", [number(share.get(column)) for column in columns]))
    note = [f"{scores.score}, 0 to 100.", _what(scores)]
    if scores.in_source() and scores.zero_shot():
        note.append(f"The average leaves {scores.source.replace('+', ' and ')} out.")
    note += _about_numbers(scores, rows)
    if any(cell.marks.strip(PARTIAL) for _, cells in rows for cell in cells):
        note.append(_about_arrows(BASELINE))
    if REFERENCE in scores.labels:
        note.append(f"{REFERENCE} is the upper reference.")
    title = f"{name}: {scores.score} by target language"
    return Table(title, _head(scores), rows, " ".join(note), last=int(bool(scores.majority)))


def control_table(scores: Scores, compared: Comparisons, *, name: str) -> Table | None:
    """Returns each configuration with the target's module and under the other policies, or None without controls.

    Args:
        scores: What is shown.
        compared: Arrows are set against the same configuration with the target's module.
        name: What the table is about, for its title.
    """
    rows: list[tuple[str, list[Cell]]] = []
    own = list(dict.fromkeys(scores.controls.values()))
    columns = _columns(scores)
    for configuration in own:
        of_it = [label for label, base in scores.controls.items() if base == configuration]
        for label in [*(name for name in scores.labels if name == configuration), *of_it]:
            cells = [score_cell(scores, label, each, compared=compared, reference=configuration) for each in columns]
            cells.insert(len(scores.zero_shot()) + 1, _difference(scores, label, configuration, AVERAGE, compared))
            rows.append((label, cells))
    if not rows:
        return None
    head = _head(scores)
    head.insert(len(scores.zero_shot()) + 2, "difference")
    note = [
        "What is active in the language module's place at test time.",
        "Difference: of the averages, to the target's module.",
        *(["The average of a wrong module leaves its own language out."] if scores.unasked else []),
        *_about_numbers(scores, rows),
        _about_arrows("the same configuration with the target's module"),
    ]
    return Table(f"{name}: controls", head, rows, " ".join(note))


def gain_table(scores: Scores, compared: Comparisons, *, name: str) -> Table | None:
    """Returns each row's gain over the baseline per target in points, shaded, or None where that was not run."""
    others = [label for label in scores.labels if label != BASELINE]
    if not others or not any(label == BASELINE for label, _ in scores.values):
        return None
    columns = [*scores.zero_shot(), AVERAGE]
    rows = [(label, [_difference(scores, label, BASELINE, each, compared) for each in columns]) for label in others]
    # An untrained backbone is so far below that the others would all look alike.
    top = max(
        (abs(c.value) for name, cells in rows if is_trained(name) for c in cells if c.value is not None), default=0
    )
    rows = [(label, [_shaded(cell, difference_shade, top) for cell in cells]) for label, cells in rows]
    note = [f"Points of {scores.score} above {BASELINE}."]
    if any(cell.interval for _, cells in rows for cell in cells):
        note.append("In brackets the 95 % interval of the paired difference.")
        note.append(_about_arrows(BASELINE))
    return Table(f"{name}: gain over {BASELINE}", ["configuration", *columns], rows, " ".join(note))


def transfer_tables(task: str, of_sources: Sequence[Scores]) -> list[Table]:
    """Returns, for each configuration, source x target as shaded scores.

    Args:
        task: The task's name.
        of_sources: Its scores from each source, alike in shots and settings.
    """
    targets = list(dict.fromkeys(target for scores in of_sources for target in sorted(scores.targets)))
    labels = list(dict.fromkeys(label for scores in of_sources for label in scores.labels))
    known = [scores.mean(label, target) for scores in of_sources for label in labels for target in targets]
    top = max((value for value in known if value is not None), default=0.0)
    tables = []
    for label in labels:
        rows = []
        for scores in of_sources:
            cells = [score_cell(scores, label, target) for target in targets]
            rows.append((scores.source, [_shaded(replace(c, interval=None), score_shade, top) for c in cells]))
        tables.append(Table(f"{task}: {label}, source to target", ["source", *targets], rows))
    return tables


def score_cell(
    scores: Scores, label: str, target: str, *, compared: Comparisons | None = None, reference: str = BASELINE
) -> Cell:
    """Returns a score with its interval, `failed` or a dash; an arrow where a comparison tells it from a reference.

    Args:
        scores: What is shown.
        label: Its row.
        target: A language, or AVERAGE.
        compared: Comparisons; None for no arrows.
        reference: The row that it is compared with.
    """
    value = scores.mean(label, target)
    if value is None:
        if (label, target) in scores.unasked:
            return Cell("")
        return Cell(FAILED if (label, target) in scores.failed else MISSING)
    comparison = (compared or {}).get((label, reference, target))
    marks = _ARROWS[comparison.sign] if comparison else ""
    marks += "" if scores.is_whole(label, target) else PARTIAL
    return number(value, marks=marks, interval=_points(scores.estimate(label, target)))


def _columns(scores: Scores) -> list[str]:
    return [*scores.zero_shot(), *([AVERAGE] if scores.zero_shot() else []), *scores.in_source()]


def _head(scores: Scores) -> list[str]:
    in_source = scores.in_source()
    return ["configuration", *(f"{each} (source)" if each in in_source else each for each in _columns(scores))]


def _difference(scores: Scores, label: str, reference: str, target: str, compared: Comparisons) -> Cell:
    if label == reference:
        return Cell("")
    comparison = compared.get((label, reference, target))
    interval = _points(comparison.difference) if comparison else None
    marks = _ARROWS[comparison.sign] if comparison else ""
    return signed(scores.gain(label, target, over=reference), marks=marks, interval=interval)


def _points(estimate: Estimate | None) -> tuple[float, float] | None:
    if estimate is None:
        return None
    low, high = estimate.interval()
    return 100 * low, 100 * high


def _shaded(cell: Cell, shade: object, top: float) -> Cell:
    if cell.value is None or not callable(shade):
        return cell
    return replace(cell, shade=shade(cell.value, top=top))


def _what(scores: Scores) -> str:
    source = scores.source.replace("+", " and ")
    if scores.shots:
        return f"Trained on {source}, then on {scores.shots:,} examples of the target."
    return f"Zero-shot from {source}."


def _about_numbers(scores: Scores, rows: Sequence[tuple[str, list[Cell]]]) -> list[str]:
    seeds = max((len(values) for values in scores.values.values()), default=0)
    cells = [cell for _, found in rows for cell in found]
    has_intervals = any(cell.interval for cell in cells)
    said = []
    if seeds > 1:
        said.append(f"Mean over {seeds} seeds" + (";" if has_intervals else "."))
    if has_intervals:
        drawn = "seeds and test examples" if seeds > 1 else "test examples"
        said.append(f"{'in' if seeds > 1 else 'In'} brackets the 95 % bootstrap interval over {drawn}.")
    if any(PARTIAL in cell.marks for cell in cells):
        said.append(f"{PARTIAL} some seeds are missing.")
    return said


def _about_arrows(reference: str) -> str:
    return (
        f"{ABOVE}{BELOW} told apart from {reference} (paired bootstrap, Holm-corrected within the table, p < {ALPHA})."
    )
