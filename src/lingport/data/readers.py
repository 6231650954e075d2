"""Labelled examples from any source that a recipe may name.

The formats themselves are in modules of their own, imported when a source asks for one.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from lingport.config.data import ExampleSource
from lingport.data.fetch import with_local_files
from lingport.data.files import Part, each_part
from lingport.data.intake import Example, Intake
from lingport.data.languages import fill_placeholders
from lingport.data.problems import Problems
from lingport.data.text import HASH_SPACE, text_hash
from lingport.errors import DataError
from lingport.registry import Registry

logger = logging.getLogger(__name__)

FILE_FORMATS: Registry[Callable[[Part, Intake], Iterator[Example]]] = Registry(
    "example format",
    {
        "squad": "lingport.data.squad:read_squad",
        "columns": "lingport.data.columns:read_columns",
        "spans": "lingport.data.table:read_table",
        "xnli": "lingport.data.table:read_xnli",
        "table": "lingport.data.table:read_table",
    },
)
WHOLE_FORMATS: Registry[Callable[[Intake], Iterator[Example]]] = Registry(
    "example source",
    {
        "hub": "lingport.data.hub:read_hub",
        "demo": "lingport.data.hub:read_demo",
        "lines": "lingport.data.lines:read_lines",
    },
)


def read_examples(source: ExampleSource, *, language: str, task: str | None = None) -> list[Example]:
    """Returns the examples of a source, in its order, each with a unique `id` and its place `where`.

    An id that comes again gets `#2`, `#3`, ... (published data sets repeat them). What was left out because
    the settings say so is logged with its number.

    Args:
        source: Where the examples are and how they are written.
        language: Code of their language.
        task: Name of the task; only the demo corpus asks for it.

    Raises:
        DataError: A file is missing or malformed; up to five problems are told at once. Or nothing is left.
    """
    filled = with_local_files(fill_placeholders(source, language))
    name = ", ".join(filled.paths) or f"{filled.format}:{filled.name or task}"
    intake = Intake(filled, language, Problems(name), task=task)
    if filled.format in WHOLE_FORMATS:
        examples = list(WHOLE_FORMATS.get(filled.format)(intake))
    else:
        examples = _from_files(intake)
    intake.problems.raise_if_any()
    left_out = ", ".join(f"{count} because {reason}" for reason, count in intake.skipped.items())
    if left_out:
        logger.info("%s: left out %s", name, left_out)
    if filled.merge_answers:
        examples = _merged(examples)
    if not examples:
        raise DataError(
            f"no examples{f' are left (left out: {left_out})' if left_out else ''}",
            where=name,
            hint="check the settings of the source against the first lines of the file",
        )
    return _chosen(_with_unique_ids(examples, name), filled, name)


def _from_files(intake: Intake) -> list[Example]:
    read = FILE_FORMATS.get(intake.source.format)
    examples: list[Example] = []
    for index, part in enumerate(_parts(intake.source)):
        if index and intake.source.labels_path is not None:
            hint = "give one source for each file and its labels"
            raise DataError("one labels_path for several files", where=intake.source.labels_path, hint=hint)
        before = len(examples), intake.problems.num_found, intake.skipped.total()
        examples += read(part, intake)
        if before == (len(examples), intake.problems.num_found, intake.skipped.total()):
            hint = "leave it out, or fetch it again"
            intake.problems.add("the file holds no examples", where=str(part), hint=hint)
    return examples


def _parts(source: ExampleSource) -> Iterator[Part]:
    for path in source.paths:
        yield from each_part(Path(path), member=source.member)


def _merged(examples: list[Example]) -> list[Example]:
    """One example for each id, with the distinct answers of all that share it."""
    merged: dict[str, Example] = {}
    for example in examples:
        if "answers" not in example:
            hint = "leave it out: only questions have several answers"
            raise DataError("merge_answers, but the records are no questions", where=example["where"], hint=hint)
        first = merged.setdefault(example["id"], example)
        new = [text for text in example["answers"] if text not in first["answers"]]
        first["answers"] += new
        if new:
            first.pop("answer_starts", None)  # would no longer be one for each answer
    return list(merged.values())


def _with_unique_ids(examples: list[Example], name: str) -> list[Example]:
    seen: Counter[str] = Counter()
    for example in examples:
        seen[example["id"]] += 1
        if seen[example["id"]] > 1:
            example["id"] = f"{example['id']}#{seen[example['id']]}"
    repeated = len(examples) - len(seen)
    if repeated:
        logger.info("%s: %s ids came again and were given a number", name, repeated)
    return examples


def content_share(example: Example) -> float:
    """Returns a stable number in [0, 1) of an example's main text: context, sentence, or first text field.

    Questions about one context, and hypotheses for one premise, get the same number.
    """
    if "context" in example:
        content = example["context"]
    elif "tokens" in example:
        content = " ".join(example["tokens"])
    else:
        texts = (value for key, value in example.items() if key not in ("id", "where", "label"))
        content = str(next(texts, example["id"]))
    return text_hash(content) / HASH_SPACE


def _chosen(examples: list[Example], source: ExampleSource, name: str) -> list[Example]:
    if source.slice is not None:
        low, high = source.slice
        examples = [example for example in examples if low <= content_share(example) < high]
        if not examples:
            raise DataError(f"slice {list(source.slice)} holds no example", where=name, hint="make it wider")
    if source.limit is None or source.limit >= len(examples):
        return examples
    if source.seed is None:
        return examples[: source.limit]
    kept = sorted(random.Random(source.seed).sample(range(len(examples)), source.limit))
    return [examples[index] for index in kept]
