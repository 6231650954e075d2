"""Languages: the studied ones exactly, any other code, and scripts."""

from __future__ import annotations

import pytest

from lingport.config.data import ExampleSource
from lingport.data.languages import STUDIED, fill_placeholders, language, script_share
from lingport.errors import UnknownNameError

NAMES = {
    "ar": ("Arabic", "العربية", {"Arabic"}, "arb_Arab", "ara"),
    "bg": ("Bulgarian", "български", {"Cyrillic"}, "bul_Cyrl", "bul"),
    "cs": ("Czech", "čeština", {"Latin"}, "ces_Latn", "ces"),
    "de": ("German", "Deutsch", {"Latin"}, "deu_Latn", "deu"),
    "el": ("Greek", "Ελληνικά", {"Greek"}, "ell_Grek", "ell"),
    "en": ("English", "English", {"Latin"}, "eng_Latn", "eng"),
    "es": ("Spanish", "español", {"Latin"}, "spa_Latn", "spa"),
    "ml": ("Malayalam", "മലയാളം", {"Malayalam"}, "mal_Mlym", "mal"),
    "ro": ("Romanian", "română", {"Latin"}, "ron_Latn", "ron"),
    "ru": ("Russian", "русский", {"Cyrillic"}, "rus_Cyrl", "rus"),
    "sk": ("Slovak", "slovenčina", {"Latin"}, "slk_Latn", "slk"),
    "sl": ("Slovenian", "slovenščina", {"Latin"}, "slv_Latn", "slv"),
    "sw": ("Swahili", "Kiswahili", {"Latin"}, "swh_Latn", "swa"),
    "te": ("Telugu", "తెలుగు", {"Telugu"}, "tel_Telu", "tel"),
    "ur": ("Urdu", "اردو", {"Arabic"}, "urd_Arab", "urd"),
    "zh": ("Chinese", "中文", {"Han"}, "zho_Hans", "zho"),
}


@pytest.mark.parametrize("code", STUDIED)
def test_studied_languages(code):
    name, autonym, scripts, flores, iso = NAMES[code]
    found = language(code)
    assert (found.code, found.name, found.autonym, found.scripts, found.flores) == (
        code,
        name,
        autonym,
        frozenset(scripts),
        flores,
    )
    assert language(flores) == language(iso) == found


@pytest.mark.parametrize(
    ("code", "expected", "scripts"),
    [
        ("ja", "ja", {"Han", "Hiragana", "Katakana"}),
        ("ko", "ko", {"Hangul", "Han"}),
        ("zh-Hant", "zh-Hant", {"Han"}),
        ("pt-BR", "pt-BR", {"Latin"}),
        ("sr", "sr", {"Cyrillic", "Latin"}),
        ("sr-Latn", "sr-Latn", {"Latin"}),
        ("pes_Arab", "fa", {"Arabic"}),
        ("amh_Ethi", "am", {"Ethiopic"}),
        ("npi_Deva", "ne", {"Devanagari"}),
    ],
)
def test_other_languages(code, expected, scripts):
    assert (language(code).code, language(code).scripts) == (expected, scripts)


@pytest.mark.parametrize(
    ("code", "hint"), [("slovak", "'slovak' is 'sk'"), ("xx", "any BCP-47"), ("", "any BCP-47"), ("s k", "any BCP-47")]
)
def test_unknown_languages(code, hint):
    with pytest.raises(UnknownNameError, match="unknown language") as error:
        language(code)
    assert hint in (error.value.hint or "")


@pytest.mark.parametrize(
    ("text", "code", "share"),
    [
        ("Praha", "cs", 1.0),
        ("Прага", "cs", 0.0),
        ("Прага", "ru", 1.0),
        ("Прага ABCDE", "ru", 0.5),
        ("1999 — 2004?", "te", 1.0),
        ("", "te", 1.0),
        ("東京タワー", "ja", 1.0),
        ("北京", "zh", 1.0),
        ("ﺍﻟﻘﺎﻫﺮﺓ", "ar", 1.0),
        ("సికింద్రాబాద్", "te", 1.0),
    ],
)
def test_script_share(text, code, share):
    assert script_share(text, language(code)) == share


def test_placeholders_are_filled_everywhere():
    source = ExampleSource.model_validate(
        {
            "format": "table",
            "paths": ["{english}/{flores}.zip"],
            "member": "{language}.tsv",
            "columns": {"text": "text_{language}", "label": 0},
        }
    )
    filled = fill_placeholders(source, "sk")
    assert (filled.paths, filled.member) == (["slovak/slk_Latn.zip"], "sk.tsv")
    assert filled.columns == {"text": "text_sk", "label": 0}
