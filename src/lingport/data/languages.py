"""Languages by code: their names, the scripts that their texts use, and FLORES codes.

Names and default scripts come from CLDR through `langcodes`. Not here: how a task words an instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import langcodes
import regex
from langcodes.tag_parser import LanguageTagError

from lingport.config.data import ExampleSource, TextSource
from lingport.config.paths import PLACEHOLDER
from lingport.errors import UnknownNameError, nearest

STUDIED = ("ar", "bg", "cs", "de", "el", "en", "es", "ml", "ro", "ru", "sk", "sl", "sw", "te", "ur", "zh")

# ISO 15924 codes that stand for several Unicode scripts, or are no Unicode script
SCRIPTS_OF_CODE = {
    "Hans": {"Han"},
    "Hant": {"Han"},
    "Jpan": {"Han", "Hiragana", "Katakana"},
    "Kore": {"Hangul", "Han"},
}
# written without spaces between words; Korean, which has Han beside its own script, is not
UNSPACED_SCRIPTS = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"}
SCRIPTS_OF_LANGUAGE = {"sr": {"Cyrillic", "Latin"}}  # written in both, side by side
# FLORES names the individual language where ISO 639-1 names the macrolanguage
FLORES_LANGUAGE = {
    "ar": "arb",
    "ay": "ayr",
    "az": "azj",
    "fa": "pes",
    "ku": "kmr",
    "lv": "lvs",
    "mg": "plt",
    "mn": "khk",
    "ms": "zsm",
    "ne": "npi",
    "no": "nob",
    "om": "gaz",
    "or": "ory",
    "ps": "pbt",
    "qu": "quy",
    "sq": "als",
    "sw": "swh",
    "uz": "uzn",
    "yi": "ydd",
}

FILLED_SETTINGS = ("paths", "member", "name", "config", "labels_path", "columns")
S = TypeVar("S", TextSource, ExampleSource)


@dataclass(frozen=True)
class Language:
    """A language.

    Attributes:
        code: Its shortest BCP-47 code (`sk`, `zh`, `zh-Hant`, `pt-BR`).
        name: Its English name.
        autonym: Its name in itself.
        scripts: Unicode names of the scripts that its texts use.
        flores: Its FLORES-200 code (`slk_Latn`).
    """

    code: str
    name: str
    autonym: str
    scripts: frozenset[str]
    flores: str

    @property
    def joiner(self) -> str:
        """What stands between two words: nothing in a language written without spaces, else a space."""
        return "" if self.scripts <= UNSPACED_SCRIPTS else " "


@lru_cache(maxsize=1024)
def language(code: str) -> Language:
    """Returns the language of a code: BCP-47 (`sk`), ISO 639-3 (`slk`) or FLORES (`slk_Latn`).

    Raises:
        UnknownNameError: There is no such language; the hint names the nearest code.
    """
    tag = _tag(code)
    if tag is None:
        raise UnknownNameError(f"unknown language {code!r}", hint=_suggestion(code))
    full = tag.maximize()
    script = full.script or "Latn"
    if langcodes.Language.get(tag.language or "").maximize().script == script:
        tag = tag.update_dict({"script": None})
    individual = FLORES_LANGUAGE.get(tag.language or "") or langcodes.Language.get(tag.language or "").to_alpha3()
    return Language(
        code=tag.to_tag(),
        name=tag.display_name(),
        autonym=tag.autonym(),
        scripts=frozenset(_scripts(tag.to_tag(), script)),
        flores=f"{individual}_{script}",
    )


def _tag(code: str) -> langcodes.Language | None:
    try:
        tag = langcodes.Language.get(langcodes.standardize_tag(code, macro=True))
    except (LanguageTagError, LookupError):
        return None
    return tag if tag.is_valid() and tag.language is not None else None


def _suggestion(code: str) -> str:
    try:
        found = langcodes.find(code).to_tag()
    except LookupError:
        return f"{nearest(code, STUDIED)}; any BCP-47, ISO 639-3 or FLORES code is fine"
    return f"give a code: {code!r} is {found!r}"


def _scripts(code: str, script: str) -> set[str]:
    if code in SCRIPTS_OF_LANGUAGE:
        return SCRIPTS_OF_LANGUAGE[code]
    if script in SCRIPTS_OF_CODE:
        return SCRIPTS_OF_CODE[script]
    name = langcodes.Language.make(script=script).script_name("en").replace(" ", "_")
    try:
        regex.compile(rf"\p{{Script={name}}}")
    except regex.error:  # CLDR's English name is not always Unicode's; the code always is
        return {script}
    return {name}


@lru_cache(maxsize=64)
def _letter_patterns(scripts: frozenset[str]) -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    expected = "".join(rf"\p{{Script={name}}}" for name in sorted(scripts))
    # letters of no script of their own (the Japanese long-vowel mark, the Arabic tatweel) say nothing
    return (
        regex.compile(r"[\p{L}--[\p{Script=Common}\p{Script=Inherited}]]", regex.V1),
        regex.compile(rf"[\p{{L}}&&[{expected}]]", regex.V1),
    )


def script_share(text: str, language: Language) -> float:
    """Returns the share (0 to 1) of the letters of a text that are in a script of the language.

    A text without letters (a number, a date) has nothing wrong: 1.0. Source: ours.
    """
    any_letter, expected = _letter_patterns(language.scripts)
    num_letters = len(any_letter.findall(text))
    return len(expected.findall(text)) / num_letters if num_letters else 1.0


def fill_placeholders(source: S, code: str | None) -> S:
    """Returns a source with `{language}`, `{flores}` and `{english}` replaced in its texts.

    `{language}` is the code as given; `{english}` the English name in lower case.

    Raises:
        UnknownNameError: A placeholder needs a language that is not known.
    """
    texts = {name: getattr(source, name) for name in FILLED_SETTINGS if hasattr(source, name)}
    if not PLACEHOLDER.search(repr(texts)):
        return source
    if code is None:
        raise UnknownNameError("the source has a placeholder such as {language}, but no language is said")
    found = language(code)
    values = {"language": code, "flores": found.flores, "english": found.name.lower()}

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return PLACEHOLDER.sub(lambda match: values[match[1]], value)
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return value

    return source.model_copy(update={name: fill(value) for name, value in texts.items()})
