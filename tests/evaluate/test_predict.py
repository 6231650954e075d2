"""Examples through a model: windows, counts, order, and that what is mixed gets what it gets alone."""

from __future__ import annotations

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.data.batch import Row, tokenize
from lingport.evaluate.loss import mean_loss
from lingport.evaluate.predict import Query, predict
from lingport.evaluate.score import score
from lingport.tasks.catalogue import load_task
from lingport.tasks.windows import fit
from tests.tiny import TEXTS, module, shared

CONTEXT = "the cat sat on the mat and the hen was wet in the red bed on the moon with tea and a hat"
FAMILY = "mt5"


@pytest.fixture(scope="module")
def own():
    return shared(FAMILY)


@pytest.fixture(scope="module")
def model(own):
    return ComposedModel(own)


@pytest.fixture(scope="module")
def compositions(own):
    return [
        Composition(task=module("prompt", own, rows=5, seed=1)),
        Composition(),
        Composition(language=module("adapter", own, seed=2), task=module("prompt", own, rows=2, seed=3)),
        Composition(task=module("adapter", own, seed=4)),
    ]


@pytest.fixture(scope="module")
def qa():
    return load_task("qa", overrides={"max_input_tokens": 48, "stride_tokens": 6, "max_target_tokens": 4})


@pytest.fixture(scope="module")
def topic():
    return load_task("topic", overrides={"labels": ["tea", "hen", "red mat"], "decoding": "rank"})


def question(index=0, context=CONTEXT):
    return {"id": f"q{index}", "where": "here", "question": "a cat", "context": context, "answers": ["mat"]}


def sentence(index):
    return {"id": f"s{index}", "where": "here", "text": TEXTS[index % len(TEXTS)], "label": "tea"}


def test_of_several_windows_the_likeliest_output_wins(own, model, qa, compositions):
    windows = fit(qa, question(), "en", own.tokenizer, with_target=False)
    assert len(windows) > 2
    found = []
    with model.using(compositions[0]):
        for window in windows:
            ids, cut = tokenize(own.tokenizer, window.input)
            assert len(ids) <= 48 and not cut
            said = model.generate_ids(torch.tensor([ids]), max_new_tokens=4)
            found.append((said.mean_log_likelihood(0), model.decode(said.ids[0])))
    (prediction,) = predict(model, [Query(qa, question(), "en", compositions[0])])
    likelihood, text = max(found)
    assert prediction.text == text
    assert prediction.confidence == pytest.approx(likelihood, abs=1e-4)
    assert prediction.num_windows == len(windows)
    assert not prediction.input_cut
    assert len({value for value, _ in found}) > 1


def test_an_input_that_is_cut_is_counted(model, compositions):
    truncating = load_task("qa", overrides={"max_input_tokens": 64, "overflow": "truncate", "max_target_tokens": 2})
    queries = [
        Query(truncating, question(0), "en", compositions[0]),
        Query(truncating, question(1, "a mat"), "en", compositions[0]),
    ]
    long, short = predict(model, queries)
    assert (long.input_cut, short.input_cut) == (True, False)
    assert (long.num_windows, short.num_windows) == (1, 1)
    counts = score(truncating, [question(0), question(1, "a mat")], [long, short], language="en").counts
    assert (counts["examples"], counts["inputs_cut"], counts["windowed"]) == (2, 1, 0)


def test_an_output_that_did_not_end_is_counted(own, model, qa, compositions):
    queries = [Query(qa, question(0, "a mat"), "en", composition) for composition in compositions]
    found = predict(model, queries)
    for query, prediction in zip(queries, found, strict=True):
        (window,) = fit(qa, query.example, "en", own.tokenizer, with_target=False)
        with model.using(query.composition):
            said = model.generate_ids(torch.tensor([tokenize(own.tokenizer, window.input)[0]]), max_new_tokens=4)
        assert prediction.output_cut is not said.finished[0]
    counts = score(qa, [question()] * 4, found, language="en").counts
    assert counts["outputs_cut"] == sum(each.output_cut for each in found)


def test_mixed_queries_get_what_they_get_alone_in_their_order(model, qa, topic, compositions):
    """Ranked and generated, windowed and short, four compositions, batches smaller than the whole."""
    queries = []
    for index in range(8):
        composition = compositions[index % 4]
        if index % 2:
            queries.append(Query(topic, sentence(index // 2), "en", composition))
        else:
            context = CONTEXT if index % 4 else TEXTS[index % len(TEXTS)]
            queries.append(Query(qa, question(index, context), "en", composition))
    for limits in ({}, {"max_rows": 3}, {"max_tokens": 100}):
        mixed = predict(model, queries, **limits)
        for query, together in zip(queries, mixed, strict=True):
            (alone,) = predict(model, [query])
            assert (together.text, together.answer, together.num_windows) == (
                alone.text,
                alone.answer,
                alone.num_windows,
            )
            assert together.confidence == pytest.approx(alone.confidence, abs=1e-3)
    assert len({round(prediction.confidence, 2) for prediction in mixed}) > 4
    assert {prediction.num_windows > 1 for prediction in mixed} == {True, False}


def test_ranking_gives_the_likeliest_label_word(model, topic, compositions):
    texts = [topic.render(sentence(index), "en", with_target=False).input for index in range(4)]
    found = predict(model, [Query(topic, sentence(index), "en", compositions[3]) for index in range(4)])
    with model.using(compositions[3]):
        scores = model.rank(texts, ["tea", "hen", "red mat"])
    for row, prediction in enumerate(found):
        assert prediction.answer == ["tea", "hen", "red mat"][int(scores[row].argmax())] == prediction.text
        assert prediction.confidence == pytest.approx(scores[row].max().item(), abs=1e-4)
        assert not prediction.output_cut
    counts = score(topic, [sentence(index) for index in range(4)], found, language="en").counts
    assert counts["unreadable"] == 0


def test_the_gold_answer_is_not_looked_at(model, qa, topic, compositions):
    blind = [
        {key: value for key, value in each.items() if key not in ("answers", "label")}
        for each in (question(), sentence(0))
    ]
    with_gold = predict(
        model, [Query(qa, question(), "en", compositions[0]), Query(topic, sentence(0), "en", compositions[0])]
    )
    assert with_gold == predict(
        model, [Query(qa, blind[0], "en", compositions[0]), Query(topic, blind[1], "en", compositions[0])]
    )


def test_progress_counts_rows(model, topic, compositions):
    told = []
    queries = [Query(topic, sentence(index), "en", compositions[1]) for index in range(5)]
    predict(model, queries, max_rows=2, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert predict(model, []) == []


def test_scores_and_rates_come_with_their_counts(model, topic, compositions):
    examples = [sentence(index) | {"label": label} for index, label in enumerate(["tea", "hen", "tea", "red mat"])]
    found = predict(model, [Query(topic, each, "en", compositions[0]) for each in examples])
    scored = score(topic, examples, found, language="en")
    right = sum(prediction.answer == example["label"] for prediction, example in zip(found, examples, strict=True))
    assert scored.main_score == "accuracy"
    assert scored.scores["accuracy"] == right / 4
    assert scored.scores["unreadable"] == 0.0
    assert scored.majority == 0.5


def test_mean_loss_is_over_all_target_tokens_whatever_the_batches(own, model, compositions):
    rows = [Row([3, *range(5, 5 + length), 1], [9] * (1 + length % 3) + [1]) for length in range(1, 8)]
    total = tokens = 0.0
    with torch.no_grad(), model.using(compositions[2]):
        for row in rows:
            out = model(torch.tensor([row.input_ids]), labels=torch.tensor([row.label_ids]))
            total, tokens = total + out.row_loss.item(), tokens + len(row.label_ids)
    for limits in ({}, {"max_rows": 2}, {"max_tokens": 12}):
        assert mean_loss(model, compositions[2], rows, **limits) == pytest.approx(total / tokens, rel=1e-5)
    assert mean_loss(model, compositions[1], rows) != pytest.approx(total / tokens, rel=1e-3)


@pytest.mark.parametrize("overflow", ["windows", "truncate"])
def test_long_inputs_of_a_tokenizer_without_offsets(overflow):
    backbone = shared("byt5")
    task = load_task("qa", overrides={"max_input_tokens": 64, "stride_tokens": 6, "overflow": overflow})
    asked = question(0, "leží žena na posteli " * 5)
    found = fit(task, asked, "sk", backbone.tokenizer, with_target=False)
    assert all(len(tokenize(backbone.tokenizer, window.input)[0]) <= 64 for window in found)
    assert max(len(tokenize(backbone.tokenizer, window.input)[0]) for window in found) > 60
    if overflow == "windows":
        assert found[0].start == 0 and found[-1].stop == len(asked["context"]) and len(found) > 2
    (prediction,) = predict(ComposedModel(backbone), [Query(task, asked, "sk", Composition())])
    assert prediction.input_cut is (overflow == "truncate")
