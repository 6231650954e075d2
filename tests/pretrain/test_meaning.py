"""What a text is about: what is drawn, and that an encoder learns to say it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lingport.pretrain.backbone import new_backbone
from lingport.pretrain.corpus import encode_texts
from lingport.pretrain.forward import encode
from lingport.pretrain.meaning import Drawn, Meanings
from lingport.pretrain.recipe import ModelShape
from lingport.pretrain.vocabulary import train_vocabulary
from lingport.pretrain.word_vectors import shared_vectors

THINGS = [
    ["salt", "wave", "shore", "sail"],
    ["judge", "crime", "trial", "court"],
    ["cattle", "barley", "plough", "barn"],
]


@pytest.fixture(scope="module")
def meanings() -> Meanings:
    rng = np.random.default_rng(0)
    texts = {
        language: [
            " ".join(f"{word}{ending}" for word in rng.choice(THINGS[rng.integers(3)], 3, replace=False))
            for _ in range(400)
        ]
        for language, ending in (("en", ""), ("xx", "oqu"))
    }
    things = [{"en": [word], "xx": [f"{word}oqu"]} for words in THINGS for word in words]
    tokenizer = train_vocabulary([*texts["en"], *texts["xx"]], size=400)
    vectors = shared_vectors(texts, things, dimensions=8)
    corpus = encode_texts(tokenizer, texts)
    return Meanings(vectors, corpus, np.asarray([0.5, 0.5]), things, tokenizer, width=32, seed=1)


def test_texts_of_a_step_are_of_all_languages_and_have_vectors(meanings):
    rng = np.random.default_rng(1)
    seen: set[int] = set()
    of_both = 0
    for _ in range(60):
        drawn = meanings.draw(rng, num_tokens=400)
        assert drawn.wanted.shape == (len(drawn.texts), 8)
        assert bool(drawn.wanted.any(1).all())
        seen.add(max(len(text.split()) for text in drawn.texts))
        of_both += len(set(drawn.languages)) == 2
        assert drawn.languages == ["xx" if text.endswith("oqu") else "en" for text in drawn.texts]
    assert of_both > 40
    assert seen == {1, 2, 3}  # parts of texts, from one word to all three


def test_texts_of_which_no_word_is_known_by_itself_count_as_texts(meanings, monkeypatch):
    shape = ModelShape(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=4)
    model = new_backbone(shape, vocab_size=len(meanings.tokenizer), seed=1)

    def loss() -> float:
        return meanings.loss(model, np.random.default_rng(3), num_tokens=300).item()

    whole = loss()
    monkeypatch.setattr(meanings, "_word", lambda language, word: (np.zeros(8, np.float32), 0.0))
    assert 0 < loss() != whole


def test_texts_are_encoded_in_parts_of_like_length_and_keep_their_order(meanings):
    shape = ModelShape(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=4)
    model = new_backbone(shape, vocab_size=len(meanings.tokenizer), seed=1)
    texts = [" ".join(words[:number]) for number in (4, 1, 3, 2) for words in THINGS]
    drawn = Drawn(texts, ["en"] * len(texts), np.zeros((len(texts), 8), np.float32))
    states, encoding, owner = meanings._states(model, drawn)
    assert owner.tolist() == [row for row, ids in enumerate(encoding.input_ids) for _ in ids]
    alone = [encode(model, torch.tensor([ids]), torch.ones(1, len(ids)))[0] for ids in encoding.input_ids]
    torch.testing.assert_close(states, torch.cat(alone))


def test_the_directions_are_the_same_for_a_seed_and_orthonormal(meanings):
    assert torch.allclose(meanings.directions.T @ meanings.directions, torch.eye(8), atol=1e-5)


def test_directions_are_those_along_which_an_encoder_says_it_already(meanings):
    """An encoder of which every piece says its vector along given directions: they are found."""
    shape = ModelShape(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=4, output_scale=0.0)
    model = new_backbone(shape, vocab_size=len(meanings.tokenizer), seed=1)
    before = meanings.directions
    try:
        meanings.directions = torch.linalg.qr(torch.randn(32, 8, generator=torch.Generator().manual_seed(5))).Q
        model.shared.weight.data.mul_(0.01)
        meanings.add_to_embeddings(model, np.random.default_rng(4), num_texts=2000)
        known, meanings.directions = meanings.directions, before
        loss_before = meanings.loss(model, np.random.default_rng(6), num_tokens=400).item()
        meanings.turn_towards(model, np.random.default_rng(5), num_tokens=400)
        assert torch.allclose(meanings.directions.T @ meanings.directions, torch.eye(8), atol=1e-5)
        loss_after = meanings.loss(model, np.random.default_rng(6), num_tokens=400).item()
        assert loss_after < loss_before - 0.5
        assert torch.linalg.svdvals(meanings.directions.T @ known).min() > 0.7  # the same subspace
    finally:
        meanings.directions = before


def test_an_encoder_learns_to_say_it_in_both_languages(meanings):
    shape = ModelShape(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=4)
    model = new_backbone(shape, vocab_size=len(meanings.tokenizer), seed=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rng = np.random.default_rng(2)
    losses = []
    for _ in range(60):
        loss = meanings.loss(model, rng, num_tokens=300)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert meanings.tokenizer.backend_tokenizer.padding is None  # it is saved with the backbone as it is
    assert np.mean(losses[:5]) > 0.4
    assert np.mean(losses[-10:]) < 0.1
    assert not any("decoder" in name and parameter.grad is not None for name, parameter in model.named_parameters())


def test_embeddings_say_it_before_any_training(meanings):
    shape = ModelShape(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=4)
    losses = []
    for is_given in (False, True):
        model = new_backbone(shape, vocab_size=len(meanings.tokenizer), seed=1)
        before = model.shared.weight.detach().clone()
        if is_given:
            meanings.add_to_embeddings(model, np.random.default_rng(3), num_texts=2000)
            added = model.shared.weight.detach() - before
            assert added.pow(2).mean().item() == pytest.approx(before.pow(2).mean().item(), rel=1e-3)
        with torch.no_grad():
            rng = np.random.default_rng(2)
            losses.append(np.mean([meanings.loss(model, rng, num_tokens=300).item() for _ in range(20)]))
    assert losses[0] > 0.4 > 0.2 > losses[1]
