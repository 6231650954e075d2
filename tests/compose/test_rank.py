"""Ranking against each candidate scored alone by the model's own code: any modules, lengths and parts."""

from __future__ import annotations

import pytest
import torch

from lingport.compose import decode
from lingport.compose import model as composed
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import AdapterSettings
from lingport.modules.base import new_module
from tests.tiny import TEXTS, batch, module, row_of, shared

# Several begin alike, one is the beginning of another, and one has a single token.
CANDIDATES = ["a red hen", "a red mat", "a", "a red", "no", "the cat sat on the wet bed"]


def everywhere(own, seed):
    """An adapter at every place of both stacks, cross-attention included."""
    places = ["self_attention", "cross_attention", "feed_forward"]
    return new_module("adapter", AdapterSettings(reduction=4, init_std=0.3, places=places), own, seed=seed)


@pytest.fixture(scope="module", params=["mt5", "umt5", "t5"])
def own(request):
    return shared(request.param)


@pytest.fixture(scope="module")
def rows(own):
    long, short = module("prompt", own, rows=7, seed=1), module("prompt", own, rows=2, seed=2)
    first, second = everywhere(own, 3), everywhere(own, 4)
    return [
        Composition(long, first),
        Composition(),
        Composition(first, second),
        Composition(task=short),
        Composition(task=second),
        Composition(short, second),
    ]


@pytest.fixture(scope="module")
def inputs(own, rows):
    return batch(own, [TEXTS[row % len(TEXTS)] for row in range(len(rows))])


@pytest.fixture(scope="module")
def alone(own, rows, inputs):
    """Each row with each candidate as its only target, by the model's own code."""
    model = ComposedModel(own)
    scores = torch.empty(len(rows), len(CANDIDATES))
    with own.plain(), torch.no_grad():
        for row, composition in enumerate(rows):
            one = row_of(inputs, row)
            for place, candidate in enumerate(CANDIDATES):
                labels = torch.tensor([[*own.tokenizer(candidate, add_special_tokens=False).input_ids, 1]])
                with model.using(composition):
                    scores[row, place] = -model(one["input_ids"], labels=labels).row_loss[0]
    return scores


@pytest.mark.parametrize("at_once", [1, 50, 2048])
@pytest.mark.parametrize("side", ["left", "right"])
def test_mixed_rows_score_each_candidate_as_if_alone(own, rows, alone, side, at_once, monkeypatch):
    monkeypatch.setattr(composed, "_COMPUTED_AT_ONCE", at_once)
    padded = batch(own, [TEXTS[row % len(TEXTS)] for row in range(len(rows))], side=side, extra=2)
    with ComposedModel(own).using(rows) as model:
        found = model.rank_ids(padded["input_ids"], padded["attention_mask"], CANDIDATES)
        again = model.rank_ids(padded["input_ids"], padded["attention_mask"], CANDIDATES[::-1]).flip(1)
    assert found.shape == alone.shape
    assert torch.allclose(found, alone, rtol=1e-5, atol=1e-4)
    assert torch.allclose(again, found, rtol=1e-5, atol=1e-5)
    assert (alone[:1] - alone[1:]).abs().min() > 1e-3  # every row has modules of its own


def test_rows_that_cannot_lie_end_to_end(own, rows, inputs, alone):
    with own.plain(), ComposedModel(own).using(rows) as model:
        found = model.rank_ids(inputs["input_ids"], inputs["attention_mask"], CANDIDATES)
        assert torch.allclose(found, alone, rtol=1e-5, atol=1e-4)
        again = model.rank_ids(inputs["input_ids"], inputs["attention_mask"], CANDIDATES)
    assert torch.equal(again, found)  # the rows that modules act on are the batch's again


def test_weights_of_their_own_score_by_their_own_head(own, inputs):
    full = module("full", own)
    with ComposedModel(own).using(Composition(task=full)) as model:
        found = model.rank_ids(inputs["input_ids"], inputs["attention_mask"], CANDIDATES[:1])
        labels = torch.tensor([[*own.tokenizer(CANDIDATES[0], add_special_tokens=False).input_ids, 1]])
        with torch.no_grad():
            out = model(inputs["input_ids"], inputs["attention_mask"], labels.expand(len(found), -1))
    assert torch.allclose(found[:, 0], -out.row_loss, rtol=1e-5, atol=1e-4)  # the head is the module's too


def test_keys_and_values_of_a_source_are_made_once(own, rows, inputs):
    seen = []
    cross = own.model.decoder.block[0].layer[1].EncDecAttention
    hooks = [
        part.register_forward_hook(lambda _module, given, _out: seen.append(given[0].shape[:-1].numel()))
        for part in (cross.k, cross.v)
    ]
    try:
        with ComposedModel(own).using(rows[1]) as model:
            model.rank_ids(inputs["input_ids"], inputs["attention_mask"], CANDIDATES)
    finally:
        for hook in hooks:
            hook.remove()
    assert seen == [int(inputs["attention_mask"].sum())] * 2


def test_what_comes_next_is_asked_once_after_each_beginning(monkeypatch):
    candidates = [[5, 7, 1], [5, 8, 1], [6, 1], [5, 1]]
    # Before 5 or 6; after 5; after 5 7; after 5 8; after 6.
    num_beginnings, num_tokens = 5, 10
    generator = torch.Generator().manual_seed(0)
    state_of: dict[tuple[int, ...], torch.Tensor] = {}
    hidden = torch.stack(
        [
            state_of.setdefault(tuple(ids[:place]), torch.randn(2, 4, generator=generator))
            for ids in candidates
            for place in range(len(ids))
        ],
        dim=1,
    )
    head = torch.randn(11, 4, generator=generator)
    asked = []
    known = decode.most_likely
    monkeypatch.setattr(decode, "most_likely", lambda h, w: asked.append(len(h)) or known(h, w))
    found = decode.candidate_scores(hidden, head, candidates)
    assert hidden.shape == (2, num_tokens, 4)
    assert asked == [2 * num_beginnings]
    every = (hidden @ head.T).log_softmax(-1)
    of_token = every.gather(
        2, torch.tensor([token for ids in candidates for token in ids])[None, :, None].expand(2, -1, 1)
    )
    expected = torch.stack([part.sum(1) for part in of_token[..., 0].split([3, 3, 2, 2], dim=1)], dim=1)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
