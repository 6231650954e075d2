"""Tables with named columns and XNLI files, right and wrong."""

from __future__ import annotations

import csv
import io
import json
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingport.config.data import ExampleSource
from lingport.data.readers import read_examples
from lingport.errors import DataError

CLAIM = {"text": "Text", "label": "class"}


def fields(example, *names):
    return tuple(example[name] for name in names)


def test_csv_with_quotes_and_line_ends_inside(read, tmp_path):
    text = 'Id,Text,class\n7,"He said ""no"", twice\nand left",1\n8,plain,0\n'
    label_map = {"0": "other", "1": "claim"}
    examples = read("a.csv", text, format="table", columns={**CLAIM, "id": "Id"}, label_map=label_map)
    assert fields(examples[0], "id", "text", "label") == ("7", 'He said "no", twice\nand left', "claim")
    assert fields(examples[1], "id", "label", "where") == ("8", "other", f"{tmp_path}/a.csv:4")


def test_tab_separated_values_are_not_quoted_unless_told(read, caplog):
    text = 'Text\tclass\n"a ""b"" c"\tx\n"half\tx\n'
    with caplog.at_level(logging.WARNING):
        examples = read("a.tsv", text, format="table", columns=CLAIM)
    assert [example["text"] for example in examples] == ['"a ""b"" c"', '"half']
    assert "1 rows have fields in quotation marks" in caplog.text
    with pytest.raises(DataError, match="broken quoting") as error:
        read("a.tsv", text, format="table", columns=CLAIM, quoting=True)
    assert str(error.value.where).endswith("a.tsv:3")


def test_columns_by_number_need_no_header(read):
    examples = read("a.tsv", "x\tone\ny\ttwo\n", format="table", columns={"text": -1, "label": 0})
    assert [fields(example, "id", "text", "label") for example in examples] == [
        ("a-1", "one", "x"),
        ("a-2", "two", "y"),
    ]


def test_all_columns_under_their_own_names(read):
    example = read("a.csv", "text;label;source\none;x;\n", format="table", separator="semicolon")[0]
    assert fields(example, "text", "label", "source") == ("one", "x", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"Text": "one", "class": 1}\n\n{"Text": "two", "class": "0"}\n'),
        ("a.json", '[{"Text": "one", "class": 1}, {"Text": "two", "class": 0}]'),
        ("a.json", '{"version": 2, "data": [{"Text": "one", "class": 1}, {"Text": "two", "class": 0}]}'),
        ("a.json", '{"Text": "one", "class": 1}\n{"Text": "two", "class": 0}\n'),
    ],
)
def test_json_tables(read, name, text):
    examples = read(name, text, format="table", columns=CLAIM)
    assert [fields(example, "text", "label") for example in examples] == [("one", "1"), ("two", "0")]


def test_questions_and_tokens_in_tables(read):
    columns = {"question": "q", "context": "c", "answers": "a"}
    example = read("a.csv", "q,c,a\nČo?,Žilina je mesto.,mesto\n", format="table", columns=columns)[0]
    assert fields(example, "question", "answers") == ("Čo?", ["mesto"])
    row = {"words": ["Jan", "Novák"], "tags": ["B-PER", "I-PER"]}
    columns = {"tokens": "words", "ner_tags": "tags"}
    example = read("a.jsonl", json.dumps(row), format="spans", columns=columns)[0]
    assert example["spans"] == [["PER", "Jan Novák"]]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("Text,class\none\n", ":2", "1 columns where 2 are expected"),
        ("Text,class\none,x\n,x\n", ":3", "`text` is empty"),
        ("Text,class\none,\n", ":2", "the label is empty"),
        ("Text,class\none,mabye\n", ":2", "unknown label 'mabye'; did you mean 'maybe'"),
        ("Txt,class\none,x\n", ":1", "no column 'Text'; did you mean 'Txt'"),
        ("Text,class\n", "", "no examples"),
        ("", "", "no examples"),
    ],
)
def test_broken_tables_are_named(read, text, place, message):
    with pytest.raises(DataError, match=message) as error:
        read("a.csv", text, format="table", columns=CLAIM, labels=["x", "maybe"])
    assert str(error.value.where).endswith(f"a.csv{place}")


def test_broken_json_tables_are_named(read):
    with pytest.raises(DataError, match="not valid JSON") as error:
        read("a.jsonl", '{"Text": "one", "class": 1}\n{"Text": "two",, "class": 1}\n', format="table")
    assert str(error.value.where).endswith("a.jsonl:2:16")
    with pytest.raises(DataError, match="no `Text` for `text`; allowed: class, txt") as error:
        read("a.json", '[{"txt": "one", "class": 1}]', format="table", columns=CLAIM)
    assert str(error.value.where).endswith("a.json: [0]")
    with pytest.raises(DataError, match="cannot tell which list"):
        read("a.json", '{"a": [], "b": []}', format="table")
    with pytest.raises(DataError, match="`text` is no text but"):
        read("a.json", '[{"text": ["one"], "label": 1}]', format="table", columns={"text": "text", "label": "label"})


def test_rows_may_be_left_out(read, caplog):
    text = "Text,class\none,x\n,x\nthree,-\n"
    with caplog.at_level(logging.INFO):
        examples = read("a.csv", text, format="table", columns=CLAIM, skip_empty=True, label_map={"x": "X", "-": None})
    assert [fields(example, "text", "label") for example in examples] == [("one", "X")]
    assert "1 because text is empty, 1 because label '-'" in caplog.text


# --- XNLI ------------------------------------------------------------------------------------------------

FIELDS = ("premise", "hypothesis", "label")
XNLI = [("A b.", 'He said "no".', "neutral"), ("C.", '"Yes."', "entailment")]


def pairs(examples):
    return [fields(example, *FIELDS) for example in examples]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dev.tsv", "\r\n".join("\t".join(row) for row in XNLI) + "\r\n"),
        (
            "dev.tsv",
            "\n".join("\t".join(row) for row in [("premise", "hypo", "label"), *XNLI]).replace("hypo", "hypothesis"),
        ),
        (
            "xnli.dev.tsv",
            "language\tgold_label\tsentence1\tsentence2\n"
            + "".join(f"{code}\t{label}\t{one}\t{two}\n" for code in ("de", "sk") for one, two, label in XNLI),
        ),
        (
            "dev.jsonl",
            "\n".join(json.dumps(dict(zip(("premise", "hypothesis", "label"), row, strict=True))) for row in XNLI),
        ),
        (
            "dev.jsonl",
            "\n".join(
                json.dumps({"sentence1": one, "sentence2": two, "gold_label": label, "language": "sk"})
                for one, two, label in XNLI
            ),
        ),
    ],
)
def test_xnli_layouts(read, name, text):
    assert pairs(read(name, text, format="xnli")) == XNLI


def test_xnli_spellings_of_labels(read):
    text = "a\tb\tcontradictory\na\tb\t2\na\tb\t0\n"
    labels = [example["label"] for example in read("a.tsv", text, format="xnli")]
    assert labels == ["contradiction", "contradiction", "entailment"]
    assert read("a.tsv", "a\tb\tentailment\n", format="xnli", label_map={"entailment": "Yes"})[0]["label"] == "Yes"
    with pytest.raises(DataError, match="unknown label 'netural'; did you mean 'neutral'"):
        read("a.tsv", "a\tb\tnetural\n", format="xnli")


def test_xnli_labels_in_a_file_of_their_own(read, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("neutral\nentailment\n", encoding="utf-8")
    text = "\n".join("\t".join(row[:2]) for row in XNLI)
    assert pairs(read("test.tsv", text, format="xnli", labels_path=str(labels))) == XNLI
    with pytest.raises(DataError, match="`labels_path` if the labels are in a file of their own"):
        read("test.tsv", text, format="xnli")
    labels.write_text("neutral\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 labels for the 2 rows"):
        read("test.tsv", text, format="xnli", labels_path=str(labels))


def test_xnli_rows_of_another_width_are_refused(read):
    with pytest.raises(DataError, match="4 columns where 3 are expected") as error:
        read("a.tsv", "a\tb\tneutral\na\tb\tc\tneutral\n", format="xnli")
    assert str(error.value.where).endswith("a.tsv:2")


# --- round trip ------------------------------------------------------------------------------------------

characters = st.characters(exclude_characters="\r", exclude_categories=["Cs"])
cells = st.text(characters, min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(cells, st.sampled_from("xyz")), min_size=1, max_size=5), st.sampled_from(",\t;"))
def test_written_rows_are_read_back(rows, separator):
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=separator, lineterminator="\n")
    writer.writerows([("text", "label"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(written.getvalue().encode())
        source = ExampleSource(format="table", paths=[str(path)], separator=separator, quoting=True)
        examples = read_examples(source, language="sk")
    assert [fields(example, "text", "label") for example in examples] == rows
