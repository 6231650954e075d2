"""Real published files, one of each layout: the readers' counts against the counts of the data's README.

Tags are counted as in that README: an entity is a B- tag; files with stray I- tags are left to their sums.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lingport.config.data import ExampleSource, TextSource
from lingport.data.readers import read_examples
from lingport.data.text import read_text
from lingport.errors import DataError

DATA = Path(__file__).resolve().parents[2] / "../shared/data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the public data sets in ../shared/data")


def read(paths: str, *, language: str, **settings):
    source = ExampleSource.model_validate({"paths": str(DATA / paths), **settings})
    return read_examples(source, language=language)


@pytest.mark.parametrize(
    ("paths", "language", "settings", "counts"),
    [
        ("ner/wikigold/en/test.conllu", "en", {"repair": True}, (1841, 39152, None)),
        ("ner/wikiann-fewshot/sw.tsv", "sw", {}, (541, 3014, {"LOC": 245, "PER": 244, "ORG": 172})),
        ("ner/slovak-wiki-ner/dev.txt", "sk", {}, (668, 12995, {"LOC": 421, "PER": 295, "ORG": 192, "MISC": 172})),
        (
            "ner/uner/UNER_Chinese-GSDSIMP/zh_gsdsimp-ud-dev.iob2",
            "zh",
            {},
            (500, 12663, {"LOC": 375, "PER": 245, "ORG": 133}),
        ),
        (
            "ner/bsnlp/*/ru/dev_ru.csv.xz",
            "ru",
            {"token_column": "text", "tag_column": "ner", "group_by": ["docId", "sentenceId"]},
            (676, 12827, {"LOC": 432, "PER": 321, "ORG": 316, "PRO": 107, "EVT": 53, "MISC": 1}),
        ),
    ],
)
def test_columns(paths, language, settings, counts):
    examples = read(paths, language=language, format="columns", **settings)
    num_tokens = sum(len(example["tokens"]) for example in examples)
    kinds = Counter(kind for example in examples for kind, _ in example["spans"])
    assert (len(examples), num_tokens, kinds) == (*counts[:2], kinds if counts[2] is None else counts[2])


def test_wikiann_raw_tokens_lose_their_prefix():
    examples = read("ner/wikiann/sk/dev.txt.xz", language="sk", format="columns")
    assert len(examples) == 10000
    assert not any(token.startswith("sk:") for example in examples for token in example["tokens"])


def test_stray_tags_are_refused_with_their_line():
    with pytest.raises(DataError, match="was not begun") as error:
        read("ner/slovak-wiki-ner/train.txt", language="sk", format="columns")
    assert "train.txt:6798:9" in str(error.value)


def test_ronec():
    tag_map = {"PERSON": "PER", "ORG": "ORG", "GPE": "LOC", "LOC": "LOC", "*": None}
    examples = read("ner/ronec/valid.json.xz", language="ro", format="spans", tag_map=tag_map)
    kinds = Counter(kind for example in examples for kind, _ in example["spans"])
    assert (len(examples), kinds) == (1330, {"PER": 2733, "ORG": 880, "LOC": 1182 + 270})


@pytest.mark.parametrize(
    ("paths", "num_questions"),
    [("qa/xquad/xquad.de.json", 1190), ("qa/mlqa/dev/dev-context-es-question-es.json", 500)],
)
def test_squad(paths, num_questions):
    examples = read(paths, language="en", format="squad")
    assert len(examples) == num_questions
    assert all(example["answers"] and example["answer_starts"] for example in examples)


def test_a_file_without_gold_answers_is_refused():
    with pytest.raises(DataError, match="499 problems"):
        read("qa/tydiqa-goldp/dev/tydiqa.goldp.sw.dev.json.xz", language="sw", format="squad")


def test_xnli():
    examples = read("nli/xnli/dev-sw.tsv", language="sw", format="xnli")
    assert Counter(example["label"] for example in examples) == dict.fromkeys(
        ("neutral", "contradiction", "entailment"), 830
    )
    labels = str(DATA / "nli/xnli/test-labels.txt")
    examples = read("nli/xnli/test-{language}.tsv.xz", language="sw", format="xnli", labels_path=labels)
    assert set(Counter(example["label"] for example in examples).values()) == {1670}


@pytest.mark.parametrize(
    ("paths", "settings", "labels"),
    [
        (
            "topic/sib-200/slv_Latn/test.tsv",
            {"columns": {"id": "index_id", "text": "text", "label": "category"}},
            204,
        ),
        (
            "nli/esnli-si/dev_600.tsv",
            {"columns": {"premise": "Sentence1_si", "hypothesis": "Sentence2_si", "label": "gold_label"}},
            {"entailment": 203, "contradiction": 206, "neutral": 191},
        ),
        (
            "claims/checkthat2024-task1/english/CT24_checkworthy_english_dev.tsv",
            {"columns": {"text": "Text", "label": "class_label"}},
            {"No": 794, "Yes": 238},
        ),
        (
            "claims/checkthat2022-task1/subtasks-arabic/CT22_arabic_1A_checkworthy.zip",
            {
                "member": "*_1A_checkworthy_dev.tsv",
                "columns": {"text": "tweet_text", "label": "class_label"},
                "label_map": {0: "Not checkworthy", 1: "Checkworthy"},
            },
            {"Checkworthy": 100, "Not checkworthy": 135},
        ),
    ],
)
def test_tables(paths, settings, labels):
    examples = read(paths, language="en", format="table", quoting=True, **settings)
    counts = Counter(example["label"] for example in examples)
    assert labels in (counts, len(examples))


def test_text():
    texts = list(read_text(TextSource(paths=[str(DATA / "lm/*/{language}.txt.xz")]), language="ur"))
    assert len(texts) == 9728 + 4966
    assert sum(len(text.encode()) + 1 for text in texts) == 1716587
