"""Tagged sentences in columns: every layout in use, and what is said about broken lines."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingport.config.data import ExampleSource
from lingport.data.readers import read_examples
from lingport.errors import DataError

TOKENS = [["Jan", "Novák", "žije"], ["V", "Brne"]]
SPANS = [[["PER", "Jan Novák"]], [["LOC", "Brne"]]]
LAYOUTS = {
    "tab": "Jan\tB-PER\nNovák\tI-PER\nžije\tO\n\nV\tO\nBrne\tB-LOC\n",
    "space, CRLF, no end of line": "Jan B-PER\r\nNovák I-PER\r\nžije O\r\n\r\n\r\nV O\r\nBrne B-LOC",
    "counter": "0\tJan\tB-PER\n1\tNovák\tI-PER\n2\tžije\tO\n\n0\tV\tO\n1\tBrne\tB-LOC\n",
    "UNER": "# newdoc id = d\n# sent_id = s-1\n# text = O Jan\n1\tJan\tB-PER\t-\tanna\n2\tNovák\tI-PER\t-\tanna\n"
    "3-4\tžije\t_\t-\t-\n3\tžije\tO\t-\t-\n\n# sent_id = s-2\n1\tV\tO\t-\t-\n2\tBrne\tB-LOC\t-\tanna\n",
    "CoNLL-2003": "-DOCSTART- -X- O O\n\nJan NNP B-NP B-PER\nNovák NNP I-NP I-PER\nžije VB B-VP O\n\n"
    "V IN B-PP O\nBrne NNP B-NP B-LOC\n",
    "prefix": "sk:Jan\tB-PER\nsk:Novák\tI-PER\nsk:žije\tO\n\nsk:V\tO\nsk:Brne\tB-LOC\n",
}


def plain(examples):
    return [example["tokens"] for example in examples], [example["spans"] for example in examples]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_told_apart(read, layout):
    assert plain(read("a.txt", LAYOUTS[layout], format="columns")) == (TOKENS, SPANS)


def test_ids_and_places(read, tmp_path):
    examples = read("a.iob2", LAYOUTS["UNER"], format="columns")
    assert [example["id"] for example in examples] == ["s-1", "s-2"]
    assert [example["where"] for example in examples] == [f"{tmp_path}/a.iob2:4", f"{tmp_path}/a.iob2:10"]
    assert read("b.txt", LAYOUTS["tab"], format="columns")[1]["id"] == "b-2"


def test_rows_grouped_by_named_columns_of_a_csv_file(read):
    text = 'doc,sent,text,lemma,ner\nd,0,Jan,"a,b",B-PER\nd,0,",",",",O\nd,1,Brne,x,B-LOC\ne,1,Brne,x,O\n'
    columns = {"token_column": "text", "tag_column": "ner", "group_by": ["doc", "sent"]}
    examples = read("a.csv", text, format="columns", **columns)
    assert plain(examples) == ([["Jan", ","], ["Brne"], ["Brne"]], [[["PER", "Jan"]], [["LOC", "Brne"]], []])
    assert [example["id"] for example in examples] == ["d-0", "d-1", "e-1"]


def test_types_are_renamed_and_dropped(read):
    text = "Jan\tB-PERSON\nwon\tO\nOscar\tB-MISC\n"
    tag_map = {"PERSON": "PER", "MISC": None}
    assert read("a.tsv", text, format="columns", tag_map=tag_map)[0]["spans"] == [["PER", "Jan"]]
    with pytest.raises(DataError, match="'PERSON' is not allowed; did you mean 'PERSONA'") as error:
        read("a.tsv", text, format="columns", tags=["PERSONA"], tag_map={"MISC": None})
    assert str(error.value.where).endswith("a.tsv:1:5")


def test_a_token_that_is_a_comment_sign_is_kept(read):
    text = "# a comment\n# O\n1 O\nJan B-PER\n"
    assert read("a.txt", text, format="columns")[0]["tokens"] == ["#", "1", "Jan"]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("Jan\tB-PER\nNovák\n", ":2:1", "1 columns where 2 are expected"),
        ("Jan\tO\nNovák\tI-PER\n", ":2:7", "was not begun"),
        ("Jan\tO\nNovák\tO\nV\tB_LOC\n", ":3:3", "'B_LOC' is no tag"),
        ("Jan\tO\n\tO\n", ":2:1", "the token is empty"),
        ("Jan\tO\n" * 60 + "\nsk:Jan\tX\n", ":62:8", "'X' is no tag"),
        ("sk:Jan\tO\n" * 60 + "Jan\tO\n", ":61:1", "has not the prefix 'sk:'"),
    ],
)
def test_broken_lines_are_named(read, text, place, message):
    with pytest.raises(DataError, match=message) as error:
        read("a.txt", text, format="columns")
    assert str(error.value.where).endswith(f"a.txt{place}")
    assert error.value.hint


def test_several_problems_are_told_at_once(read):
    with pytest.raises(DataError) as error:
        read("a.txt", "Jan\tO\n\n" + "Jan\tI-PER\n\n" * 8, format="columns")
    assert "8 problems" in error.value.message
    assert error.value.message.count("was not begun") == 5
    assert "and 3 more" in error.value.message


def test_settings_that_accept_what_is_refused(read):
    assert read("a.txt", "Jan\tO\nNovák\tI-PER\n", format="columns", repair=True)[0]["spans"] == [["PER", "Novák"]]
    assert read("a.txt", "Jan\tO\n\tO\n", format="columns", skip_empty=True)[0]["tokens"] == ["Jan"]
    assert read("a.txt", "Jan\tO\nX\tI-PER\n", format="columns", scheme="iob1")[0]["spans"] == [["PER", "X"]]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_a_file_without_sentences_is_refused(read, text):
    with pytest.raises(DataError, match="holds no examples"):
        read("a.txt", text, format="columns")


def test_a_file_without_a_tag_column_is_refused(read):
    with pytest.raises(DataError, match="no column holds tags"):
        read("a.txt", "one two\nthree four\n", format="columns")


def test_a_column_that_is_not_there_is_refused(read):
    with pytest.raises(DataError, match="there is no column 5: the row has 2"):
        read("a.txt", LAYOUTS["tab"], format="columns", tag_column=5)
    with pytest.raises(DataError, match="no column 'tagg'; did you mean 'tag'"):
        read("a.tsv", "token\ttag\nJan\tO\n", format="columns", token_column="token", tag_column="tagg")


# any token but those that hold a line's end or the separator, or are blank
tokens = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda token: token.strip() and not token.startswith(("# ", "-DOCSTART-", "sk:", "\ufeff"))
)
sentences = st.lists(
    st.lists(st.tuples(tokens, st.sampled_from(["O", "B-PER", "B-LOC"])), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(sentences)
def test_written_sentences_are_read_back(written):
    text = "\n\n".join("\n".join(f"{token}\t{tag}" for token, tag in sentence) for sentence in written)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_bytes(text.encode())
        read_back = read_examples(ExampleSource(format="columns", paths=[str(path)]), language="sk")
    assert [example["tokens"] for example in read_back] == [[token for token, _ in row] for row in written]
    assert [example["spans"] for example in read_back] == [
        [[tag[2:], token] for token, tag in row if tag != "O"] for row in written
    ]
