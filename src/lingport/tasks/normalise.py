"""Texts brought to a form in which they can be compared: answers, label words, entities.

Only comparison; nothing here changes what a model reads or learns.
"""

from __future__ import annotations

import functools
import json
import re
import string
import unicodedata
from importlib import resources

_ENGLISH_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_HAN = re.compile("([\u4e00-\u9fa5])")  # the range of MLQA's script
_HAN_SEGMENTED = ("zh",)


def normalise_squad(text: str) -> str:
    """Returns an answer in lower case without ASCII punctuation, English articles and extra white space.

    Source: the published evaluation of SQuAD (Rajpurkar et al., 2016); the paper uses it for every language.
    """
    text = text.lower().translate(_ASCII_PUNCTUATION)
    return " ".join(_ENGLISH_ARTICLES.sub(" ", text).split())


def normalise_mlqa(text: str, language: str) -> str:
    """Returns an answer in lower case without Unicode punctuation and the language's articles.

    Chinese is segmented into single ideographs. As in the published evaluation, the Arabic article goes
    wherever its letters stand, inside a word too. Differences: languages that MLQA has not are no error, and the
    articles of Greek and Romanian are ours. The other languages of the paper have none, or as endings (Bulgarian).

    Source: the published evaluation of MLQA (Lewis et al., 2020).
    """
    code = language.replace("_", "-").split("-")[0].lower()
    text = "".join(char for char in text.lower() if not _is_punctuation(char))
    if pattern := _articles(code):
        text = pattern.sub(" ", text)
    if code in _HAN_SEGMENTED:
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")


@functools.cache
def _articles(code: str) -> re.Pattern[str] | None:
    table = json.loads((resources.files("lingport.tasks") / "articles.json").read_text(encoding="utf-8"))
    if words := table["words"].get(code):
        return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b")
    if strings := table["strings"].get(code):
        return re.compile("|".join(map(re.escape, strings)))
    return None


def normalise_text(text: str) -> str:
    """Returns the text in Unicode's NFKC with single spaces.

    The tokenizers of the mT5 family fold their input in this way, so a model never sees, nor can give back,
    the characters that it folds (ligatures, full-width forms). Source: ours.
    """
    return " ".join(unicodedata.normalize("NFKC", text).split())


def normalise_label(text: str) -> str:
    """Returns a label word without case, and without white space and punctuation around it. Source: ours."""
    text = normalise_text(text).casefold()
    start, stop = 0, len(text)
    while start < stop and _is_edge(text[start]):
        start += 1
    while stop > start and _is_edge(text[stop - 1]):
        stop -= 1
    return text[start:stop]


def _is_edge(char: str) -> bool:
    return char.isspace() or _is_punctuation(char)
