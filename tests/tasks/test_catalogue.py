"""Every task of the catalogue loads, is worded as in the paper, and says what is wrong with a user's file."""

from pathlib import Path

import pytest

import lingport.tasks
from lingport.errors import ConfigError, DataError
from lingport.tasks.base import FORMS
from lingport.tasks.catalogue import load_task, task_from_text, task_names

FILES = sorted((Path(lingport.tasks.__file__).parent / "catalogue").glob("*"))
MINIMAL = 'form: classify\ninput: "review: {text}"\nlabels: [positive, negative]\n'


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_of_the_catalogue_loads(path):
    task = load_task(path)
    assert task.name == path.stem
    assert load_task(path.stem).config == task.config
    assert task.main_score in type(task).score_names(task.config)
    assert task.prompt_init("en")


def test_names():
    assert task_names() == ["claims", "ner", "nli", "qa", "topic"]


EXAMPLES = {
    "qa": {"question": "Who {x}?", "context": "Ann did.", "answers": ["Ann", "she"]},
    "ner": {"tokens": ["Ann", "Lee", "in", "Oslo"], "spans": [["PER", "Ann Lee"], ["LOC", "Oslo"]]},
    "nli": {"premise": "A cat sat.", "hypothesis": "It sat.", "label": "entailment"},
    "claims": {"text": "See https://t.co/a1 it rose  5% www.x.org/y", "label": "0"},
    "topic": {"text": "Rain falls.", "label": "science/technology"},
}
GOLDEN = {
    "qa": ("question: Who {x}? context: Ann did.", "Ann"),
    "ner": ("tag: Ann Lee in Oslo", "PER: Ann Lee$$LOC: Oslo"),
    "nli": ('A cat sat. \n\nQuestion: Does this imply that "It sat."? Yes, no, or maybe?', "Yes"),
    "claims": ("checkworthiness claim: See it rose 5%", "Not checkworthy"),
    "topic": ("topic: Rain falls.", "science"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_wording_is_the_papers(name):
    rendered = load_task(name).render({"id": "1", "where": "f:1", **EXAMPLES[name]}, "en")
    assert (rendered.input, rendered.target) == GOLDEN[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qa", "Answer the question in Slovak language:"),
        ("ner", "Identify ner tags (ORG, PER, LOC) in the text in Slovak:"),
        (
            "nli",
            'Select "Yes", "No" or "Maybe" based on the implication of the premise on the hypothesis in Slovak:',
        ),
        ("claims", "Determine whether a given claim in Slovak is checkworthy:"),
    ],
)
def test_prompt_texts_are_the_papers(name, text):
    assert load_task(name).prompt_init("sk") == text


def test_nli_label_words_and_lengths_are_the_papers():
    task = load_task("nli")
    assert task.label_words() == {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}
    lengths = {name: load_task(name).max_target_tokens for name in ("qa", "ner", "nli", "claims")}
    assert lengths == {"qa": 30, "ner": 30, "nli": 3, "claims": 4}


def test_a_users_minimal_file(tmp_path):
    path = tmp_path / "reviews.yaml"
    path.write_text(MINIMAL)
    task = load_task(str(path))
    assert task.name == "reviews"
    assert task.render({"text": "Fine", "label": "positive"}, "sk").input == "review: Fine"
    assert task.scores == ["accuracy"]
    assert load_task("reviews.yaml", base=tmp_path).config == task.config


def test_overrides_replace_keys():
    task = load_task("ner", overrides={"labels": ["LOC", "LAN", "CUR"], "max_input_tokens": 64})
    assert task.prompt_init("en") == "Identify ner tags (LOC, LAN, CUR) in the text in English:"
    assert (task.name, task.max_input_tokens) == ("ner", 64)


def test_a_wrong_override_is_named():
    with pytest.raises(ConfigError, match="with overrides: unknown key 'lables'; did you mean 'labels'"):
        load_task("ner", overrides={"lables": []})


def test_unknown_names_get_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'topic'"):
        load_task("topics")
    with pytest.raises(ConfigError, match=r"mine\.yaml:1:1: unknown form of task 'clasify'; did you mean 'classify'"):
        task_from_text(MINIMAL.replace("classify", "clasify"), name="mine.yaml")
    with pytest.raises(ConfigError, match=r"nowhere/t\.yaml: no such file"):
        load_task("nowhere/t.yaml")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("labels: [positive]", ["t.yaml:3:1", "two or more"]),
        ("labels: {a: Yes, b: 'yes.'}", ["t.yaml:3:1", "cannot be told apart"]),
        ("labels: {a: Yes, b: '?!'}", ["no letter or digit"]),
        ("labels: [a, b]\npositive: c", ["t.yaml:4:1", "'c' is not a label"]),
        ("labels: [a, b]\nscore: [accuracy, f1]", ["t.yaml:4:19", "needs `positive`"]),
        ("labels: [a, b]\nscore: acuracy", ["t.yaml:4:1", "'acuracy' is not one of accuracy, f1_macro"]),
        ("labels: [a, b]\naliases: {x: c}", ["t.yaml:4:11", "stands for 'c'"]),
        ("labels: [a, b]\noverflow: windows", ["t.yaml:4:1", "no windows"]),
        ("labels: [a, b]\nfields: [title]", ["t.yaml:2:1", "unknown field {text}; allowed: title"]),
        (
            "labels: [a, b]\nwording: {sk: {input: '{txt}'}}",
            ["t.yaml:4:16", "unknown field {txt}; allowed: text"],
        ),
        ("labels: [a, b]\nwording: {sk: {labels: {c: x}}}", ["t.yaml:4:25", "label 'c'"]),
        ("labels: [a, b]\nwording: {sk: {labels: {a: b}}}", ["cannot be told apart"]),
        ("labels: [a, b]\nprompt_init: 'in {Lang}'", ["t.yaml:4:1", "unknown field {Lang}"]),
        ("lbels: [a, b]", ["t.yaml:3:1", "did you mean 'labels'"]),
    ],
)
def test_what_is_wrong_with_a_classification(change, parts):
    text = MINIMAL.replace("labels: [positive, negative]", change)
    with pytest.raises(ConfigError) as caught:
        task_from_text(text, name="t.yaml")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('form: answer\ninput: "{question}"\n', "must hold {context} once"),
        ('form: answer\ninput: "{question} {contxt}"\noverflow: truncate\n', "unknown field {contxt}"),
        ('form: spans\ninput: "{tokens}"\ndecoding: rank\n', "no label words to rank"),
        ('form: spans\ninput: "{tokens}"\ncleaning: remove_links\n', "cannot be cleaned"),
        ('form: spans\ninput: "{text}"\n', "allowed: tokens"),
    ],
)
def test_what_is_wrong_with_other_forms(text, part):
    with pytest.raises(ConfigError) as caught:
        task_from_text(text, name="t.yaml")
    assert part in str(caught.value)


def test_wording_of_single_languages():
    task = task_from_text(
        MINIMAL + "wording:\n  de:\n    input: 'Kritik: {text}'\n    labels: {positive: gut, negative: schlecht}\n",
        name="t.yaml",
    )
    example = {"text": "Ja", "label": "negative"}
    assert task.render(example, "de").input == "Kritik: Ja"
    assert task.render(example, "de").target == "schlecht"
    assert task.render(example, "en").target == "negative"
    assert task.parse("Gut.", example, "de") == "positive"
    assert task.parse("Gut.", example, "en") is None
    assert task.candidates("de") == ["gut", "schlecht"]
    assert task.label_of("gut", "de") == "positive"


def test_a_missing_field_names_what_the_example_has():
    with pytest.raises(DataError, match=r"f\.csv:3: .* needs the field 'text'; the example has: label, txt"):
        task_from_text(MINIMAL, name="t.yaml").render({"where": "f.csv:3", "txt": "x", "label": "positive"}, "en")


@pytest.mark.parametrize("name", task_names())
def test_an_example_without_gold_renders_only_when_asked_so(name):
    task = load_task(name)
    example = {"where": "f:1", **EXAMPLES[name]}
    example.pop(task.gold_field)
    assert task.render(example, "en", with_target=False).target == ""
    with pytest.raises(DataError, match=f"needs the field '{task.gold_field}'"):
        task.render(example, "en")


def test_every_form_is_in_the_catalogue():
    assert {load_task(name).form for name in task_names()} == set(FORMS)
