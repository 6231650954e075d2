"""Things whose names are known in many languages: the one signal across languages that pretraining has.

The demo corpus' training names (territories, languages, currencies, cities, months), and, where a recipe says where
they are, the keywords of Unicode's annotations of symbols ("hospital": building, doctor, medicine) and the words of
bilingual dictionaries (`dictionaries.py`). No test fact of the demo is among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lingport.demo.facts import held_out_names, lexicon
from lingport.demo.templates import LANGUAGES
from lingport.errors import DataError
from lingport.pretrain.dictionaries import translations

Thing = Mapping[str, Sequence[str]]  # language -> words for it

_HINT = (
    "give the folder `annotations` of CLDR's annotations as JSON, one folder a language (npm: cldr-annotations-full)"
)


def known_things(
    languages: Iterable[str], *, annotations: str | None = None, dictionaries: str | None = None
) -> list[Thing]:
    """Returns things with their words in the languages that know them.

    Args:
        languages: Codes; a language that has no annotations and no dictionary has its names only.
        annotations: Folder with LANGUAGE/annotations.json of CLDR; None: none.
        dictionaries: Folder with FreeDict's dictionaries; None: none.

    Raises:
        DataError: A folder or a file in it is not what it should be.
    """
    languages = list(languages)
    found: list[Thing] = [
        {language: [word] for language, word in entry.items() if language in languages} for entry in lexicon("train")
    ]
    if annotations:
        found += _allowed(symbols(Path(annotations), languages))
    if dictionaries:
        found += _allowed(translations(Path(dictionaries), languages))
    return found


def symbols(folder: Path, languages: Sequence[str]) -> list[Thing]:
    """Returns what CLDR's annotations say of every symbol, the short name first, in the languages that are there.

    Raises:
        DataError: The folder has none of the languages, or a file is malformed.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for language in languages:
        path = folder / language / "annotations.json"
        if not path.exists():
            continue
        try:
            entries = json.loads(path.read_text("utf-8"))["annotations"]["annotations"]
            for symbol, entry in entries.items():
                words = dict.fromkeys([*entry["tts"], *entry.get("default", ())])
                found.setdefault(symbol, {})[language] = list(words)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"no CLDR annotations: {error!r}", where=str(path), hint=_HINT) from error
    if not found:
        raise DataError("there are no annotations in any of the languages", where=str(folder), hint=_HINT)
    return list(found.values())


def _allowed(things: Iterable[Thing]) -> Iterator[Thing]:
    """Things without the words that name a territory of the demo's test."""
    for thing in things:
        words = {code: [word for word in of if not _is_held_out(word, code)] for code, of in thing.items()}
        yield {code: of for code, of in words.items() if of}


def _is_held_out(word: str, language: str) -> bool:
    return language in LANGUAGES and bool(held_out_names(language, "train").search(word))
