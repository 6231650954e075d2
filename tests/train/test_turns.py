"""A task module that learns from several data sets: they take turns, each row above its own language's module."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import PromptSettings
from lingport.config.schema import EvaluationSettings
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.modules.base import new_module
from lingport.tasks.catalogue import load_task
from lingport.train.learner import Learner
from lingport.train.loop import train
from lingport.train.task import (
    JointValidation,
    TaskBatches,
    TaskData,
    TaskRows,
    TaskValidation,
    task_learner,
    task_rows,
)
from tests.tiny import module, shared

LIMITS = EvaluationSettings()


def data(size, *, start=0, share=1, above=None, language="en"):
    """Rows whose first token tells them apart."""
    rows = [Row([start + index, 1], [7, 1]) for index in range(size)]
    task = load_task("topic", overrides={"labels": ["a", "b"]})
    return TaskData(task, language, TaskRows(rows, size, 0, 0), None, above=above, share=share)


def firsts(batches, num_steps):
    return [row.input_ids[0] for step in range(num_steps) for row in batches(step)]


def test_languages_take_turns_row_by_row():
    batches = TaskBatches([data(6), data(6, start=100)], batch_size=4, seed=1)
    assert batches.sources(0) == [0, 1, 0, 1]
    seen = firsts(batches, 3)
    assert sorted(seen) == [*range(6), *range(100, 106)]  # one pass over both: every row once
    assert [value % 100 for value in seen[::2]] != [value % 100 for value in seen[1::2]]  # translations are apart


def test_shares_are_kept_in_every_round_and_spread_over_it():
    batches = TaskBatches([data(8, share=3), data(8, start=100, share=1)], batch_size=8, seed=1)
    assert Counter(batches.sources(5)) == {0: 6, 1: 2}
    assert batches.sources(0)[:4].index(1) in (1, 2)  # not at an end
    small = [value for value in firsts(batches, 4) if value >= 100]
    assert sorted(small) == list(range(100, 108))  # 32 rows: one pass over the smaller


def test_one_data_set_alone_is_seen_as_before():
    alone = TaskBatches([data(5)], batch_size=3, seed=4)
    first_of_two = TaskBatches([data(5), data(5, start=100)], batch_size=6, seed=4)
    assert firsts(alone, 4) == [value for value in firsts(first_of_two, 4) if value < 100]


@pytest.mark.parametrize("tokens_at_once", [None, 20])
def test_each_row_is_seen_above_its_own_language_module(tokens_at_once):
    """The gradient of a mixed batch is that of its rows, each run alone with its own module."""
    backbone = shared("mt5")
    model = ComposedModel(backbone)
    above = [module("adapter", backbone, seed=seed) for seed in (3, 4)]
    parts = [data(4, start=5 + 20 * at, above=each) for at, each in enumerate(above)]
    learnt = {}
    for name in ("mixed", "apart"):
        known = TrainingSettings(
            steps=1, batch_size=4, backbone_dropout=0.0, learning_rate=0.01, tokens_at_once=tokens_at_once
        )
        made = task_learner(
            backbone,
            parts,
            kind="prompt",
            module=PromptSettings(num_virtual_tokens=3, init="vocab"),
            training=known,
            fusion="concat",
            seed=2,
            name=name,
            limits=LIMITS,
        )
        if name == "apart":
            gradients = []
            made.module.requires_grad_(True)
            for row in made.rows(0):
                ids = torch.tensor([row.input_ids])
                language = above[row.input_ids[0] >= 25]
                with model.using(Composition(language=language, task=made.module)):
                    loss = model.row_losses(ids, torch.ones_like(ids), torch.tensor([row.label_ids])).sum() / 8
                gradients.append(torch.autograd.grad(loss, list(made.module.parameters()))[0])
            learnt[name] = sum(gradients)
        else:
            seen = []
            made.module.get_parameter("prompt").register_hook(lambda grad, seen=seen: seen.append(grad.clone()))
            train(model, [made])
            learnt[name] = sum(seen)
    assert torch.allclose(learnt["mixed"], learnt["apart"], atol=1e-6)


def test_the_source_modules_stay_as_they_are():
    backbone = shared("mt5")
    above = [module("prompt", backbone, seed=seed) for seed in (3, 4)]
    before = [each.state_dict()["prompt"].clone() for each in above]
    parts = [data(4, start=5, above=each, language=code) for each, code in zip(above, ("de", "en"), strict=True)]
    known = TrainingSettings(steps=3, batch_size=4, backbone_dropout=0.0, learning_rate=0.1)
    made = task_learner(
        backbone,
        parts,
        kind="adapter",
        module=module("adapter", backbone).settings,
        training=known,
        fusion="concat",
        seed=2,
        name="t",
        limits=LIMITS,
    )
    begin = {name: value.clone() for name, value in made.module.state_dict().items()}
    train(ComposedModel(backbone), [made])
    assert all(torch.equal(each.state_dict()["prompt"], old) for each, old in zip(above, before, strict=True))
    assert any(not torch.equal(value, begin[name]) for name, value in made.module.state_dict().items())
    assert (made.module.provenance.language, made.module.provenance.task) == ("de+en", "topic")


def test_several_learners_with_several_languages_in_one_pass():
    """Side by side they learn what each learns alone."""
    backbone = shared("mt5")
    above = [module("prompt", backbone, seed=seed, rows=2 + seed) for seed in (3, 4)]

    def learners():
        known = TrainingSettings(steps=2, batch_size=4, backbone_dropout=0.0, learning_rate=0.01)
        for seed in (1, 2):
            parts = [data(4, start=5 + seed, above=each) for each in above]
            settings = PromptSettings(num_virtual_tokens=3, init="vocab")
            yield task_learner(
                backbone,
                parts,
                kind="prompt",
                module=settings,
                training=known,
                fusion="concat",
                seed=seed,
                name=str(seed),
                limits=LIMITS,
            )

    together = list(learners())
    train(ComposedModel(backbone), together)
    for one, other in zip(together, learners(), strict=True):
        train(ComposedModel(backbone), [other])
        assert torch.allclose(one.module.get_parameter("prompt"), other.module.get_parameter("prompt"), atol=1e-5)


def examples(labels):
    return [
        {"id": str(i), "where": "x", "text": f"{'tea' if i % 2 else 'hen'} on the mat", "label": label}
        for i, label in enumerate(labels)
    ]


def test_joint_validation_counts_every_data_set_alike():
    backbone = shared("mt5")
    topic = load_task("topic", overrides={"labels": ["a", "b"], "decoding": "rank"})
    own = new_module("prompt", PromptSettings(num_virtual_tokens=2, init="vocab"), backbone)
    parts = []
    for language, labels in (("en", "abab"), ("de", "aa")):
        rows = task_rows(backbone, topic, examples(labels), language)
        parts.append(TaskValidation(TaskData(topic, language, rows, rows, examples(labels)), Composition(task=own)))
    found = JointValidation(parts)(ComposedModel(backbone))
    alone = [part(ComposedModel(backbone)) for part in parts]
    for key in ("score", "validation_loss"):
        assert found[key] == pytest.approx(sum(each[key] for each in alone) / 2)
        assert found[f"{key} of topic (de)"] == alone[1][key]


def test_without_validation_data_nothing_is_validated():
    backbone = shared("mt5")
    made = task_learner(
        backbone,
        [data(3)],
        kind="prompt",
        module=PromptSettings(num_virtual_tokens=2, init="vocab"),
        training=TrainingSettings(steps=1, batch_size=2, backbone_dropout=0.0),
        fusion="concat",
        seed=1,
        name="t",
        limits=LIMITS,
    )
    (result,) = train(ComposedModel(backbone), [made])
    assert (made.validate, result.scores, result.best_step) == (None, {}, 1)


def test_a_learner_for_one_data_set_has_one_composition_for_all_rows():
    own = module("prompt", shared("mt5"))
    plain = Learner("l", own, Composition(task=own), lambda _step: [], TrainingSettings())
    assert plain.acting(0, num_rows=2) == [plain.composition] * 2
