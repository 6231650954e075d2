"""Trimmed vocabularies: the same texts, the same states, a loss that differs by what was dropped, shared modules."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from lingport.backbones.base import Backbone
from lingport.backbones.trim import TokenMap, compare, count_tokens, kept_tokens, trim
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.errors import BackboneError, WrongBackboneError
from lingport.modules.store import load_module, save_module
from tests.tiny import TEXTS, module, shared, tiny

USED = ["the bed is red", "tea is wet"]
TRIMMABLE = ("t5", "mt5", "umt5")


def trimmed(family, folder):
    whole = shared(family)
    keep = kept_tokens(whole, count_tokens(whole.tokenizer, USED))
    tokens = trim(whole, keep, folder)
    return whole, Backbone.load(str(folder), dtype="float32", device="cpu"), tokens


@pytest.fixture(params=TRIMMABLE)
def pair(request, tmp_path):
    return trimmed(request.param, tmp_path / "small")


def test_texts_of_kept_tokens_give_the_same_tokens(pair):
    whole, small, tokens = pair
    assert len(small.tokenizer) == len(tokens.kept) < len(whole.tokenizer)
    for text in USED:
        ids = whole.tokenizer(text).input_ids
        assert small.tokenizer(text).input_ids == tokens.to_trimmed(ids)
        assert tokens.to_whole(tokens.to_trimmed(ids)) == ids
        assert small.tokenizer.decode(small.tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_sentinels_and_special_tokens_are_kept(pair):
    whole, small, tokens = pair
    assert tokens.to_whole(small.sentinel_ids) == whole.sentinel_ids
    assert small.tokenizer.pad_token_id == whole.tokenizer.pad_token_id == 0
    assert small.tokenizer.eos_token_id == whole.tokenizer.eos_token_id == 1
    assert set(tokens.to_whole(small.special_ids)) == whole.special_ids


def test_states_are_the_same_and_weights_fewer(pair):
    whole, small, tokens = pair
    ids = torch.tensor([whole.tokenizer(USED[0]).input_ids])
    own = torch.tensor([tokens.to_trimmed(ids[0].tolist())])
    with torch.no_grad():
        expected = whole.model.get_encoder()(input_ids=ids).last_hidden_state
        found = small.model.get_encoder()(input_ids=own).last_hidden_state
    assert torch.equal(found, expected)
    tables = 1 if whole.model.lm_head.weight is whole.model.shared.weight else 2
    dropped = whole.model.config.vocab_size - len(tokens.kept)
    assert whole.num_parameters - small.num_parameters == tables * dropped * whole.layout.width


def rows_of(whole):
    return [(whole.tokenizer(text).input_ids, whole.tokenizer(text).input_ids) for text in USED]


def test_the_loss_differs_by_the_dropped_mass_alone(pair):
    whole, small, tokens = pair
    found = compare(whole, small, tokens, rows_of(whole))
    assert found.error < 1e-6
    assert found.dropped > 0.1
    assert found.whole - found.trimmed == pytest.approx(found.dropped, abs=1e-6)
    # by another path: the model's own loss, and the share of the probability that is kept
    source, target = rows_of(whole)[0]
    with torch.no_grad():
        out = whole.model(input_ids=torch.tensor([source]), labels=torch.tensor([target]))
        kept = out.logits.softmax(-1)[0][:, tokens.kept].sum(-1)
        small_ids = torch.tensor([tokens.to_trimmed(source)])
        small_loss = small.model(input_ids=small_ids, labels=small_ids).loss
    assert out.loss.item() + kept.log().mean().item() == pytest.approx(small_loss.item(), abs=1e-5)


def test_a_wrong_weight_is_seen(pair):
    whole, small, tokens = pair
    with torch.no_grad():
        small.model.encoder.block[0].layer[1].layer_norm.weight[0] += 0.5
    assert compare(whole, small, tokens, rows_of(whole)).error > 1e-4


def test_modules_act_in_both(pair, tmp_path):
    whole, small, tokens = pair
    ids = whole.tokenizer(USED[0]).input_ids
    for kind in ("prompt", "adapter"):
        for home, other in ((whole, small), (small, whole)):
            save_module(module(kind, home), tmp_path / f"{kind}-{home.name[-5:]}")
            own = load_module(tmp_path / f"{kind}-{home.name[-5:]}", other)
            with ComposedModel(other).using(Composition(task=own)) as model, torch.no_grad():
                row = ids if other is whole else tokens.to_trimmed(ids)
                assert math.isfinite(model(input_ids=torch.tensor([row]), labels=torch.tensor([row])).loss)


def test_modules_of_another_backbone_are_still_refused(tmp_path):
    _, small, _ = trimmed("mt5", tmp_path / "small")
    save_module(module("adapter", tiny("mt5", seed=5)), tmp_path / "m")
    with pytest.raises(WrongBackboneError):
        load_module(tmp_path / "m", small)


def test_a_trimmed_backbone_has_a_fingerprint_of_its_own(pair):
    whole, small, _ = pair
    assert small.fingerprint != whole.fingerprint
    assert small.body_fingerprint == whole.body_fingerprint == whole.fingerprint


def test_dropped_tokens_become_unknown_ids_and_shorter_pieces(pair):
    whole, small, tokens = pair
    dropped = next(index for index in range(len(whole.tokenizer)) if index not in tokens)
    assert tokens.to_trimmed([dropped]) == [small.tokenizer.unk_token_id]
    text = next(text for text in TEXTS if any(each not in tokens for each in whole.tokenizer(text).input_ids))
    assert len(small.tokenizer(text).input_ids) > len(whole.tokenizer(text).input_ids)


def test_the_map_is_read_again(pair, tmp_path):
    _, _, tokens = pair
    tokens.save(tmp_path)
    again = TokenMap.load(tmp_path)
    assert (again.kept, again.unknown) == (tokens.kept, tokens.unknown)
    with pytest.raises(BackboneError, match="no list of kept tokens"):
        TokenMap.load(tmp_path / "nowhere")


def test_rare_tokens_are_dropped_on_request():
    whole = shared("mt5")
    pieces = whole.tokenizer.convert_ids_to_tokens(range(len(whole.tokenizer)))
    words = [index for index, piece in enumerate(pieces) if len(piece) > 2 and index not in whole.special_ids]
    rare, often = words[:2]
    kept = kept_tokens(whole, Counter({rare: 1, often: 2}), min_count=2)
    assert often in kept
    assert rare not in kept


def test_bytes_have_nothing_to_trim(tmp_path):
    with pytest.raises(BackboneError, match="no list of pieces"):
        trim(shared("byt5"), range(50), tmp_path / "small")


def test_a_full_folder_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(BackboneError, match="not empty"):
        trim(shared("mt5"), range(50), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
