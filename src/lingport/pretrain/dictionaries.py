"""Bilingual dictionaries of the FreeDict project: which words of two languages mean the same.

Files as dictionary servers read them: `freedict-deu-eng.index` (headword, place and length in base 64) beside
`freedict-deu-eng.dict.dz` (gzip). Only single words are taken; what uses them is `word_vectors.py`'s business.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from lingport.data.languages import Language, language, script_share
from lingport.errors import DataError, UnknownNameError

PIVOTS = ("en", "de", "el")  # a word of the first that a dictionary has stands for the thing
_NAME = re.compile(r"freedict-([a-z]{3})-([a-z]{3})\.index")
_DIGITS = {
    letter: value for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_BY_THE_WAY = re.compile(r"[:\"]")  # lines, as "Note: ..." and "Synonym: ...", that say more than translations
_MARKS = re.compile(r"^\s*\d+\.|<[^>]*>|\([^)]*\)|\{[^}]*\}|\[\[|\]\]|\[[^\]]*\]|/[^/]*/")
_HINT = (
    "give a folder with freedict-XXX-YYY.index and .dict.dz files (Debian: usr/share/dictd of dict-freedict-XXX-YYY)"
)


def translations(folder: Path, languages: Sequence[str]) -> list[dict[str, list[str]]]:
    """Returns things, each a word of one language with its translations: language -> words.

    Args:
        folder: With dictionaries; those of other languages are not read.
        languages: Codes.

    Raises:
        DataError: The folder has no dictionary between two of the languages, or a file is malformed.
    """
    found: dict[tuple[str, str], dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    num_read = 0
    for index in sorted(folder.glob("freedict-*.index")):
        sides = _sides(index)
        if sides is None or not {side.code for side in sides} <= set(languages):
            continue
        num_read += 1
        pivot = min(sides, key=lambda side: (*PIVOTS, side.code).index(side.code)).code
        for pair in _entries(index, *sides):
            for word in pair[pivot]:
                for code, words in pair.items():
                    if code != pivot:
                        found[pivot, word.lower()][code].update(dict.fromkeys(words))
    if not num_read:
        raise DataError("there is no dictionary between two of the languages", where=str(folder), hint=_HINT)
    return [{pivot: [word]} | {code: list(words) for code, words in of.items()} for (pivot, word), of in found.items()]


def _sides(index: Path) -> tuple[Language, Language] | None:
    """The languages of a dictionary, from its name."""
    named = _NAME.fullmatch(index.name)
    try:
        return (language(named[1]), language(named[2])) if named else None
    except UnknownNameError:
        return None


def _entries(index: Path, first: Language, second: Language) -> Iterator[dict[str, list[str]]]:
    """Every headword with its translations, where there are any of one word each."""
    try:
        with gzip.open(index.with_suffix(".dict.dz")) as file:
            body = file.read()
        for line in index.read_text("utf-8").splitlines():
            head, start, length = line.split("\t")[:3]
            if head.startswith("00"):  # what the dictionary says of itself
                continue
            lines = body[_number(start) : _number(start) + _number(length)].decode("utf-8").split("\n")
            words = [word for line in lines[1:] if not _BY_THE_WAY.search(line) for word in re.split("[,;]", line)]
            pair = {first.code: _words([lines[0]], first), second.code: _words(words, second)}
            if all(pair.values()):
                yield pair
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"no dictionary of FreeDict: {error!r}", where=str(index), hint=_HINT) from error


def _number(text: str) -> int:
    value = 0
    for letter in text:
        value = value * len(_DIGITS) + _DIGITS[letter]
    return value


def _words(texts: Sequence[str], of: Language) -> list[str]:
    """The single words among texts, in the language's letters, without marks of stress."""
    found: dict[str, None] = {}
    for text in texts:
        word = _MARKS.sub("", text).strip()
        word = word.removeprefix("to ") if of.code == "en" else word
        if "Cyrillic" in of.scripts:
            word = unicodedata.normalize("NFC", unicodedata.normalize("NFD", word).replace("\u0301", ""))
        if word and " " not in word and script_share(word, of) == 1.0:
            found[word] = None
    return list(found)
