"""How a soft prompt starts, what of it is trained, and its size."""

from __future__ import annotations

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import PromptSettings
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.errors import ModuleError
from lingport.modules.base import new_module
from lingport.modules.soft_prompt import INITIALISATIONS
from lingport.modules.store import load_module, save_module
from lingport.train.learner import Learner
from lingport.train.loop import train
from tests.tiny import batch

TEXT = "the mat is red"


def build(backbone, *, seed=0, **settings):
    return new_module("prompt", PromptSettings(**settings), backbone, seed=seed)


def ids_of(backbone, text):
    return backbone.tokenizer(text, add_special_tokens=False).input_ids


def embeddings(backbone, ids):
    return backbone.layout.input_embeddings.weight[ids]


def token_of(backbone, row):
    distances = (backbone.layout.input_embeddings.weight - row).abs().sum(1)
    assert distances.min() == 0
    return int(distances.argmin())


def test_text_is_repeated_without_end_of_sequence_until_the_rows_are_filled(backbone):
    ids = ids_of(backbone, TEXT)
    prompt = build(backbone, num_virtual_tokens=2 * len(ids) + 3, init_text=TEXT)
    assert torch.equal(prompt.rows(), embeddings(backbone, [*ids, *ids, *ids[:3]]))
    assert backbone.tokenizer.eos_token_id not in ids


def test_a_text_longer_than_the_prompt_is_cut(backbone):
    prompt = build(backbone, num_virtual_tokens=3, init_text=TEXT)
    assert torch.equal(prompt.rows(), embeddings(backbone, ids_of(backbone, TEXT)[:3]))


def test_init_keep_eos_repeats_the_end_of_sequence_too(backbone):
    ids = [*ids_of(backbone, TEXT), backbone.tokenizer.eos_token_id]
    prompt = build(backbone, num_virtual_tokens=len(ids) + 2, init_text=TEXT, init_keep_eos=True)
    assert torch.equal(prompt.rows(), embeddings(backbone, [*ids, *ids[:2]]))


def test_vocab_draws_ordinary_tokens_by_seed(backbone):
    prompt = build(backbone, num_virtual_tokens=400, init="vocab", seed=1)
    tokens = [token_of(backbone, row) for row in prompt.rows()]
    assert not set(tokens) & set(backbone.special_ids)
    assert set(backbone.sentinel_ids) | {0, 1, 2} <= backbone.special_ids
    assert len(set(tokens)) > 30
    assert torch.equal(prompt.rows(), build(backbone, num_virtual_tokens=400, init="vocab", seed=1).rows())
    assert not torch.equal(prompt.rows(), build(backbone, num_virtual_tokens=400, init="vocab", seed=2).rows())


def test_classes_puts_label_words_first_and_fills_up_from_the_vocabulary(backbone):
    words = [*ids_of(backbone, "Yes"), *ids_of(backbone, "No")]
    prompt = build(backbone, num_virtual_tokens=len(words) + 4, init="classes", init_words=("Yes", "No"))
    assert torch.equal(prompt.rows()[: len(words)], embeddings(backbone, words))
    rest = {token_of(backbone, row) for row in prompt.rows()[len(words) :]}
    assert not rest & set(backbone.special_ids)
    short = build(backbone, num_virtual_tokens=2, init="classes", init_words=("Yes", "No"))
    assert torch.equal(short.rows(), embeddings(backbone, words[:2]))


def test_random_is_normal_with_the_given_or_the_embeddings_spread(backbone):
    own = build(backbone, num_virtual_tokens=500, init="random", init_std=0.02).rows()
    assert own.std().item() == pytest.approx(0.02, rel=0.05)
    default = build(backbone, num_virtual_tokens=500, init="random").rows()
    assert default.std().item() == pytest.approx(backbone.layout.input_embeddings.weight.std().item(), rel=0.05)
    assert torch.equal(own, build(backbone, num_virtual_tokens=500, init="random", init_std=0.02).rows())


def test_every_initialisation_is_tested_here():
    assert set(INITIALISATIONS) == {"text", "vocab", "classes", "random"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"init_text": None}, "needs init_text"),
        ({"init_text": ""}, "empty text"),
        ({"init": "classes"}, "needs init_words"),
        ({"init": "random", "fixed_text": TEXT, "num_virtual_tokens": 3}, "leaves none"),
    ],
)
def test_what_cannot_start_is_refused(backbone, settings, said):
    with pytest.raises(ModuleError, match=said):
        build(backbone, **settings)


def test_a_fixed_part_comes_first_is_saved_and_never_trained(backbone, tmp_path):
    fixed = ids_of(backbone, "mat")
    prompt = build(backbone, num_virtual_tokens=len(fixed) + 3, init="vocab", fixed_text="mat")
    assert prompt.num_trained == 3 * backbone.layout.width
    start = prompt.rows().detach().clone()
    assert torch.equal(start[: len(fixed)], embeddings(backbone, fixed))
    rows = [Row(batch(backbone)["input_ids"][0].tolist(), [5, 1])]
    settings = TrainingSettings(steps=2, batch_size=1, optimizer="adafactor", learning_rate=0.5, weight_decay=0.1)
    train(ComposedModel(backbone), [Learner("p", prompt, Composition(task=prompt), lambda step: rows, settings)])
    assert torch.equal(prompt.rows()[: len(fixed)], start[: len(fixed)])
    assert (prompt.rows()[len(fixed) :] != start[len(fixed) :]).any()
    save_module(prompt, tmp_path / "p")
    assert torch.equal(load_module(tmp_path / "p", backbone).rows(), prompt.rows())


def test_the_embeddings_are_copied_not_shared(backbone):
    before = backbone.weights_hash()
    prompt = build(backbone, num_virtual_tokens=4, init_text=TEXT, fixed_text="a")
    with torch.no_grad():
        prompt.prompt.add_(1.0)
        prompt.fixed.add_(1.0)
    assert backbone.weights_hash() == before
