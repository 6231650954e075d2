"""The corpus keeps its promises: splits apart, answers in place, labels even, the same every time."""

from collections import Counter

import pytest
import regex

from lingport.demo import corpus
from lingport.demo.corpus import SIZES, TASKS, read_examples, read_text
from lingport.demo.facts import SPLITS, name, territories
from lingport.demo.templates import LANGUAGES
from lingport.errors import InputError, UnknownNameError

CLASSES = {
    "nli": {"entailment", "neutral", "contradiction"},
    "claims": {"checkworthy", "not_checkworthy"},
    "topic": {"code", "currency", "geography", "language", "time"},
}


def shown(example):
    fields = [value for key, value in example.items() if key not in ("id", "where", "label")]
    texts = [value for value in fields if isinstance(value, str)]
    if "tokens" in example:
        texts += [" ".join(example["tokens"]), "".join(example["tokens"])]
    return "\n".join(texts)


def whole_words(codes, language):
    names = "|".join(regex.escape(name(code, language)) for code in codes)
    return regex.compile(names if language == "zh" else rf"(?<!\w)(?:{names})(?!\w)")


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_out_territories_are_never_named_earlier(language):
    for index, split in enumerate(SPLITS[:-1]):
        later = whole_words([code for other in SPLITS[index + 1 :] for code in territories(other)], language)
        texts = [*read_text(language, split=split)]
        texts += [shown(example) for task in TASKS for example in read_examples(task, language, split=split)]
        assert not [text for text in texts if later.search(text)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_raw_text_is_plenty_and_rendered(language):
    texts = read_text(language)
    assert len(texts) == len(set(texts)) > 3000
    assert not [text for text in texts if set("{}[]") & set(text) or "  " in text]
    assert len(read_text(language, split="test")) > 500


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", TASKS)
def test_examples_are_as_many_as_promised_and_different(task, language):
    for split, size in SIZES.items():
        found = read_examples(task, language, split=split)
        assert size * 0.95 <= len(found) <= size
        assert len({example["id"] for example in found}) == len(found)
        contents = {repr({k: v for k, v in e.items() if k not in ("id", "where", "label")}) for e in found}
        assert len(contents) == len(found)
        assert not [example for example in found if set("{}[]") & set(shown(example))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_stand_where_they_say(language):
    found = read_examples("qa", language, split="test")
    for example in found:
        (answer,), (start,) = example["answers"], example["answer_starts"]
        assert answer and example["context"][start : start + len(answer)] == answer
    at_the_start = sum(example["answer_starts"][0] < 12 for example in found)
    assert 0.02 < at_the_start / len(found) < 0.6


@pytest.mark.parametrize("language", LANGUAGES)
def test_spans_are_runs_of_tokens(language):
    found = read_examples("ner", language, split="test")
    for example in found:
        tokens = f" {' '.join(example['tokens'])} "
        assert all(text and f" {text} " in tokens for _, text in example["spans"])
        assert {tag for tag, _ in example["spans"]} <= {"LOC", "LAN", "CUR"}
    counts = Counter(tag for example in found for tag, _ in example["spans"])
    assert min(counts.values()) > 40 and len(counts) == 3


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", CLASSES)
def test_labels_are_even(task, language):
    for split in SPLITS:
        counts = Counter(example["label"] for example in read_examples(task, language, split=split))
        assert set(counts) == CLASSES[task]
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("language", ["en", "sk", "zh"])
def test_a_hypothesis_alone_does_not_tell_the_label(language):
    """A hypothesis that reads as a true statement is as frequent under each label."""
    true = {text for split in SPLITS for text in read_text(language, split=split)}
    examples = read_examples("nli", language, split="train")
    hits = Counter(example["label"] for example in examples if example["hypothesis"] in true)
    total = len(examples) / 3
    assert all(0.4 < hits[label] / total < 0.6 for label in CLASSES["nli"])


def test_names_in_chinese_are_tagged_by_character():
    example = read_examples("ner", "zh", split="train")[0]
    assert all(len(token) == 1 or token.isascii() for token in example["tokens"])


def test_corpus_is_the_same_when_made_again():
    before = read_text("sk"), [read_examples(task, "sk", split="test") for task in TASKS]
    corpus.read_text.cache_clear()
    corpus.read_examples.cache_clear()
    assert before == (read_text("sk"), [read_examples(task, "sk", split="test") for task in TASKS])


def test_what_does_not_exist_is_refused():
    with pytest.raises(UnknownNameError, match="no task 'q'"):
        read_examples("q", "en", split="train")
    with pytest.raises(UnknownNameError, match="no language 'fr'"):
        read_text("fr")
    with pytest.raises(InputError, match="unknown split"):
        read_text("en", split="dev")
