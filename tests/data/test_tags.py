"""Tag schemes, on sequences small enough to check by eye."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingport.data.tags import TagError, entities, map_type

SCHEMES = {
    "iob2": "O B-PER I-PER B-PER O B-LOC",
    "iob1": "O I-PER I-PER B-PER O I-LOC",
    "bioes": "O B-PER E-PER S-PER O S-LOC",
}
EXPECTED = [("PER", 1, 3), ("PER", 3, 4), ("LOC", 5, 6)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_entities_in_every_scheme(scheme):
    assert entities(SCHEMES[scheme].split(), scheme=scheme) == EXPECTED


def test_bilou_is_read_as_bioes():
    assert entities(["O", "B-PER", "L-PER", "U-PER", "O", "U-LOC"], scheme="bioes") == EXPECTED


@pytest.mark.parametrize(
    ("tags", "scheme", "index", "message"),
    [
        ("O I-PER", "iob2", 1, "was not begun"),
        ("B-PER I-LOC", "iob2", 1, "was not begun"),
        ("S-PER", "iob2", 0, "not of scheme iob2"),
        ("O B_PER", "iob2", 1, "is no tag"),
        ("o", "iob2", 0, "is no tag"),
        ("B-", "iob2", 0, "is no tag"),
        ("I-PER E-PER", "bioes", 0, "out of order"),
        ("B-PER O", "bioes", 1, "out of order"),
        ("O B-PER", "bioes", 1, "ends inside"),
    ],
)
def test_tags_out_of_order_or_shape_are_refused(tags, scheme, index, message):
    with pytest.raises(TagError, match=message) as error:
        entities(tags.split(), scheme=scheme)
    assert error.value.index == index


def test_repair_takes_a_stray_tag_as_a_start():
    assert entities(["O", "I-PER", "I-PER", "I-LOC"], repair=True) == [("PER", 1, 3), ("LOC", 3, 4)]
    assert entities(["E-PER", "B-LOC"], scheme="bioes", repair=True) == [("PER", 0, 1), ("LOC", 1, 2)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(["PER", "LOC"]))))
def test_written_entities_are_read_back(layout):
    tags, expected = [], []
    for gap, length, kind in layout:
        tags += ["O"] * gap
        expected.append((kind, len(tags), len(tags) + length))
        tags += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
    assert entities(tags) == expected


def test_types_are_renamed_dropped_and_checked():
    mapping = {"PERSON": "PER", "MISC": None}
    assert map_type("PERSON", mapping, []) == "PER"
    assert map_type("MISC", mapping, ["PER"]) is None
    assert map_type("LOC", mapping, []) == "LOC"
    assert map_type("LOC", {**mapping, "*": None}, []) is None
    with pytest.raises(ValueError, match="did you mean 'PER'"):
        map_type("PERS", mapping, ["PER", "LOC"])
