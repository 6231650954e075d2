"""From predictions to a cell's scores and counts.

Not here: running the model (`predict.py`), the arithmetic of a score (`lingport.tasks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lingport.evaluate.predict import Prediction
from lingport.tasks.base import Example, Task
from lingport.tasks.metrics import output_counts


@dataclass(frozen=True)
class Scored:
    """Scores of one set of examples.

    Attributes:
        main_score: Name of the score that the task is judged by.
        scores: Name -> 0 to 1; the task's scores and the rates of unreadable and wrong-script outputs.
        counts: Examples, cut inputs and outputs, examples read in several windows, unreadable outputs.
        majority: Share of the largest class, for classification.
    """

    main_score: str
    scores: dict[str, float]
    counts: dict[str, int]
    majority: float | None


def score(
    task: Task[Any, Any], examples: Sequence[Example], predictions: Sequence[Prediction], *, language: str
) -> Scored:
    """Returns the scores of predictions against the examples' gold answers, which are never cut.

    Raises:
        DataError: An example has no gold answer, or there is no example.
    """
    answers = [prediction.answer for prediction in predictions]
    scores = task.score(answers, [task.gold(example) for example in examples], language=language)
    unusable = output_counts(task, [prediction.text for prediction in predictions], answers, language)
    counts = {
        "examples": len(examples),
        "inputs_cut": sum(prediction.input_cut for prediction in predictions),
        "outputs_cut": sum(prediction.output_cut for prediction in predictions),
        "windowed": sum(prediction.num_windows > 1 for prediction in predictions),
        **unusable,
    }
    rates = {name: count / len(examples) for name, count in unusable.items()}
    return Scored(task.main_score, scores | rates, counts, task.majority(examples))
