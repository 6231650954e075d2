"""The loop: what a step is, whose weights are kept, when it stops, and that neighbours change nothing."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.data.order import generator
from lingport.errors import ConfigError, TrainingError
from lingport.modules.store import weights_hash
from lingport.train.learner import Learner
from lingport.train.loop import train
from tests.tiny import module, shared


def settings(**changes):
    usual = {"steps": 3, "batch_size": 4, "learning_rate": 0.01, "backbone_dropout": 0.0, "evaluate_every": 1}
    return TrainingSettings(**(usual | changes))


def rows_of(seed, batch_size):
    """Rows as a pure function of the step, of different lengths in input and target."""

    def rows(step):
        draw = generator("rows", seed, step)
        lengths = [(int(draw.integers(2, 9)), int(draw.integers(1, 5))) for _ in range(batch_size)]
        return [Row([*draw.integers(3, 60, s).tolist(), 1], [*draw.integers(3, 60, t).tolist(), 1]) for s, t in lengths]

    return rows


def learner(kind="adapter", *, family="mt5", seed=0, name=None, rows=None, validate=None, checkpoint=None, **changes):
    own = module(kind, shared(family), seed=seed, rows=seed + 2 if kind == "prompt" else None)
    known = settings(**changes)
    return Learner(
        name or f"{kind}-{seed}",
        own,
        Composition(task=own),
        rows or rows_of(seed, known.batch_size),
        known,
        seed=seed,
        validate=validate,
        checkpoint=checkpoint,
        identity="this run",
    )


def run(*learners, listen=lambda name, event: None):
    return train(ComposedModel(shared("mt5")), learners, listen=listen)


def weights(one):
    return {name: value.clone() for name, value in one.module.state_dict().items()}


def close(one, other, tolerance):
    return all(((one[name] - other[name]).abs() <= tolerance).all() for name in one)


def test_a_run_is_the_same_to_the_bit():
    first, second = learner(), learner()
    assert run(first) == run(second)
    assert weights_hash(first.module) == weights_hash(second.module)


@pytest.mark.parametrize("tokens", [1, 20, 40])
def test_parts_make_the_same_step(tokens):
    whole = learner(steps=2, schedule="constant")
    split = learner(steps=2, schedule="constant", tokens_at_once=tokens)
    run(whole)
    run(split)
    # AdamW divides by the gradient's size, so that rounding near zero shows more than in the gradient.
    assert close(weights(whole), weights(split), 1e-4)


@pytest.mark.parametrize("tokens", [1, 20, 40])
def test_parts_give_the_same_gradient_and_keep_to_their_size(tokens, monkeypatch):
    from lingport.train.learner import LearnerState

    found, sizes = [], []

    def keep(state, loss):
        found.append((loss, [p.grad.clone() for p in state.parameters]))
        state.result.steps += 1

    def measure(model, input_ids, mask, labels, own=ComposedModel.row_losses, **more):
        sizes[-1].append(int(mask.sum()) + int((labels != -100).sum()))
        return own(model, input_ids, mask, labels, **more)

    monkeypatch.setattr(LearnerState, "apply_gradients", keep)
    monkeypatch.setattr(ComposedModel, "row_losses", measure)
    for limit in (None, tokens):
        sizes.append([])
        run(learner(steps=1, tokens_at_once=limit))
    (loss, whole), (other_loss, split) = found
    assert loss == pytest.approx(other_loss, abs=1e-6)
    for one, other in zip(whole, split, strict=True):
        assert (one - other).abs().max() <= 1e-6 * max(1.0, one.abs().max().item())
    assert len(sizes[0]) == 1
    longest = max(len(row.input_ids) + len(row.label_ids) for row in learner(steps=1).rows(0))
    assert len(sizes[1]) > 1
    assert max(sizes[1]) <= max(tokens, longest)


def test_label_smoothing_spreads_the_target_over_the_vocabulary():
    events = []
    own = learner(steps=1, label_smoothing=0.2)
    start = weights(own)
    run(own, listen=lambda name, event: events.append(event))
    own.module.load_state_dict(start)
    model = ComposedModel(shared("mt5"))
    total = tokens = 0.0
    with torch.no_grad(), model.using(own.composition):
        for row in own.rows(0):
            logits = model(torch.tensor([row.input_ids]), labels=torch.tensor([row.label_ids])).logits[0]
            target = torch.tensor(row.label_ids)
            total += F.cross_entropy(logits, target, label_smoothing=0.2, reduction="sum").item()
            tokens += len(target)
    assert events[0]["loss"] == pytest.approx(total / tokens, rel=1e-5)


def test_as_many_tokens_at_once_as_memory_holds(monkeypatch):
    backbone = shared("mt5")
    monkeypatch.setattr("lingport.backbones.base._free_bytes", lambda device: 40 * backbone.layout.bytes_per_token)
    assert backbone.tokens_that_fit() == 20
    auto, given = learner(steps=2, tokens_at_once="auto"), learner(steps=2, tokens_at_once=20)
    run(auto)
    run(given)
    assert weights_hash(auto.module) == weights_hash(given.module)


@pytest.mark.parametrize("kind", ["adapter", "prompt"])
@pytest.mark.parametrize("family", ["t5", "mt5", "umt5"])
def test_blocks_computed_again_are_the_same_blocks(kind, family):
    found = []
    for again in (False, True):
        own = learner(kind, family=family, steps=2, backbone_dropout=0.1, gradient_checkpointing=again)
        kept = 0

        def keep(tensor):
            nonlocal kept
            kept += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            train(ComposedModel(shared(family)), [own])
        found.append((weights_hash(own.module), kept))
    (plain, much), (recomputed, little) = found
    assert recomputed == plain
    assert little < much / 2
    assert not any("forward" in block.__dict__ for block in shared(family).model.encoder.block)


def test_learners_that_share_a_pass_compute_blocks_again():
    plain, again = ([learner("prompt", steps=2, gradient_checkpointing=g), learner(seed=3, steps=2)] for g in (0, 1))
    run(*plain)
    run(*again)
    for one, other in zip(plain, again, strict=True):
        assert weights_hash(one.module) == weights_hash(other.module)


def test_replaced_weights_are_not_computed_again():
    with pytest.raises(ConfigError, match="replaces the backbone's weights"):
        run(learner("full", steps=1, gradient_checkpointing=True))


def test_the_loss_is_the_mean_over_target_tokens():
    events = []
    own = learner(steps=1)
    start = weights(own)
    run(own, listen=lambda name, event: events.append(event))
    own.module.load_state_dict(start)
    model = ComposedModel(shared("mt5"))
    total = tokens = 0.0
    with torch.no_grad(), model.using(own.composition):
        for row in own.rows(0):
            out = model(torch.tensor([row.input_ids]), labels=torch.tensor([row.label_ids]))
            total, tokens = total + out.row_loss.item(), tokens + len(row.label_ids)
    assert events[0]["loss"] == pytest.approx(total / tokens, rel=1e-5)


def test_several_learners_get_what_each_gets_alone():
    def make():
        return [
            learner("adapter", seed=1),
            learner("prompt", seed=2, steps=2, optimizer="adafactor", learning_rate=0.1),
            learner("prompt", seed=5, batch_size=2),
            learner("adapter", seed=4, tokens_at_once=30),
        ]

    together, alone = make(), make()
    results = run(*together)
    assert [result.steps for result in results] == [3, 2, 3, 3]
    for one, other, result in zip(together, alone, results, strict=True):
        (single,) = run(other)
        assert (single.rows, single.tokens) == (result.rows, result.tokens)
        assert close(weights(one), weights(other), 2e-4), one.name


def test_a_neighbour_of_other_data_changes_nothing():
    first, second = learner(seed=1), learner(seed=1)
    run(first, learner("prompt", seed=2))
    run(second, learner("prompt", seed=7, batch_size=2))
    assert close(weights(first), weights(second), 1e-4)


def test_dropout_with_several_learners_is_refused():
    with pytest.raises(ConfigError, match="backbone dropout") as caught:
        run(learner(seed=1, backbone_dropout=0.1), learner(seed=2))
    assert "learners_at_once: 1" in (caught.value.hint or "")
    with pytest.raises(ConfigError):
        run(learner(seed=1, backbone_dropout=None), learner(seed=2, backbone_dropout=None))


def test_weights_of_ones_own_with_several_learners_are_refused():
    with pytest.raises(ConfigError, match="weights of its own") as caught:
        run(learner("adapter"), learner("full", seed=2))
    assert caught.value.where == "full-2"


def test_dropout_is_drawn_from_the_learners_seed_alone():
    one = learner(backbone_dropout=None)
    run(one)
    torch.manual_seed(99)
    other = learner(backbone_dropout=None)
    run(other)
    plain = learner()
    run(plain)
    assert weights_hash(one.module) == weights_hash(other.module) != weights_hash(plain.module)
    different = dataclasses.replace(learner(backbone_dropout=None), seed=1)
    run(different)
    assert weights_hash(one.module) != weights_hash(different.module)


class Script:
    """A validation that gives prepared values and remembers the weights it saw."""

    def __init__(self, key, values):
        self.key, self.values, self.seen, self.learner = key, list(values), [], None

    def __call__(self, model):
        assert not model.backbone.model.training and model.backbone.layout.dropout == 0.0
        self.seen.append(weights(self.learner))
        value = self.values[len(self.seen) - 1]
        return {"validation_loss": 1.0, "score": 0.5} | {self.key: value}


def scripted(key, values, **changes):
    script = Script(key, values)
    script.learner = learner(validate=script, **changes)
    return script, script.learner


@pytest.mark.parametrize(
    ("selection", "key", "values", "best"),
    [
        ("score", "score", [0.1, 0.6, 0.4, 0.6], 2),
        ("loss", "validation_loss", [3.0, 2.0, 1.0, 1.5], 3),
        ("score", "score", [0.0, 0.0, 0.0, 0.0], 1),
        ("last", "score", [0.9, 0.1, 0.2, 0.3], 4),
    ],
)
def test_the_selected_weights_are_restored(selection, key, values, best):
    script, own = scripted(key, values, steps=4, selection=selection, backbone_dropout=0.1)
    (result,) = run(own)
    assert result.best_step == best
    assert result.scores[key] == values[best - 1]
    assert all(torch.equal(value, script.seen[best - 1][name]) for name, value in weights(own).items())
    assert not close(script.seen[0], script.seen[3], 0)


def test_validation_comes_every_so_often_and_at_the_end():
    events = []
    _, own = scripted("score", [0.1] * 9, steps=5, evaluate_every=2)
    run(own, listen=lambda name, event: events.append((event["event"], event["step"])))
    assert [step for kind, step in events if kind == "evaluate"] == [2, 4, 5]
    assert [step for kind, step in events if kind == "train"] == [1, 2, 3, 4, 5]


def test_patience_stops_early():
    _, own = scripted("score", [0.1, 0.5, 0.5, 0.4, 0.9], steps=5, selection="score", patience=2)
    (result,) = run(own)
    assert (result.steps, result.best_step, result.stopped_early) == (4, 2, True)
    _, patient = scripted("score", [0.1, 0.5, 0.5, 0.4, 0.9], steps=5, selection="score", patience=3)
    (result,) = run(patient)
    assert (result.steps, result.best_step, result.stopped_early) == (5, 5, False)


def test_a_learner_that_stops_leaves_the_others_at_work():
    _, early = scripted("score", [0.5, 0.4], steps=5, selection="score", patience=1)
    late = learner("prompt", seed=3, steps=5)
    first, second = run(early, late)
    assert (first.steps, second.steps) == (2, 5)
    alone = learner("prompt", seed=3, steps=5)
    run(alone)
    assert close(weights(late), weights(alone), 2e-4)


def test_no_steps_leave_the_module_as_it_starts():
    own = learner(steps=0)
    before = weights_hash(own.module)
    (result,) = run(own)
    assert (result.steps, result.best_step, weights_hash(own.module)) == (0, 0, before)


def test_a_loss_that_is_not_finite_stops_with_the_learners_name():
    own = learner("prompt")
    with torch.no_grad():
        own.module.prompt[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="not finite at step 1") as caught:
        run(own)
    assert caught.value.where == "prompt-0"
    assert "learning rate" in (caught.value.hint or "")
    assert not shared("mt5").model.training


def test_the_gradient_is_clipped(monkeypatch):
    from lingport.train.learner import LearnerState

    norms = []
    real = LearnerState.apply_gradients

    def spy(state, loss):
        monkeypatch.setattr(state.optimizer, "step", lambda: norms.append(norm(state)))
        real(state, loss)

    def norm(state):
        return torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in state.parameters])).item()

    monkeypatch.setattr(LearnerState, "apply_gradients", spy)
    run(learner(steps=1, clip_norm=0.01))
    run(learner(steps=1, clip_norm=None))
    run(learner(steps=1, clip_norm=1e6))
    assert norms[0] == pytest.approx(0.01, rel=1e-3)
    assert norms[1] > 0.1
    assert norms[1] == pytest.approx(norms[2])


def test_counts():
    own = learner(steps=2)
    (result,) = run(own)
    rows = [*own.rows(0), *own.rows(1)]
    assert (result.steps, result.rows, result.tokens) == (2, 8, sum(len(row.input_ids) for row in rows))
