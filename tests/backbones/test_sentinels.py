"""Sentinels by name, checked against position: a wrong one would train on rubbish without a word."""

from __future__ import annotations

import pytest
from transformers import ByT5Tokenizer

from lingport.backbones.t5 import T5Layout, UMT5Layout
from lingport.errors import BackboneError
from tests.tiny import shared

PLAIN, PIECE = "<extra_id_{}>", "\u2581<extra_id_{}>"


class Stub:
    """A tokenizer of which only the vocabulary is asked."""

    name_or_path = "stub"

    def __init__(self, vocabulary: dict[str, int], size: int) -> None:
        self.vocabulary, self.size = vocabulary, size

    def __len__(self) -> int:
        return self.size

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary


def names(spelling: str, first: int, *, step: int = -1) -> dict[str, int]:
    return {spelling.format(index): first + step * index for index in range(100)}


def ids(tokenizer, layout=T5Layout):
    return layout(None).sentinel_ids(tokenizer)


@pytest.mark.parametrize("spelling", [PLAIN, PIECE])
@pytest.mark.parametrize(("first", "size"), [(32099, 32100), (250099, 250100)])
def test_t5_and_mt5_keep_them_last_and_descending(spelling, first, size):
    found = ids(Stub(names(spelling, first), size))
    assert found == list(range(first, first - 100, -1))
    assert len(found) == 100


@pytest.mark.parametrize("spelling", [PLAIN, PIECE])
def test_umt5_has_them_by_name_wherever_they_are(spelling):
    found = ids(Stub(names(spelling, 256299), 256384), UMT5Layout)
    assert found[:2] == [256299, 256298]
    ascending = ids(Stub(names(spelling, 256000, step=1), 256384), UMT5Layout)
    assert ascending == list(range(256000, 256100))


def test_byt5_uses_its_last_bytes_not_its_names():
    assert ids(ByT5Tokenizer()) == list(range(258, 158, -1))


@pytest.mark.parametrize(
    "vocabulary",
    [
        Stub(names(PLAIN, 32099), 32128),  # tokens were added behind them
        Stub(names(PLAIN, 32000, step=1), 32100),  # ascending
        Stub(names(PLAIN, 32098), 32100),  # off by one
        Stub(names(PLAIN, 32099) | {"<extra_id_5>": 7}, 32100),
    ],
)
def test_names_and_positions_that_disagree_are_refused(vocabulary):
    with pytest.raises(BackboneError, match="but this family keeps them as"):
        ids(vocabulary)


def test_two_spellings_that_disagree_are_refused():
    """As when a tokenizer was given new `<extra_id_*>` although its pieces hold them already."""
    both = names(PIECE, 250099) | names(PLAIN, 250199)
    for layout in (T5Layout, UMT5Layout):
        with pytest.raises(BackboneError, match="spelt in two ways"):
            ids(Stub(both, 250200), layout)
    same = names(PIECE, 250099) | names(PLAIN, 250099)
    assert ids(Stub(same, 250100))[0] == 250099


@pytest.mark.parametrize("layout", [T5Layout, UMT5Layout])
def test_a_vocabulary_without_all_of_them_is_refused(layout):
    some = names(PLAIN, 32099)
    del some["<extra_id_42>"]
    with pytest.raises(BackboneError, match="has no sentinels <extra_id_0> to <extra_id_99>"):
        ids(Stub(some, 32100), layout)


def test_of_a_backbone_they_are_special(backbone):
    assert backbone.sentinel_ids == list(range(160, 60, -1))
    assert set(backbone.sentinel_ids) | set(backbone.tokenizer.all_special_ids) == set(backbone.special_ids)
    assert set(range(159, 259)) <= shared("byt5").special_ids
