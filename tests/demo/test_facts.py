"""Facts are true where we can tell, split by territory, and named in every language."""

import pytest

from lingport.demo.facts import (
    RELATIONS,
    SPLITS,
    Fact,
    facts,
    held_out_names,
    lexicon,
    name,
    split_of,
    territories,
)
from lingport.demo.templates import LANGUAGES
from lingport.errors import InputError, UnknownNameError


def everything():
    return [fact for split in SPLITS for fact in facts(split)]


def test_well_known_facts_are_there():
    known = set(everything())
    assert Fact("SK", "currency", "EUR") in known
    assert Fact("SK", "language", "sk") in known
    assert Fact("SK", "continent", "150") in known
    assert Fact("SK", "zone", "Europe/Bratislava") in known
    assert Fact("JP", "currency", "JPY") in known
    assert not [fact for fact in known if fact.territory == "CH" and fact.relation == "language"]


def test_one_value_for_a_territory_and_relation():
    keys = [(fact.territory, fact.relation) for fact in everything()]
    assert len(keys) == len(set(keys))


def test_splits_share_no_territory():
    parts = [set(territories(split)) for split in SPLITS]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert all(split_of(code) == split for split in SPLITS for code in territories(split))


def test_splits_are_large_enough():
    for split, least in (("train", 100), ("validation", 15), ("test", 25)):
        assert len(territories(split)) >= least
        assert {fact.relation for fact in facts(split)} == set(RELATIONS)


def test_countries_that_share_a_name_share_a_split():
    assert split_of("GN") == split_of("GQ") == split_of("GW")
    assert split_of("SD") == split_of("SS")


@pytest.mark.parametrize(
    ("code", "language", "written"),
    [
        ("SK", "sk", "Slovensko"),
        ("EUR", "bg", "евро"),
        ("sk", "cs", "slovenština"),
        ("150", "de", "Europa"),
        ("Asia/Kolkata", "el", "Καλκούτα"),
        ("Europe/Bratislava", "sk", "Bratislava"),
        ("month:01", "sl", "januar"),
        ("day:0", "ur", "پیر"),
        ("code:SK", "ru", "SK"),
        ("MM", "en", "Myanmar"),
        ("BA", "en", "Bosnia and Herzegovina"),
    ],
)
def test_name(code, language, written):
    assert name(code, language) == written


def test_unknown_code_and_split_are_refused():
    with pytest.raises(UnknownNameError):
        name("QQ", "en")
    with pytest.raises(InputError, match="unknown split"):
        facts("dev")


@pytest.mark.parametrize("language", LANGUAGES)
def test_values_of_a_relation_have_different_names(language):
    for relation in RELATIONS:
        values = {fact.value for fact in everything() if fact.relation == relation}
        assert len({name(value, language).casefold() for value in values}) == len(values)


def test_lexicon_names_each_thing_in_all_languages_once():
    entries = [tuple(sorted(entry.items())) for split in SPLITS for entry in lexicon(split)]
    assert len(entries) == len(set(entries))
    assert all(len(entry) == len(LANGUAGES) and all(text for _, text in entry) for entry in entries)
    assert len(lexicon("train")) > 400


def test_lexicon_of_train_names_no_held_out_territory():
    for language in LANGUAGES:
        pattern = held_out_names(language, "train")
        assert not [entry for entry in lexicon("train") if pattern.search(entry[language])]
