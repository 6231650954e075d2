"""Tagged spans: escaping, tolerant reading, corpus-level counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingport.tasks.catalogue import load_task, task_from_text
from lingport.tasks.normalise import normalise_text
from lingport.tasks.spans import escape, unescape

NER = load_task("ner")
WORDED = task_from_text('form: spans\ninput: "{tokens}"\nlabels: {LOC: place, PER: "per:son"}\n', name="worded.yaml")
piece = (st.text(alphabet=":$\\ aB") | st.text(alphabet=st.characters(codec="utf-8"))).filter(
    lambda text: normalise_text(text) != ""
)
spans = st.lists(st.tuples(st.one_of(st.sampled_from(["LOC", "PER", "a:b"]), piece), piece), max_size=5)


@given(spans)
def test_every_target_reads_back_as_its_gold(pairs):
    example = {"tokens": ["x"], "spans": pairs}
    for task in (NER, WORDED):
        words = set(task.label_words().values())
        if any(normalise_text(tag) in words for tag, _ in pairs) and task is WORDED:
            continue  # a tag spelt like another tag's word
        assert task.parse(task.render(example, "en").target, example) == task.gold(example)


@given(st.text(alphabet=":$\\a"))
def test_escape_is_undone_and_leaves_no_separator(text):
    assert unescape(escape(text)) == text
    assert "$$" not in escape(text)


@given(st.text(alphabet=":$\\ abLOC", max_size=30))
def test_any_output_is_read_or_unreadable(text):
    spans = NER.parse(text, {})
    assert spans is None or all(tag and entity for tag, entity in spans)
    assert (spans == ()) == (not text.strip())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LOC: Oslo$$PER: Ann Lee", (("LOC", "Oslo"), ("PER", "Ann Lee"))),
        ("  LOC :Oslo $$  PER:  Ann   Lee ", (("LOC", "Oslo"), ("PER", "Ann Lee"))),
        ("LOC: Oslo$$LOC: Oslo", (("LOC", "Oslo"), ("LOC", "Oslo"))),
        ("LOC: Oslo$$PE", (("LOC", "Oslo"),)),
        ("$$LOC: Oslo$$", (("LOC", "Oslo"),)),
        ("LOC: 2: the return", (("LOC", "2: the return"),)),
        ("ORG: A\\$\\$B\\: C\\\\D", (("ORG", "A$$B: C\\D"),)),
        ("NEW: thing", (("NEW", "thing"),)),
        ("ORG: US$ 5", (("ORG", "US$ 5"),)),
        ("", ()),
        (" \n", ()),
        ("nothing here", None),
        ("LOC:", None),
        (": Oslo", None),
        ("$$$$", None),
    ],
)
def test_reading(text, expected):
    assert NER.parse(text, {}) == expected


def test_label_words_stand_for_tags():
    example = {"tokens": "Ann in Oslo", "spans": [["PER", "Ann"], ["LOC", "Oslo"], ["LAN", "x"]]}
    assert WORDED.render(example, "en").input == "Ann in Oslo"
    assert WORDED.render(example, "en").target == "per\\:son: Ann$$place: Oslo$$LAN: x"
    assert WORDED.parse("per\\:son: Ann$$place: Oslo", example) == (("PER", "Ann"), ("LOC", "Oslo"))


def test_scores_by_hand():
    golds = [(("LOC", "Oslo"), ("PER", "Ann")), (("LOC", "Rome"), ("LOC", "Rome")), (), (("ORG", "X"),)]
    answers = [(("PER", "Ann"), ("LOC", "Bonn")), (("LOC", "Rome"),), (("BAD", "y"),), None]
    scores = NER.score(answers, golds)
    # tp 2 (Ann, Rome), fp 2 (Bonn, y), fn 3 (Oslo, Rome, X)
    assert scores["precision"] == pytest.approx(2 / 4)
    assert scores["recall"] == pytest.approx(2 / 5)
    assert scores["f1"] == pytest.approx(4 / 9)
    assert scores["f1_PER"] == 1
    assert scores["f1_LOC"] == pytest.approx(2 / (2 + 1 + 2))
    assert scores["f1_ORG"] == 0
    assert "f1_BAD" not in scores


def test_silence_is_right_where_there_is_nothing():
    assert NER.score([()], [()])["f1"] == 1
    assert NER.score([None], [()])["f1"] == 0
    assert NER.score([(("LOC", "x"),)], [()])["f1"] == 0
    assert NER.score([()], [(("LOC", "x"),)]) == {"f1": 0, "precision": 0, "recall": 0, "f1_LOC": 0}


def test_entities_are_compared_as_a_tokenizer_gives_them_back():
    gold = NER.gold({"tokens": [], "spans": [["ORG", "\ufb01n  \uff21"]]})
    assert NER.parse("ORG: fin A", {}) == gold


def test_a_language_without_spaces_has_none_between_its_tokens():
    example = {"tokens": ["在", "北", "京", "。"], "spans": [["LOC", "北京"]], "joiner": ""}
    rendered = NER.render(example, "zh")
    assert (rendered.input, rendered.target) == ("tag: 在北京。", "LOC: 北京")
    assert NER.render({**example, "joiner": " "}, "zh").input == "tag: 在 北 京 。"


def test_tags_are_not_judged_for_their_script():
    assert NER.judged_text("LOC: Осло", (("LOC", "Осло"),)) == "Осло"
    assert NER.judged_text("no idea", None) == "no idea"
