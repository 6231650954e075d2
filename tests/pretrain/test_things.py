"""Things with names in many languages: CLDR's annotations, and what is left out of them."""

from __future__ import annotations

import json

import pytest

from lingport.demo.facts import name, territories
from lingport.errors import DataError
from lingport.pretrain.things import known_things, symbols


def write(folder, language: str, entries: dict) -> None:
    (folder / language).mkdir()
    text = json.dumps({"annotations": {"annotations": entries}})
    (folder / language / "annotations.json").write_text(text, encoding="utf-8")


def test_a_symbol_is_one_thing_in_all_its_languages(tmp_path):
    write(tmp_path, "en", {"H": {"default": ["doctor", "hospital"], "tts": ["hospital"]}, "B": {"tts": ["ball"]}})
    write(tmp_path, "de", {"H": {"default": ["Arzt"], "tts": ["Krankenhaus"]}})
    found = symbols(tmp_path, ["en", "de", "sl"])
    assert found == [{"en": ["hospital", "doctor"], "de": ["Krankenhaus", "Arzt"]}, {"en": ["ball"]}]


def test_territories_of_the_demos_test_are_no_things(tmp_path):
    kept, held_out = (name(territories(split)[0], "en") for split in ("train", "test"))
    write(tmp_path, "en", {"M": {"default": [f"map of {kept}", f"map of {held_out}"], "tts": ["map"]}})
    assert known_things(["en"], annotations=str(tmp_path))[-1] == {"en": ["map", f"map of {kept}"]}


def test_names_are_things_without_annotations(tmp_path):
    things = known_things(["en", "sk"])
    assert {"en": ["Monday"], "sk": ["pondelok"]} in things
    write(tmp_path, "en", {"B": {"tts": ["ball"]}})
    assert known_things(["en", "sk"], annotations=str(tmp_path)) == [*things, {"en": ["ball"]}]


@pytest.mark.parametrize("text", ["{", "[]", '{"annotations": {"annotations": {"B": {}}}}'])
def test_a_malformed_file_is_refused_by_name(tmp_path, text):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "annotations.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"en.annotations\.json"):
        symbols(tmp_path, ["en"])


def test_a_folder_without_the_languages_is_refused(tmp_path):
    with pytest.raises(DataError, match="cldr-annotations-full"):
        symbols(tmp_path, ["en"])
