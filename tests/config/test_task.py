"""The schema of task files, and YAML errors that name their line."""

import pytest

from lingport.config.load import parse_yaml, read_yaml, validated
from lingport.config.task import TaskConfig, fill_wording, wording_fields
from lingport.errors import ConfigError

GOOD = 'form: classify\ninput: "topic: {text}"\nlabels: [a, b]\n'


def config_of(text):
    return validated(TaskConfig, parse_yaml(text, "mine.yaml"))


def error_of(text):
    with pytest.raises(ConfigError) as caught:
        config_of(text)
    return str(caught.value)


def test_list_of_labels_makes_each_its_own_word():
    assert config_of(GOOD).labels == {"a": "a", "b": "b"}


def test_yes_and_no_stay_words_and_numbers_become_text():
    config = config_of('form: classify\ninput: "{text}"\nlabels: {1: Yes, 0: No}\naliases: {on: 1}\n')
    assert config.labels == {"1": "Yes", "0": "No"}
    assert config.aliases == {"on": "1"}


def test_misspelt_key_names_line_and_nearest():
    message = error_of(GOOD + "lables: [x]\n")
    assert "mine.yaml:4:1" in message
    assert "'lables'" in message
    assert "did you mean 'labels'?" in message


def test_misspelt_key_of_a_language_names_the_keys_allowed_there():
    message = error_of(GOOD + "wording:\n  sk:\n    inputs: x\n")
    assert "mine.yaml:6:5" in message
    assert "did you mean 'input'?" in message


def test_all_errors_come_at_once_in_the_order_of_the_file():
    message = error_of('labels: [a, b]\nmax_input_tokens: many\ninput: "{text}"\ndecodng: rank\n')
    assert "3 problems" in message
    first = message.index("'form' is missing")
    second = message.index("mine.yaml:2:1: max_input_tokens")
    assert first < second < message.index("mine.yaml:4:1: unknown key 'decodng'")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        ("- a\n", "not a mapping"),
        ("form: [\n", "mine.yaml:2:1: not a valid YAML file"),
        ("form: a\nform: b\n", "mine.yaml:2:1: the key 'form' occurs twice"),
        ("form: !!python/object/apply:os.getcwd []\n", "mine.yaml:1:1: the tag"),
        ("form: !!python/name:os.getcwd\n", "mine.yaml:1:7: not a valid YAML"),
        ("form: \x00\n", "mine.yaml: not a valid YAML"),
        ("a: &x\n  b: *x\n", "alias"),
        ('form: classify\ninput: "{text!r}"\n', "mine.yaml:2:1"),
        ('form: classify\ninput: "{text.__class__}"\n', "not a plain field name"),
        ('form: classify\ninput: "{0}"\n', "not a plain field name"),
        ('form: classify\ninput: "open { brace"\n', "double a brace"),
        (GOOD.replace("[a, b]", "[a, a]"), "given twice"),
        (GOOD + "overflow: explode\n", "mine.yaml:4:1"),
    ],
)
def test_refused(text, part):
    assert part in error_of(text)


def test_nothing_is_executed(tmp_path):
    target = tmp_path / "made"
    error_of(f"form: !!python/object/apply:os.mkdir [{target}]\n")
    assert not target.exists()


def test_missing_and_undecodable_files_are_config_errors(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"form: \xe4\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 6"):
        read_yaml(tmp_path / "latin.yaml")


def test_braces_in_the_data_are_harmless():
    assert fill_wording("a {x} {{b}}", {"x": "{y} {0.__class__} {{"}) == "a {y} {0.__class__} {{ {b}"


def test_wording_fields_in_order():
    assert wording_fields("{b} and {a} {{c}}") == ["b", "a"]


def test_where_falls_back_to_what_is_around():
    source = parse_yaml("a:\n  - b\n", "f.yaml")
    assert source.where(("a", 0)) == "f.yaml:2:5"
    assert source.where(("a", 7, "z")) == "f.yaml:1:1"
    assert source.where() == "f.yaml:1:1"
