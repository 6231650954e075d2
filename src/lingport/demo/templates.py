"""The wording of the demo corpus: one sheet of templates per language, and how a template becomes a sentence.

A sheet is `sentences/<language>.yaml`, written to be read by a translator. Not here: what is true (facts.py)
and which sentences are put together (corpus.py, examples.py).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from lingport.errors import UnknownNameError, nearest

LANGUAGES = ("ar", "bg", "cs", "de", "el", "en", "es", "ml", "ro", "ru", "sk", "sl", "sw", "te", "ur", "zh")


@dataclass(frozen=True)
class Mark:
    """Where a name stands in a passage.

    Attributes:
        slot: The slot it fills without its form: `territory`, `currency2`, ...
        start: Offset of its first character.
        end: Offset after its last character.
    """

    slot: str
    start: int
    end: int


@dataclass(frozen=True)
class Passage:
    """A rendered text with the places of its names, in order of appearance."""

    text: str
    marks: tuple[Mark, ...] = ()

    def surface(self, slot: str) -> tuple[str, int]:
        """Returns how the name in a slot is written in this text, and its offset.

        Raises:
            KeyError: No name of this slot was put in.
        """
        for mark in self.marks:
            if mark.slot == slot:
                return self.text[mark.start : mark.end], mark.start
        raise KeyError(slot)


@cache
def sheet(language: str) -> dict[str, Any]:
    """Returns the sheet of one language (shared: do not change it).

    Raises:
        UnknownNameError: There is no sheet for this language.
    """
    if language not in LANGUAGES:
        raise UnknownNameError(f"the demo corpus has no language {language!r}", hint=nearest(language, LANGUAGES))
    path = files("lingport.demo") / "sentences" / f"{language}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def parts(template: str) -> tuple[tuple[str, str], ...]:
    """Returns the template as (text, slot after it), the slot empty where the text ends the template."""
    return tuple((text, slot or "") for text, slot, _, _ in string.Formatter().parse(template))


@cache
def plain_slot(slot: str, language: str) -> str:
    """Returns the slot without its form: `in_territory2` gives `territory2`."""
    base, number = (slot[:-1], "2") if slot.endswith("2") else (slot, "")
    form = sheet(language).get("forms", {}).get(base)
    return (form["of"] if form else base) + number


def render(
    template: str,
    codes: Mapping[str, str | Sequence[str]],
    *,
    language: str,
    name: Callable[[str, str], str],
) -> Passage:
    """Returns the template with its names in, the first letter made a capital.

    Args:
        template: Text with slots in braces.
        codes: The code for each plain slot; a sequence of codes becomes a list of names.
        language: Whose forms and separators are used.
        name: `name(code, language)`, the written name of a code.
    """
    text, marks = "", []
    for literal, field in parts(template):
        text += literal
        if not field:
            continue
        slot = plain_slot(field, language)
        given = codes[slot]
        entries = (given,) if isinstance(given, str) else tuple(given)
        for index, code in enumerate(entries):
            if index:
                text += sheet(language)["list_separator"]
            before, written, after = _in_form(field, code, language, name)
            text += before
            marks.append(Mark(slot, len(text), len(text) + len(written)))
            text += written + after
    return Passage(_capitalised(text), tuple(marks))


def join(passages: Iterable[Passage], *, language: str) -> Passage:
    """Returns one passage that holds the given ones in order."""
    separator = sheet(language).get("sentence_separator", " ")
    text, marks = "", []
    for passage in passages:
        text += separator if text else ""
        marks += [Mark(mark.slot, mark.start + len(text), mark.end + len(text)) for mark in passage.marks]
        text += passage.text
    return Passage(text, tuple(marks))


def _in_form(field: str, code: str, language: str, name: Callable[[str, str], str]) -> tuple[str, str, str]:
    form = sheet(language).get("forms", {}).get(field.removesuffix("2"))
    if form is None:
        return "", name(code, language), ""
    pattern = form.get(code, form.get("otherwise", "[{name}]"))
    before, _, rest = pattern.replace("{name}", name(code, language)).partition("[")
    written, _, after = rest.partition("]")
    return before, written, after


def _capitalised(text: str) -> str:
    first = text[:1].upper()
    return first + text[1:] if len(first) == 1 else text  # offsets must not move
