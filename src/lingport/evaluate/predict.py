"""Running examples through a composed model: long inputs in windows, similar lengths together, rows mixed.

Not here: scores (`score.py`).
Shapes: B rows, C candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel, Footprint
from lingport.data.batch import Batch, Row, by_length, collate, tokenize
from lingport.tasks.base import Example, Task
from lingport.tasks.windows import fit


@dataclass(frozen=True)
class Query:
    """One example to be answered, and by what.

    Attributes:
        task: What is asked.
        example: The example; its gold answer is not looked at.
        language: Language of the example: decides the wording.
        composition: The modules that answer.
    """

    task: Task[Any, Any]
    example: Example
    language: str
    composition: Composition


@dataclass(frozen=True)
class Prediction:
    """What a model said.

    Attributes:
        text: The output.
        answer: What the task reads in it; None: unreadable.
        input_cut: Whether part of the input was never seen.
        output_cut: Whether the output had not ended at its longest length.
        num_windows: In how many pieces the input was read.
        confidence: Mean log-likelihood per output token (generated), or of the candidate (ranked).
        seconds: The example's share of the time of its batches, each divided equally among its rows.
    """

    text: str
    answer: Any
    input_cut: bool
    output_cut: bool
    num_windows: int
    confidence: float
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class _Piece:
    """One row to run: a window of a query."""

    query: int
    input_ids: Sequence[int]
    cut: bool
    num_tokens: int  # of the row that the backbone sees, prompts included


@dataclass(frozen=True)
class _Said:
    text: str
    unfinished: bool
    confidence: float


def predict(
    model: ComposedModel,
    queries: Sequence[Query],
    *,
    max_rows: int = 256,
    max_tokens: int = 16384,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Prediction]:
    """Returns a prediction for each query; queries of different compositions and languages may be mixed.

    Of several windows on one example the one whose output the model finds likeliest (per token) counts.

    Args:
        model: The backbone.
        queries: In any order.
        max_rows: Most rows of a batch.
        max_tokens: Most input tokens of a batch, virtual tokens and padding included.
        on_progress: Told how many of all rows are done.
    """
    footprints = {each: model.footprint(each) for each in dict.fromkeys(query.composition for query in queries)}
    pieces = list(_pieces(queries, footprints, model.backbone.tokenizer))
    said: dict[int, list[tuple[_Piece, _Said]]] = {}
    seconds = [0.0] * len(queries)
    num_done = 0
    for (ask, _), own in _by_way(queries, pieces, footprints, model.backbone.tokenizer).items():
        lengths = [piece.num_tokens for piece in own]
        for chosen in by_length(lengths, max_rows=max_rows, max_tokens=max_tokens):
            batch = [own[place] for place in chosen]
            start = time.perf_counter()
            answers = ask(model, queries, batch)
            share = (time.perf_counter() - start) / len(batch)
            for piece, one in zip(batch, answers, strict=True):
                said.setdefault(piece.query, []).append((piece, one))
                seconds[piece.query] += share
            num_done += len(batch)
            on_progress(num_done, len(pieces))
    return [_best(query, said[index], seconds[index]) for index, query in enumerate(queries)]


def _pieces(queries: Sequence[Query], footprints: dict[Composition, Footprint], tokenizer: Any) -> Iterator[_Piece]:
    # The same example for several compositions is cut into tokens once; the queries keep the keys' objects alive.
    known: dict[tuple[int, int, str], list[tuple[list[int], bool]]] = {}
    for index, query in enumerate(queries):
        key = (id(query.task), id(query.example), query.language)
        if key not in known:
            found = fit(query.task, query.example, query.language, tokenizer, with_target=False)
            rows = [(window.cut, *tokenize(tokenizer, window.input, query.task.max_input_tokens)) for window in found]
            known[key] = [(ids, cut or of_window) for of_window, ids, cut in rows]
        prompt_length = footprints[query.composition].prompt_length
        for ids, cut in known[key]:
            yield _Piece(index, ids, cut, prompt_length + len(ids))


def _best(query: Query, outputs: list[tuple[_Piece, _Said]], seconds: float) -> Prediction:
    piece, best = max(outputs, key=lambda output: output[1].confidence)
    answer = query.task.parse(best.text, query.example, query.language)
    return Prediction(best.text, answer, piece.cut, best.unfinished, len(outputs), best.confidence, seconds)


@dataclass(frozen=True)
class _Generate:
    max_new_tokens: int

    def __call__(self, model: ComposedModel, queries: Sequence[Query], pieces: Sequence[_Piece]) -> list[_Said]:
        batch = _batch(model, pieces)
        with model.using(_rows(queries, pieces)):
            found = model.generate_ids(batch.input_ids, batch.attention_mask, max_new_tokens=self.max_new_tokens)
        return [
            _Said(model.decode(ids), not finished, found.mean_log_likelihood(row))
            for row, (ids, finished) in enumerate(zip(found.ids, found.finished, strict=True))
        ]


@dataclass(frozen=True)
class _Rank:
    candidates: tuple[str, ...]

    def __call__(self, model: ComposedModel, queries: Sequence[Query], pieces: Sequence[_Piece]) -> list[_Said]:
        batch = _batch(model, pieces)
        with model.using(_rows(queries, pieces)):
            scores_bc = model.rank_ids(batch.input_ids, batch.attention_mask, self.candidates)
        values, best = torch.max(scores_bc, dim=1)
        return [
            _Said(self.candidates[index], False, value)
            for index, value in zip(best.tolist(), values.tolist(), strict=True)
        ]


def _batch(model: ComposedModel, pieces: Sequence[_Piece]) -> Batch:
    rows = [Row(piece.input_ids) for piece in pieces]
    return collate(rows, pad_id=model.backbone.tokenizer.pad_token_id).to(model.backbone.device)


def _rows(queries: Sequence[Query], pieces: Sequence[_Piece]) -> Composition | list[Composition]:
    compositions = [queries[piece.query].composition for piece in pieces]
    return compositions[0] if all(each == compositions[0] for each in compositions) else compositions


def _by_way(
    queries: Sequence[Query], pieces: Sequence[_Piece], footprints: dict[Composition, Footprint], tokenizer: Any
) -> dict[tuple[_Generate | _Rank, Composition | None], list[_Piece]]:
    """Groups rows by how they are answered: only rows decoded alike share a batch, where their modules can."""
    ways: dict[tuple[Task[Any, Any], str], _Generate | _Rank] = {}
    found: dict[tuple[_Generate | _Rank, Composition | None], list[_Piece]] = {}
    for piece in pieces:
        query = queries[piece.query]
        way = ways.get((query.task, query.language))
        if way is None:
            if query.task.decoding == "rank":
                way = _Rank(tuple(query.task.candidates(query.language) or ()))
            else:
                way = _Generate(query.task.max_new_tokens(tokenizer, query.language))
            ways[query.task, query.language] = way
        alone = None if footprints[query.composition].shares_batches else query.composition
        found.setdefault((way, alone), []).append(piece)
    return found
