"""Many cells in one pass: what each gives alone, in batches that stay within their limits, and fair shares of time."""

from __future__ import annotations

import pytest

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.evaluate.cells import Cell, evaluate_cells
from lingport.evaluate.result import prediction_rows
from lingport.tasks.catalogue import load_task
from tests.tiny import TEXTS, module, shared

FAMILY = "mt5"
LIMITS = {"max_rows": 8, "max_tokens": 256}


@pytest.fixture(scope="module")
def own():
    return shared(FAMILY)


@pytest.fixture(scope="module")
def cells(own):
    """Ranked and generated, windowed and short, prompts of several lengths, adapters, both, all weights, none."""
    topic = load_task("topic", overrides={"labels": ["tea", "hen", "red mat"], "decoding": "rank"})
    named = load_task("topic", overrides={"labels": ["tea", "hen"], "max_target_tokens": 5})
    qa = load_task("qa", overrides={"max_input_tokens": 40, "stride_tokens": 6, "max_target_tokens": 4})
    labelled = [{"id": f"s{i}", "where": "here", "text": TEXTS[i % 4], "label": "tea"} for i in range(6)]
    context = "the cat sat on the mat and the hen was wet in the red bed on the moon"
    asked = [
        {"id": f"q{i}", "where": "here", "question": "a cat", "context": context[7 * i :], "answers": ["mat"]}
        for i in range(3)
    ]
    shapes = [
        Composition(),
        Composition(task=module("prompt", own, rows=5, seed=1)),
        Composition(language=module("prompt", own, rows=2, seed=2), task=module("adapter", own, seed=3)),
        Composition(language=module("adapter", own, seed=4), task=module("prompt", own, rows=3, seed=5)),
        Composition(task=module("full", own, seed=6)),
    ]
    tasks = ((topic, labelled), (named, labelled), (qa, asked))
    return [Cell(task, examples, "en", shape) for task, examples in tasks for shape in shapes]


@pytest.fixture(scope="module")
def model(own):
    return ComposedModel(own)


def rows(cell, evaluated):
    return prediction_rows(cell.task, cell.examples, evaluated.predictions)


def test_together_each_cell_gives_what_it_gives_alone(model, cells):
    together = evaluate_cells(model, cells, **LIMITS)
    outputs = set()
    for cell, found in zip(cells, together, strict=True):
        (alone,) = evaluate_cells(model, [cell], **LIMITS)
        for mine, other in zip(rows(cell, found), rows(cell, alone), strict=True):
            assert mine.pop("confidence") == pytest.approx(other.pop("confidence"), abs=2e-4)
            assert mine == other
        assert found.scored == alone.scored
        outputs |= {(cell.task.decoding, each.text) for each in found.predictions}
    assert len(outputs) > 5  # the modules make a difference


def test_batches_are_mixed_and_stay_within_their_limits(own, model, cells, monkeypatch):
    seen = []
    using = model.using

    def spy(given):
        compositions = [given] if isinstance(given, Composition) else given
        seen.append((given, len(set(compositions))))
        return using(given)

    sizes = []

    def forward(_module, _args, kwargs):
        sizes.append(tuple(kwargs["inputs_embeds"].shape[:2]))

    monkeypatch.setattr(model, "using", spy)
    hook = own.model.get_encoder().register_forward_pre_hook(forward, with_kwargs=True)
    try:
        evaluate_cells(model, cells, **LIMITS)
    finally:
        hook.remove()
    assert max(num for _, num in seen) >= 4
    assert all(num_rows <= 8 and num_rows * length <= 256 for num_rows, length in sizes)  # prompts counted
    with_all_weights = [given for given, _ in seen if _is_full(given)]
    assert with_all_weights and all(isinstance(given, Composition) for given in with_all_weights)


def _is_full(given):
    compositions = [given] if isinstance(given, Composition) else given
    return any(each.task is not None and each.task.kind == "full" for each in compositions)


def test_the_time_is_shared_out_whole(model, cells, monkeypatch):
    from lingport.evaluate import cells as room

    clock = iter(range(10**6))
    monkeypatch.setattr(room.time, "perf_counter", lambda: next(clock))  # a tick for each look at the clock
    found = evaluate_cells(model, cells[:4], **LIMITS)
    taken = next(clock) - 1
    assert sum(each.seconds for each in found) == pytest.approx(taken)
    assert all(each.seconds > 0 for each in found)
    few = Cell(cells[0].task, cells[0].examples[:1], "en", cells[2].composition)
    many, one = evaluate_cells(model, [cells[0], few])
    assert many.seconds == pytest.approx(6 * one.seconds)


def test_no_cells_are_no_work(model):
    assert evaluate_cells(model, []) == []
