"""The lean pass gives transformers' numbers; sampled candidates correct for what they leave out."""

from __future__ import annotations

import math

import pytest
import torch

from lingport.pretrain.backbone import new_backbone
from lingport.pretrain.forward import IGNORED, token_losses, token_matches
from lingport.pretrain.recipe import ModelShape

SHAPE = ModelShape(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_decoder_layers=2, num_heads=4)


@pytest.fixture(scope="module")
def case():
    model = new_backbone(SHAPE, vocab_size=60, seed=1)
    generator = torch.Generator().manual_seed(0)
    input_ids = torch.randint(3, 60, (3, 11), generator=generator)
    labels = torch.randint(3, 60, (3, 6), generator=generator)
    mask = torch.ones(3, 11)
    mask[1, 7:] = 0
    labels[1, 4:] = IGNORED
    return model, input_ids, mask, labels


def test_loss_and_gradients_are_those_of_transformers(case):
    model, input_ids, mask, labels = case
    reference = model(input_ids=input_ids, attention_mask=mask.long(), labels=labels).loss
    expected = torch.autograd.grad(reference, list(model.parameters()))
    found = token_losses(model, input_ids, mask, labels).mean()
    torch.testing.assert_close(found, reference, rtol=1e-5, atol=1e-6)
    for got, wanted in zip(torch.autograd.grad(found, list(model.parameters())), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def test_matches_are_the_likeliest_tokens(case):
    model, input_ids, mask, labels = case
    logits = model(input_ids=input_ids, attention_mask=mask.long(), labels=labels).logits
    assert torch.equal(token_matches(model, input_ids, mask, labels), logits.argmax(-1) == labels)


def test_all_candidates_are_the_whole_softmax(case):
    model, input_ids, mask, labels = case
    whole = token_losses(model, input_ids, mask, labels)
    torch.testing.assert_close(
        token_losses(model, input_ids, mask, labels, candidates=torch.arange(60), correction=0.0), whole
    )


def test_fewer_candidates_estimate_the_whole_softmax(case):
    model, input_ids, mask, labels = case
    targets = labels[labels != IGNORED].unique()
    others = torch.tensor([token for token in range(60) if token not in targets])
    generator = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(200):
        drawn = others[torch.randperm(len(others), generator=generator)[:12]]
        candidates = torch.cat([targets, drawn]).sort().values
        correction = math.log(len(others) / 12)
        estimates.append(token_losses(model, input_ids, mask, labels, candidates=candidates, correction=correction))
    whole = token_losses(model, input_ids, mask, labels)
    torch.testing.assert_close(torch.stack(estimates).mean(0), whole, rtol=0.02, atol=0.02)


def test_heads_start_looking_at_neighbours():
    model = new_backbone(SHAPE, vocab_size=60, seed=1)
    bias = model.encoder.block[0].layer[0].SelfAttention.compute_bias(6, 6)[0]
    assert bias[0, 3].argmax() == 2
    assert bias[1, 3].argmax() == 4
    assert bias[2, 3].argmax() == 1
    assert model.decoder.block[0].layer[0].SelfAttention.compute_bias(6, 6)[0, 0, 4].argmax() == 3
