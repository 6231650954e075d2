"""The vocabulary's layout, and that text of all sixteen languages comes back from its ids."""

from __future__ import annotations

from importlib.resources import files

import pytest
from transformers import AutoTokenizer

from lingport.errors import ConfigError
from lingport.pretrain.denoise import Pieces
from lingport.pretrain.vocabulary import BLANK, train_vocabulary

SAMPLES = {
    "ar": "تقع مدينة براتيسلافا على نهر الدانوب.",
    "bg": "Братислава е столицата на Словакия.",
    "cs": "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "de": "Die Straße führt über die Brücke nach Köln.",
    "el": "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
    "en": 'He didn\'t say "yes" (or "no"), did he?',
    "es": "¿Dónde está el niño? ¡Aquí!",
    "ml": "തിരുവനന്തപുരം കേരളത്തിന്റെ തലസ്ഥാനമാണ്.",
    "ro": "Bucureștiul este capitala României, în sud.",
    "ru": "Москва — столица России; население растёт.",
    "sk": "Kŕdeľ šťastných ďatľov učí pri ústí Váhu mĺkveho koňa.",
    "sl": "Ljubljana leži ob reki Ljubljanici že stoletja.",
    "sw": "Nairobi ni mji mkuu wa Kenya.",
    "te": "హైదరాబాదు తెలంగాణ రాజధాని.",
    "ur": "اسلام آباد پاکستان کا دارالحکومت ہے۔",
    "zh": "布拉迪斯拉发是斯洛伐克的首都。",
}


@pytest.fixture(scope="module")
def shipped():
    folder = files("lingport.demo") / "nano"
    if not folder.joinpath("tokenizer.json").is_file():
        pytest.skip("the nano backbone is not in the package yet")
    return AutoTokenizer.from_pretrained(str(folder))


@pytest.fixture(scope="module")
def tiny():
    texts = [f"{text} {number}" for number, text in enumerate([*SAMPLES.values()] * 3)]
    return train_vocabulary(texts, size=600, required=[f"{BLANK}[", "$$"])


@pytest.mark.parametrize("language", SAMPLES)
def test_text_comes_back(shipped, language):
    text = SAMPLES[language]
    ids = shipped(text).input_ids
    assert ids[-1] == shipped.eos_token_id
    assert shipped.unk_token_id not in ids
    assert shipped.decode(ids, skip_special_tokens=True) == text


def test_what_was_never_seen_is_spelt_in_bytes(shipped):
    for text in ("\U00013080 \u0f00", "LOC: Bratislava$$PER: Ján", "a\u200db"):
        ids = shipped(text).input_ids
        assert shipped.unk_token_id not in ids
        assert shipped.decode(ids, skip_special_tokens=True) == text


def test_sentinels_close_the_shipped_vocabulary(shipped):
    ids = shipped.convert_tokens_to_ids([f"<extra_id_{index}>" for index in range(100)])
    assert ids == list(range(len(shipped) - 1, len(shipped) - 101, -1))
    assert len(shipped) == 16000


def test_layout(tiny):
    assert len(tiny) == 600
    assert tiny.convert_ids_to_tokens([0, 1, 2, 3, 258]) == ["<pad>", "</s>", "<unk>", "<0x00>", "<0xFF>"]
    pieces = Pieces.of(tiny)
    assert pieces.sentinels == list(range(599, 499, -1))
    assert (pieces.end, pieces.first, pieces.stop) == (1, 259, 500)
    assert tiny("a <extra_id_5>b").input_ids.count(pieces.sentinels[5]) == 1


def test_required_pieces_stay_whole(tiny):
    assert tiny.convert_ids_to_tokens(tiny("a$$b [", add_special_tokens=False).input_ids)[-1] == f"{BLANK}["
    assert "$$" in tiny.convert_ids_to_tokens(tiny("a$$b").input_ids)


def test_blanks_and_wide_forms_are_normalised(tiny):
    assert tiny("a  b\n\nc").input_ids == tiny("a b c").input_ids
    assert tiny("\uff21\uff0c").input_ids == tiny("A,").input_ids


def test_too_little_text_is_refused():
    with pytest.raises(ConfigError, match="gives"):
        train_vocabulary(["a b c"], size=5000)
