"""Where a new backbone starts: embeddings made of text, and heads that look evenly at the whole input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import MT5ForConditionalGeneration

from lingport.pretrain.backbone import new_backbone, start_from_text
from lingport.pretrain.corpus import TokenText, encode_texts
from lingport.pretrain.even_heads import carry_summaries, hold_even_heads
from lingport.pretrain.loop import pretrain
from lingport.pretrain.piece_vectors import piece_vectors
from lingport.pretrain.recipe import read_recipe
from lingport.pretrain.vocabulary import train_vocabulary


def shape(**changes):
    said = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 2, "num_heads": 4}
    return read_recipe(
        {
            "languages": {"en": {"text": "x.txt"}},
            "model": said | changes,
            "stages": [{"name": "one", "steps": 1, "curriculum": [{"at": 0, "mixture": {"copy": 1.0}, "length": 8}]}],
        }
    ).model


def cross_attentions(model) -> list[torch.Tensor]:
    """What the first token of the decoder looks at in an input of 5 tokens: (heads, 5) per block."""
    model.set_attn_implementation("eager")
    tokens = torch.tensor([[5, 9, 30, 7, 1]])
    found = model(input_ids=tokens, decoder_input_ids=torch.zeros(1, 1, dtype=torch.long), output_attentions=True)
    return [weights[0, :, 0] for weights in found.cross_attentions]


def test_even_heads_look_evenly_and_training_keeps_them_so():
    model = new_backbone(shape(), vocab_size=64, seed=1)
    torch.nn.init.normal_(model.shared.weight)
    hold_even_heads(model, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for step in range(2):
        for weights in cross_attentions(model):
            torch.testing.assert_close(weights[-1], torch.full((5,), 0.2))
            assert (weights[:-1] - 0.2).abs().max() > 1e-4
        if step == 0:
            model(input_ids=torch.tensor([[5, 9, 30, 1]]), labels=torch.tensor([[9, 1]])).loss.backward()
            optimizer.step()


def test_a_pretrained_backbone_has_the_even_heads_that_its_recipe_asks_for(tiny_recipe, tmp_path):
    tiny_recipe["model"]["even_heads"] = 2
    tiny_recipe["stages"][1]["summaries"] = 0.3
    model = MT5ForConditionalGeneration.from_pretrained(pretrain(tiny_recipe, tmp_path), dtype=torch.float32)
    keys = model.decoder.block[0].layer[1].EncDecAttention.k.weight
    assert (keys[8:] == 0).all() and (keys[:8] != 0).any(dim=1).all()


def test_even_heads_carry_what_tells_one_text_from_another():
    model = new_backbone(shape(d_model=32, num_heads=4), vocab_size=64, seed=1)
    hold_even_heads(model, 1)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    rng = np.random.default_rng(0)
    corpus = {
        # two languages, each with tokens of its own
        language: TokenText(rng.integers(low, low + 20, 4000).astype(np.int32), np.arange(0, 4000, 40), [""] * 100)
        for language, low in (("en", 5), ("xx", 30))
    }
    carry_summaries(model, corpus, 1, share=0.5, seed=0)

    def carried(language: str, block: int) -> torch.Tensor:
        """What the even head adds to the decoder's state for 30 texts of a language."""
        attention = model.decoder.block[block].layer[1].EncDecAttention
        ids = torch.from_numpy(np.stack([corpus[language].chunk(32, rng=rng) for _ in range(30)]).astype(np.int64))
        mean = model.encoder(ids).last_hidden_state.mean(1)
        return (mean @ attention.v.weight[-4:].T @ attention.o.weight[:, -4:].T).detach()

    first, second = carried("en", 0), carried("xx", 0)
    between = (first.mean(0) - second.mean(0)).norm()
    assert between > (first - first.mean(0)).norm(dim=1).mean()
    unlike = torch.nn.functional.cosine_similarity(first.mean(0) - second.mean(0), carried("en", 1), dim=1)
    assert unlike.abs().max() < 0.05  # the next block carries other components
    for name, parameter in model.named_parameters():
        changed = (parameter != before[name]).nonzero()
        if "EncDecAttention.v" in name:
            assert set(changed[:, 0].tolist()) == {12, 13, 14, 15}
        elif "EncDecAttention.o" in name:
            assert set(changed[:, 1].tolist()) == {12, 13, 14, 15}
        else:
            assert not len(changed)


def test_even_heads_carry_nothing_outside_of_given_directions():
    model = new_backbone(shape(d_model=32, num_heads=4), vocab_size=64, seed=1)
    hold_even_heads(model, 1)
    within = torch.linalg.qr(torch.randn(32, 6, generator=torch.Generator().manual_seed(2))).Q
    ids = np.random.default_rng(0).integers(5, 60, 4000).astype(np.int32)
    before = [block.layer[1].EncDecAttention.v.weight[-4:].detach().clone() for block in model.decoder.block]
    carry_summaries(
        model, {"en": TokenText(ids, np.arange(0, 4000, 40), [""] * 100)}, 1, share=0.5, seed=0, within=within
    )
    values = [block.layer[1].EncDecAttention.v.weight[-4:].detach() for block in model.decoder.block]
    torch.testing.assert_close(values[0] @ within @ within.T, values[0], rtol=1e-3, atol=1e-4)
    assert torch.equal(values[1], before[1])  # two of six directions are left, too few for another head


def test_half_of_the_variance_comes_from_the_text():
    model = new_backbone(shape(d_model=64), vocab_size=500, seed=1)
    before = model.shared.weight.detach().clone()
    vectors = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = 0.0
    start_from_text(model, vectors)
    after = model.shared.weight.detach()
    assert torch.equal(after[3], before[3])
    assert float(after.std() / before.std()) == pytest.approx(1.0, abs=0.02)
    given = torch.from_numpy(vectors)
    for part in (given, before):
        near = torch.cosine_similarity(after, part)
        assert float(near[torch.arange(500) != 3].mean()) == pytest.approx(0.5**0.5, abs=0.05)


def test_pieces_in_like_company_have_like_vectors_in_two_languages():
    rng = np.random.default_rng(0)
    themes = [[f"{name}{number}" for number in "abcdefgh"] for name in ("kolo", "mira", "tusen")]
    # written alike in both languages
    same = [["radio", "motor", "atlas"], ["panorama", "opera", "tango"], ["kilometer", "fjord", "ombudsman"]]

    def sentences(ending: str) -> list[str]:
        made = []
        for _ in range(1500):
            theme = rng.integers(3)
            words = [f"{word}{ending}" for word in rng.choice(themes[theme], 5, replace=False)]
            made.append(" ".join([*words, *rng.choice(same[theme], 2)]))
        return made

    texts = {"en": sentences(""), "xx": sentences("qu")}
    words = sorted({word for of in texts.values() for text in of for word in text.split()})
    required = [f"\u2581{word}" for word in words]
    tokenizer = train_vocabulary([*texts["en"], *texts["xx"]], size=460, required=required)
    found = piece_vectors(tokenizer, encode_texts(tokenizer, texts), dimensions=4, seed=0)
    assert found.shape == (len(tokenizer), 4)
    ids = dict(zip(words, tokenizer.convert_tokens_to_ids(required), strict=True))

    def near(first: str, second: str) -> float:
        return float(found[ids[first]] @ found[ids[second]])

    for number, theme in enumerate(themes):
        other = themes[(number + 1) % 3]
        assert near(theme[0], theme[1]) > near(theme[0], other[1]) + 0.3
        assert near(f"{theme[0]}qu", theme[1]) > near(f"{theme[0]}qu", other[1]) + 0.3
