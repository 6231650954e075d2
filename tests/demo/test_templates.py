"""Sheets are complete and well formed, and rendering knows where each name stands."""

import pytest

from lingport.demo.facts import RELATIONS, name
from lingport.demo.templates import LANGUAGES, Passage, join, parts, plain_slot, render, sheet
from lingport.errors import UnknownNameError

SLOTS = {*RELATIONS.values(), "territory"}


def templates_of(entry):
    if isinstance(entry, str):
        return [entry]
    children = entry.values() if isinstance(entry, dict) else entry
    return [template for child in children for template in templates_of(child)]


def plain(template, language):
    return {plain_slot(slot, language) for _, slot in parts(template) if slot}


@pytest.mark.parametrize("language", LANGUAGES)
def test_sheet_has_what_every_language_needs(language):
    found = sheet(language)
    for relation, slot in RELATIONS.items():
        statements = found["statements"][relation]
        assert len(set(statements)) == len(statements) >= 4
        asked = found["questions"][relation], found["reverse_questions"][relation]
        assert all(plain(template, language) == {"territory", slot} for template in statements)
        assert all(plain(template, language) == {"territory"} for template in asked[0])
        assert all(plain(template, language) == {slot} for template in asked[1])
    assert len(found["chatter"]) >= 14
    for relation, pairs in found["pairs"].items():
        slot = RELATIONS[relation]
        wanted = {"territory", "territory2", slot, f"{slot}2"}
        assert all(plain(template, language) == wanted for template in pairs)
    for template in found["profiles"] + found["chatter"]:
        assert plain(template, language) <= SLOTS


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_not_glued_to_letters(language):
    if sheet(language).get("split") == "characters":
        pytest.skip("written without spaces")
    groups = ("statements", "questions", "reverse_questions", "pairs", "profiles", "lists", "chatter")
    for template in templates_of([sheet(language)[group] for group in groups]):
        pieces = parts(template)
        for (text, slot), (after, _) in zip(pieces, [*pieces[1:], ("", "")], strict=True):
            if slot:
                assert not text or text[-1] in " («", template
                assert not after or after[0] in " .,:;!?)»\u061b\u060c\u061f\u06d4", template


def test_render_marks_names_and_their_forms():
    template = "{in_territory} zahlt man mit {currency}."
    passage = render(template, {"territory": "NL", "currency": "EUR"}, language="de", name=name)
    assert passage.text == "In den Niederlanden zahlt man mit Euro."
    assert passage.surface("territory") == ("Niederlanden", 7)
    assert passage.surface("currency") == ("Euro", 34)


def test_render_writes_a_list_and_a_capital():
    codes = {"currency": "EUR", "territories": ["DE", "FR"]}
    passage = render("{currency}: {territories}.", codes, language="en", name=name)
    assert passage.text == "Euro: Germany, France."
    assert [passage.text[mark.start : mark.end] for mark in passage.marks] == ["Euro", "Germany", "France"]


def test_join_moves_the_marks():
    one = render("{territory}.", {"territory": "DE"}, language="en", name=name)
    two = render("{territory}!", {"territory": "FR"}, language="en", name=name)
    joined = join([one, two], language="en")
    assert [joined.text[mark.start : mark.end] for mark in joined.marks] == ["Germany", "France"]
    assert join([one, two], language="zh").text == "Germany.France!"
    with pytest.raises(KeyError):
        Passage("x").surface("territory")


def test_unknown_language_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no language 'skk'"):
        sheet("skk")
