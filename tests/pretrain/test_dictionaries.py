"""Bilingual dictionaries: what is read of an entry, what is left out, and files that are none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lingport.demo.facts import name, territories
from lingport.errors import DataError
from lingport.pretrain.dictionaries import translations
from lingport.pretrain.things import known_things

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def in_base_64(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 64)
        digits = DIGITS[digit] + digits
    return digits


def write(folder: Path, sides: str, *entries: str) -> None:
    """A dictionary as its server reads it, with a first entry about itself."""
    body, index = b"", []
    for entry in ("00databaseinfo\nall words", *entries):
        text = entry.encode()
        index.append(f"{entry.split()[0]}\t{in_base_64(len(body))}\t{in_base_64(len(text))}\n")
        body += text
    (folder / f"freedict-{sides}.index").write_text("".join(index), encoding="utf-8")
    (folder / f"freedict-{sides}.dict.dz").write_bytes(gzip.compress(body))


def test_single_words_of_an_entry_are_read_without_its_marks(tmp_path):
    write(
        tmp_path,
        "deu-eng",
        "Haus /haʊs/ <neut, n, sg>\n [arch.] house <n>, home\n   Note: of bricks\n   Synonym: {Bau}\n2. place to live",
        "laufen /laʊfn/ <v>\nto run <v>\n",
        "Saat <fem>\nseed\n   see: {Same}",
        "im Haus\nindoors",
        "leer <adj>\n",
    )
    found = translations(tmp_path, ["de", "en"])
    assert found == [
        {"en": ["house"], "de": ["Haus"]},
        {"en": ["home"], "de": ["Haus"]},
        {"en": ["run"], "de": ["laufen"]},
        {"en": ["seed"], "de": ["Saat"]},
    ]


def test_a_word_of_english_is_one_thing_in_all_dictionaries(tmp_path):
    write(tmp_path, "deu-eng", "Haus <n>\nhouse", "Gebäude <n>\nHouse")
    write(tmp_path, "eng-rus", "house /haus/\n1. до\u0301м\n2. зда\u0301ние, building")
    write(tmp_path, "deu-rus", "Haus <n>\nдом")
    found = translations(tmp_path, ["de", "en", "ru"])
    assert {"en": ["house"], "de": ["Haus", "Gebäude"], "ru": ["дом", "здание"]} in found
    assert {"de": ["haus"], "ru": ["дом"]} in found
    assert len(found) == 2
    assert translations(tmp_path, ["de", "ru"]) == [{"de": ["haus"], "ru": ["дом"]}]


def test_territories_of_the_demos_test_are_no_things(tmp_path):
    held_out = territories("test")[0]
    write(tmp_path, "eng-deu", f"{name(held_out, 'en')}\n{name(held_out, 'de')}", "house\nHaus")
    things = known_things(["en", "de"], dictionaries=str(tmp_path))
    assert things[-1] == {"en": ["house"], "de": ["Haus"]}
    assert not any(name(held_out, "en") in of.get("en", ()) for of in things)


def test_a_folder_without_the_languages_is_refused(tmp_path):
    write(tmp_path, "deu-eng", "Haus\nhouse")
    write(tmp_path, "qqq-eng", "haus\nhouse")
    with pytest.raises(DataError, match="Debian"):
        translations(tmp_path, ["en", "sk"])


@pytest.mark.parametrize("broken", ["index", "dict.dz"])
def test_a_malformed_file_is_refused_by_name(tmp_path, broken):
    write(tmp_path, "deu-eng", "Haus\nhouse")
    (tmp_path / f"freedict-deu-eng.{broken}").write_bytes(b"no such thing\n")
    with pytest.raises(DataError, match=r"freedict-deu-eng\.index"):
        translations(tmp_path, ["de", "en"])
