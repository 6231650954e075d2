"""Things whose names are known in many languages: the one signal across languages that pretraining has.

The demo corpus' training names (territories, languages, currencies, cities, months), and, where a recipe says where
they are, the keywords of Unicode's annotations of symbols ("hospital": building, doctor, medicine). No test fact of
the demo is among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lingport.demo.facts import held_out_names, lexicon
from lingport.demo.templates import LANGUAGES
from lingport.errors import DataError

Thing = Mapping[str, Sequence[str]]  # language -> words for it

_HINT = (
    "give the folder `annotations` of CLDR's annotations as JSON, one folder a language (npm: cldr-annotations-full)"
)


def known_things(languages: Iterable[str], annotations: str | None = None) -> list[Thing]:
    """Returns things with their words in the languages that know them.

    Args:
        languages: Codes; a language that has no annotations has its names only.
        annotations: Folder with LANGUAGE/annotations.json of CLDR; None: names only.

    Raises:
        DataError: The folder or a file in it is not what it should be.
    """
    languages = list(languages)
    names = [
        {language: [word] for language, word in entry.items() if language in languages} for entry in lexicon("train")
    ]
    return names + (symbols(Path(annotations), languages) if annotations else [])


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
                found.setdefault(symbol, {})[language] = [word for word in words if not _is_held_out(word, language)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"no CLDR annotations: {error!r}", where=str(path), hint=_HINT) from error
    if not found:
        raise DataError("there are no annotations in any of the languages", where=str(folder), hint=_HINT)
    return [{language: words for language, words in of.items() if words} for of in found.values()]


def _is_held_out(word: str, language: str) -> bool:
    return language in LANGUAGES and bool(held_out_names(language, "train").search(word))
