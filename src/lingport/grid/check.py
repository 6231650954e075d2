"""What can be said of a recipe before anything is trained: what is wrong with it, and what its data look like.

All problems of all data sets are collected. Only the tokenizer is needed. Not here: showing it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lingport.backbones.base import Vocabulary
from lingport.config.data import ExampleSource, TextSource
from lingport.config.load import read_yaml, validated, with_overrides
from lingport.config.schema import Recipe, TaskEntry
from lingport.config.sweep import at, points
from lingport.data.objectives.base import Objective, new_objective
from lingport.data.problems import Problems
from lingport.data.readers import read_examples
from lingport.data.text import read_text
from lingport.errors import DataError, LingportError
from lingport.tasks.base import Example, Rendered, Task
from lingport.tasks.catalogue import load_task
from lingport.tasks.windows import fit, training_windows
from lingport.train.language import held_out

S = TypeVar("S", TextSource, ExampleSource)

#: rendered examples kept of each data set
NUM_SHOWN = 3
#: texts of a language whose tokens are counted; the rest is read, and taken to be alike
NUM_MEASURED = 5000


@dataclass(frozen=True)
class Lengths:
    """Token counts of a data set: half of its items have at most `median`, 95 % at most `p95`."""

    median: int
    p95: int
    longest: int

    @classmethod
    def of(cls, counts: Sequence[int]) -> Lengths:
        """Returns the summary of one count per item."""
        values = np.sort(np.asarray(counts))
        ranks = [max(0, -(-len(values) * percent // 100) - 1) for percent in (50, 95)]
        return cls(int(values[ranks[0]]), int(values[ranks[1]]), int(values[-1]))


@dataclass(frozen=True)
class TextSet:
    """Raw text of one language, one side of its division.

    Attributes:
        language: Its code.
        split: `train` or `validation`.
        size: Texts (sentences or documents).
        tokens: Of a text.
        num_chunks: Chunks of span corruption that the text fills; an estimate if not all texts were measured.
        num_needed: Chunks that are asked for (validation); 0: no number.
        examples: Corrupted chunks, input -> target.
    """

    language: str
    split: str
    size: int
    tokens: Lengths
    num_chunks: int
    num_needed: int
    examples: list[Rendered]


@dataclass(frozen=True)
class ExampleSet:
    """Labelled data of one task, language and split.

    Attributes:
        task: Its name.
        language: Code.
        split: `train`, `validation` or `test`.
        size: Examples.
        input_tokens: Of a whole input, end of sequence included.
        target_tokens: Of a target, end of sequence included.
        max_input_tokens: The task's limit.
        max_target_tokens: The task's limit.
        num_cut: Inputs that are cut at their end.
        num_windowed: Inputs that are read in several windows.
        num_left_out: Training examples that are left out because no window holds their answer.
        num_long_targets: Targets longer than an output may be: they cannot be given whole.
        examples: The first ones, rendered.
    """

    task: str
    language: str
    split: str
    size: int
    input_tokens: Lengths
    target_tokens: Lengths
    max_input_tokens: int
    max_target_tokens: int
    num_cut: int
    num_windowed: int
    num_left_out: int
    num_long_targets: int
    examples: list[Rendered]


@dataclass
class Checked:
    """What was found.

    Attributes:
        name: The recipe's.
        data: Data sets that can be used.
        problems: What must be mended, each once.
    """

    name: str
    data: list[TextSet | ExampleSet] = field(default_factory=list)
    problems: list[LingportError] = field(default_factory=list)

    def note(self, error: LingportError) -> None:
        """Keeps a problem; the same one met again is not kept twice."""
        if all(str(error) != str(known) for known in self.problems):
            self.problems.append(error)


def check_recipe(
    path: Path, overrides: Sequence[str] = (), *, on_progress: Callable[[str], None] = lambda name: None
) -> Checked:
    """Returns what was found; nothing is written and nothing trained.

    Args:
        path: The recipe.
        overrides: `key=value` settings over it.
        on_progress: Told the name of each data set before it is read.

    Raises:
        ConfigError: The recipe itself is wrong; all of its mistakes at once.
    """
    recipe = validated(Recipe, with_overrides(read_yaml(path), overrides))
    return _Checker(recipe, path.absolute().parent, on_progress).run()


class _Checker:
    def __init__(self, recipe: Recipe, base: Path, on_progress: Callable[[str], None]) -> None:
        self.recipe = recipe
        self.base = base
        self.on_progress = on_progress
        self.found = Checked(recipe.name)
        self.points = [at(recipe, settings) for settings in points(recipe.sweep)]

    def run(self) -> Checked:
        vocabulary = self._attempt(self._vocabulary)
        objective = self._attempt(lambda: self._objective(vocabulary)) if vocabulary else None
        for point in self.points:
            self._attempt(lambda point=point: _check_fusion(point))
        for language in self.recipe.text_languages():
            source = self.recipe.text_of(language)
            if source is not None:
                self._check_text(source, language, vocabulary, objective)
        for entry in self.recipe.tasks:
            task = self._attempt(lambda entry=entry: self._task(entry))
            if task is not None:
                for language, split, source in self._sources(entry):
                    self.on_progress(f"{entry.name or task.name}, {language}, {split}")
                    checked = self._attempt(
                        lambda task=task, entry=entry, at=(language, split), source=source: self._examples(
                            entry, task, source, at, vocabulary
                        )
                    )
                    if checked is not None:
                        self.found.data.append(checked)
        return self.found

    def _attempt(self, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except LingportError as error:
            self.found.note(error)
            return None

    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.load(self.recipe.backbone.name, revision=self.recipe.backbone.revision)

    def _objective(self, vocabulary: Vocabulary) -> Objective | None:
        if not self.recipe.text_languages():
            return None
        settings, end_id = self.recipe.language_training.objective, vocabulary.tokenizer.eos_token_id
        return new_objective(settings, sentinel_ids=vocabulary.sentinel_ids, end_id=end_id)

    def _task(self, entry: TaskEntry) -> Task[Any, Any]:
        return load_task(entry.task, overrides=entry.overrides or None, base=self.base)

    def _sources(self, entry: TaskEntry) -> Iterator[tuple[str, str, ExampleSource]]:
        trains = any(shape.task for shape in self.recipe.shapes())
        for language, split in self.recipe.data_needed(entry):
            splits = entry.splits(language)
            source = getattr(splits, split) if splits else None
            if source is not None and (trains or split == "test"):
                yield language, split, source

    def _check_amounts(self, entry: TaskEntry, size: int, language: str, *, where: str) -> None:
        trainings = [entry.training or point.task_training for point in self.points]
        if language in self.recipe.source_languages():
            asked = max(training.num_examples or 0 for training in trainings)
            _check_amount(asked, size, where=where, hint="lower num_examples")
        if language in self.recipe.targets_of(entry):
            _check_amount(max(self.recipe.shots), size, where=where, hint="lower shots")

    def _check_text(
        self, source: TextSource, language: str, vocabulary: Vocabulary | None, objective: Objective | None
    ) -> None:
        for split in ("train", "validation"):
            self.on_progress(f"text, {language}, {split}")
            checked = self._attempt(
                lambda split=split: self._text(
                    held_out(source.resolve(self.base)), language, split, vocabulary, objective
                )
            )
            if checked is None:
                return  # the other side would tell the same
            self.found.data.append(checked)

    def _text(
        self,
        source: TextSource,
        language: str,
        split: str,
        vocabulary: Vocabulary | None,
        objective: Objective | None,
    ) -> TextSet | None:
        texts = read_text(source.model_copy(update={"split": split}), language=language)
        first = list(itertools.islice(texts, NUM_MEASURED))
        size = len(first) + sum(1 for _ in texts)
        where = ", ".join(source.paths) or f"{source.format} text of {language!r}"
        if not first:
            raise DataError(
                f"no text of {language!r} is left for {split}", where=where, hint="hold out less, or more, of it"
            )
        if split == "train":
            asked = max(point.language_training.num_texts or 0 for point in self.points)
            _check_amount(asked, size, where=f"texts of {language!r} in {where}", hint="lower num_texts")
        if vocabulary is None or objective is None:
            return None
        ids = vocabulary.tokenizer(first, add_special_tokens=False, verbose=False).input_ids
        counts = [len(each) for each in ids]
        length = objective.raw_length
        num_chunks = sum(counts) * size // len(first) // length
        if num_chunks == 0:
            raise DataError(
                f"{sum(counts)} tokens of {split} text in {language!r} do not fill one chunk of {length}",
                where=where,
                hint="give more text, or shorten language_training.objective.max_length",
            )
        joined = np.fromiter(itertools.chain.from_iterable(ids), dtype=np.int32)
        examples = [
            _row_text(objective, joined[start : start + length], vocabulary, index)
            for index, start in enumerate(range(0, min(NUM_SHOWN, num_chunks) * length, length))
            if start + length <= len(joined)
        ]
        needed = self.recipe.language_training.validation_chunks if split == "validation" else 0
        return TextSet(language, split, size, Lengths.of(counts), num_chunks, needed, examples)

    def _examples(
        self,
        entry: TaskEntry,
        task: Task[Any, Any],
        source: ExampleSource,
        place: tuple[str, str],
        vocabulary: Vocabulary | None,
    ) -> ExampleSet | None:
        language, split = place
        source = source.resolve(self.base)
        examples = read_examples(source, language=language, task=task.name)
        name = ", ".join(source.paths) or f"{source.format}: {task.name} in {language!r}, {split}"
        if split == "train":
            self._check_amounts(entry, len(examples), language, where=f"training examples of {language!r} in {name}")
        rendered = _rendered(task, examples, language, name)
        if vocabulary is None:
            return None
        inputs, targets = (
            _num_tokens(vocabulary.tokenizer, (getattr(each, side) for each in rendered))
            for side in ("input", "target")
        )
        problems = Problems(name)
        num_cut = num_windowed = num_left_out = 0
        for example, count in zip(examples, inputs, strict=True):
            if count <= task.max_input_tokens:
                continue
            try:
                pieces = fit(task, example, language, vocabulary.tokenizer)
            except DataError as error:
                problems.add(error.message, where=error.where or name, hint=error.hint)
                continue
            num_windowed += len(pieces) > 1
            num_cut += any(piece.cut for piece in pieces)
            num_left_out += split == "train" and not training_windows(pieces)
        problems.raise_if_any()
        longest = task.max_new_tokens(vocabulary.tokenizer, language)
        return ExampleSet(
            task=entry.name or task.name,
            language=language,
            split=split,
            size=len(examples),
            input_tokens=Lengths.of(inputs),
            target_tokens=Lengths.of(targets),
            max_input_tokens=task.max_input_tokens,
            max_target_tokens=longest,
            num_cut=num_cut,
            num_windowed=num_windowed,
            num_left_out=num_left_out,
            num_long_targets=sum(count > longest for count in targets),
            examples=rendered[:NUM_SHOWN],
        )


def _check_fusion(recipe: Recipe) -> None:
    if recipe.fusion != "mean" or not any(shape.language == shape.task == "prompt" for shape in recipe.shapes()):
        return
    language = recipe.language_training.modules.prompt.num_virtual_tokens
    for entry in recipe.tasks:
        task = (entry.training or recipe.task_training).modules.prompt.num_virtual_tokens
        if task != language:
            raise DataError(
                f"the mean of a language prompt of {language} and a task prompt of {task} rows does not exist",
                where="fusion",
                hint="give both modules.prompt.num_virtual_tokens the same value, or use fusion: concat",
            )


def _check_amount(asked: int, size: int, *, where: str, hint: str) -> None:
    if asked > size:
        raise DataError(f"{asked} are asked for, but there are only {size}", where=where, hint=hint)


def _rendered(task: Task[Any, Any], examples: Sequence[Example], language: str, name: str) -> list[Rendered]:
    found, problems = [], Problems(name)
    for example in examples:
        try:
            found.append(task.render(example, language))
        except DataError as error:
            problems.add(error.message, where=error.where or name, hint=error.hint)
    problems.raise_if_any()
    return found


def _num_tokens(tokenizer: Any, texts: Iterable[str]) -> list[int]:
    """Returns each text's tokens, end of sequence included."""
    return [len(ids) + 1 for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False).input_ids]


def _row_text(objective: Objective, chunk: np.ndarray, vocabulary: Vocabulary, index: int) -> Rendered:
    row = objective.row(chunk, "check", index)
    decode = vocabulary.tokenizer.decode
    return Rendered(decode(list(row.input_ids)), decode(list(row.label_ids)))
