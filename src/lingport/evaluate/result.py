"""Predictions as rows of a file: what was said, what it was read as, what is right.

Not here: scores (`score.py`), and where the rows are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lingport.evaluate.predict import Prediction
from lingport.tasks.base import Example, Task


def prediction_rows(
    task: Task[Any, Any], examples: Sequence[Example], predictions: Sequence[Prediction]
) -> list[dict[str, Any]]:
    """Returns one JSON-ready row per example, in their order."""
    return [
        {
            "id": example["id"],
            "output": said.text,
            "answer": said.answer,
            "gold": task.gold(example),
            "input_cut": said.input_cut,
            "output_cut": said.output_cut,
            "confidence": round(said.confidence, 4),
        }
        for example, said in zip(examples, predictions, strict=True)
    ]
