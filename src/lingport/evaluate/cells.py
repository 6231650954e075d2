"""Evaluates many cells in one pass: their test examples share batches, each row with its own cell's modules.

Not here: running the model (`predict.py`), scores (`score.py`), and where results are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.evaluate.predict import Prediction, Query, predict
from lingport.evaluate.score import Scored, score
from lingport.tasks.base import Example, Task


@dataclass(frozen=True)
class Cell:
    """What is evaluated, and by what.

    Attributes:
        task: What is asked.
        examples: The test examples, with their gold answers.
        language: Language of the examples.
        composition: The modules that answer.
    """

    task: Task[Any, Any]
    examples: Sequence[Example]
    language: str
    composition: Composition


@dataclass(frozen=True)
class Evaluated:
    """What a cell gave.

    Attributes:
        predictions: In the order of its examples.
        scored: Its scores and counts.
        seconds: Its share of the pass: what its rows took, and as much of the rest as of the rows.
    """

    predictions: list[Prediction]
    scored: Scored
    seconds: float


def evaluate_cells(
    model: ComposedModel,
    cells: Sequence[Cell],
    *,
    max_rows: int = 256,
    max_tokens: int = 16384,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Evaluated]:
    """Returns what each cell gave; the same predictions as one by one, up to float rounding.

    Args:
        model: The backbone.
        cells: Of any compositions, languages and tasks.
        max_rows: Most rows of a batch.
        max_tokens: Most input tokens of a batch, virtual tokens and padding included.
        on_progress: Told how many of all rows are done.

    Raises:
        DataError: An example has no gold answer, or a cell has no example.
    """
    start = time.perf_counter()
    queries = [Query(cell.task, each, cell.language, cell.composition) for cell in cells for each in cell.examples]
    found = predict(model, queries, max_rows=max_rows, max_tokens=max_tokens, on_progress=on_progress)
    places = [0]
    for cell in cells:
        places.append(places[-1] + len(cell.examples))
    predictions = [found[begin:end] for begin, end in pairwise(places)]
    scores = [
        score(cell.task, cell.examples, own, language=cell.language)
        for cell, own in zip(cells, predictions, strict=True)
    ]
    own_seconds = [sum(each.seconds for each in own) for own in predictions]
    stretch = (time.perf_counter() - start) / (sum(own_seconds) or 1.0)
    return [
        Evaluated(own, scored, seconds * stretch)
        for own, scored, seconds in zip(predictions, scores, own_seconds, strict=True)
    ]
