"""Classification: reading label words, unreadable outputs, scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingport.errors import DataError
from lingport.tasks.catalogue import load_task, task_from_text, task_names

NLI, CLAIMS, TOPIC = load_task("nli"), load_task("claims"), load_task("topic")
CLASSIFICATIONS = [name for name in task_names() if load_task(name).form == "classify"]


@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_every_label_reads_back(name):
    task = load_task(name)
    for label in task.label_words():
        example = dict.fromkeys(task.fields, "x") | {"label": label}
        assert task.parse(task.render(example, "en").target, example) == label == task.gold(example)
    assert [task.label_of(word) for word in task.candidates() or []] == list(task.label_words())


@given(words=st.lists(st.text(alphabet="abčжX 北-/'", min_size=1), min_size=2, max_size=4))
def test_any_label_words_read_back_or_are_refused(words):
    from lingport.errors import ConfigError

    lines = "".join(f"  l{i}: {word!r}\n" for i, word in enumerate(words)).replace('"', "'")
    try:
        task = task_from_text('form: classify\ninput: "{text}"\nlabels:\n' + lines, name="t.yaml")
    except ConfigError:
        return
    for label, word in task.label_words().items():
        assert task.parse(f" {word}. ", {}) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Yes", "entailment"),
        (" yes.\n", "entailment"),
        ('"MAYBE"', "neutral"),
        ("No", "contradiction"),
        ("", None),
        ("Perhaps", None),
        ("Yes and no", None),
        ("Nope", None),
    ],
)
def test_reading(text, label):
    assert NLI.parse(text, {}) == label


def test_a_negated_word_is_not_the_word():
    assert CLAIMS.parse("not  Checkworthy", {}) == "not_checkworthy"
    assert CLAIMS.parse("Checkworthy!", {}) == "checkworthy"
    assert CLAIMS.parse("uncheckworthy", {}) is None


@pytest.mark.parametrize(("given", "label"), [("1", "checkworthy"), (0, "not_checkworthy"), ("Yes", "checkworthy")])
def test_other_spellings_in_the_data(given, label):
    assert CLAIMS.gold({"label": given}) == label


def test_an_unknown_label_is_refused_with_its_place():
    with pytest.raises(DataError, match=r"f\.tsv:7: label 'sport' is not one of .* did you mean 'sports'"):
        TOPIC.gold({"label": "sport", "where": "f.tsv:7"})


def test_scores_by_hand():
    golds = ["checkworthy", "checkworthy", "checkworthy", "not_checkworthy", "not_checkworthy"]
    answers = ["checkworthy", None, "not_checkworthy", "checkworthy", "not_checkworthy"]
    scores = CLAIMS.score(answers, golds)
    # positive: tp 1, fp 1, fn 2 -> 2/5; negative: tp 1, fp 1, fn 1 -> 1/2
    assert scores == pytest.approx({"accuracy": 2 / 5, "f1": 2 / 5, "f1_macro": (2 / 5 + 1 / 2) / 2})
    assert set(NLI.score(["neutral"], ["neutral"])) == {"accuracy", "f1_macro"}


def test_unreadable_is_never_a_class():
    scores = NLI.score([None, None], ["neutral", "entailment"])
    assert scores == {"accuracy": 0, "f1_macro": 0}


def test_majority():
    assert NLI.majority([{"label": "neutral"}, {"label": "neutral"}, {"label": "entailment"}]) == pytest.approx(2 / 3)
    assert NLI.majority([]) is None
    assert load_task("qa").majority([{"answers": []}]) is None


class Characters:
    def __call__(self, text, *, add_special_tokens):
        return type("Encoding", (), {"input_ids": [ord(char) for char in text]})()


def test_outputs_may_be_as_long_as_the_longest_label_word():
    assert CLAIMS.max_new_tokens(Characters()) == len("Not checkworthy") + 1
    assert load_task("ner").max_new_tokens(Characters()) == 30
