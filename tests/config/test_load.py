"""Recipes as text: every problem at once with its line, overrides, and words that stay words."""

from __future__ import annotations

import pytest

from lingport.config.load import parse_yaml, read_yaml, validated, with_overrides
from lingport.config.schema import Recipe, load_recipe
from lingport.errors import ConfigError, DataError

TABLE = "{format: table, path: t.csv}"
RECIPE = f"""\
name: mine
configurations: [none, ta, lp+ta]
sources: [en]
targets: [sk, de]
text:
  default: {{path: "text-{{language}}.txt"}}
tasks:
  - task: topic
    data:
      default: {{train: {TABLE}, validation: {TABLE}, test: {TABLE}}}
"""


def read(text=RECIPE, *overrides):
    return validated(Recipe, with_overrides(parse_yaml(text, "r.yaml"), overrides))


def refused(text=RECIPE, *overrides):
    with pytest.raises(ConfigError) as caught:
        read(text, *overrides)
    return str(caught.value)


def test_a_recipe_is_read_with_the_papers_values_where_it_says_nothing():
    recipe = read()
    assert recipe.task_training.adapter.learning_rate == 5e-5
    assert recipe.language_training.prompt.optimizer == "adafactor"
    assert recipe.policies == ["target"] and recipe.seeds == [1] and recipe.learners_at_once == 1
    assert recipe.text_languages() == ["en", "sk", "de"]


def test_an_unknown_key_names_the_nearest_and_its_line():
    said = refused(RECIPE.replace("targets:", "targts:"))
    assert "r.yaml:4:1: unknown key 'targts'; did you mean 'targets'?" in said
    nested = refused(RECIPE + "task_training:\n  adapter:\n    learning_rat: 0.1\n")
    assert "r.yaml:13:5" in nested and "did you mean 'learning_rate'?" in nested


def test_all_problems_are_told_at_once_in_the_order_of_the_file():
    text = RECIPE.replace("seeds", "seed") + "seeds: [one]\nevaluation: {max_rows: 0}\nfusion: sum\nlearners: 2\n"
    said = refused(text)
    assert said.startswith("r.yaml: 4 problems:")
    places = [line.split(":")[1] for line in said.splitlines()[1:5]]
    assert places == ["11", "12", "13", "14"]
    assert "seeds.0" in said and "max_rows" in said and "'concat' or 'mean'" in said and "'learners'" in said


def test_a_missing_key_is_named_with_what_it_is():
    said = refused(RECIPE.replace("name: mine\n", ""))
    assert "the key 'name' is missing: Name of the run's folder." in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RECIPE.replace("lp+ta", "fulll"), "unknown configuration 'fulll'; did you mean 'full'"),
        (RECIPE.replace("none, ta", "ta, ta"), "listed twice"),
        (RECIPE + "policies: [targt]\n", "unknown policy 'targt'; did you mean 'target'"),
        (RECIPE + "policies: ['wrong:']\n", "unknown policy 'wrong:'"),
        (RECIPE + "seeds: [1, 1]\n", "listed twice"),
        (RECIPE.replace("name: mine", "name: ../mine"), "name:"),
        (RECIPE.replace('  default: {path: "text-{language}.txt"}', "  en: {path: en.txt}"), "no raw text for 'sk'"),
        (RECIPE.replace("default: {train", "en: {train"), "has no test data for 'sk'"),
        (RECIPE.replace(f"train: {TABLE}, ", ""), "has no train data for 'en'"),
        (
            RECIPE.replace("sources: [en]", "sources: [en, es]").replace("default: {train", "en: {train"),
            "no validation data for 'es'",
        ),
        (RECIPE + "name: again\n", "occurs twice"),
        ("", "the key 'name' is missing"),
        ("- a\n", "is not a mapping"),
        ("a: [1\n", "not a valid YAML file"),
        ("name: !!python/object/apply:os.system [ls]\n", "not allowed"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    assert said in refused(text)


def test_two_tasks_of_one_name_need_names():
    entry = RECIPE[RECIPE.index("  - task") :]
    assert "two are called 'topic'" in refused(RECIPE + entry)
    assert [each.name for each in read(RECIPE + entry + "    name: other\n").tasks] == [None, "other"]


@pytest.mark.parametrize("word", ["Yes", "No", "on", "off", "y", "n", "yes", "2026-11-22"])
def test_words_stay_words(word):
    assert parse_yaml(f"a: {word}", "x").data == {"a": word}


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("null", None), ("1", 1), ("1.5", 1.5)])
def test_values_stay_values(text, value):
    assert parse_yaml(f"a: {text}", "x").data == {"a": value}


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("5e-5", 5e-5), ("1E-3", 1e-3), ("2e3", 2000.0)])
def test_learning_rates_are_read_as_people_write_them(text, value):
    assert read(RECIPE, f"task_training.adapter.learning_rate={text}").task_training.adapter.learning_rate == value


def test_overrides_go_over_the_file():
    recipe = read(
        RECIPE,
        "seeds=[1, 2]",
        "task_training.adapter.steps=7",
        "tasks.0.name=other",
        "tasks.0.overrides.decoding=rank",
        "targets=[sk]",
        "backbone.name=folder/with=sign",
    )
    assert recipe.seeds == [1, 2] and recipe.targets == ["sk"]
    assert recipe.task_training.adapter.steps == 7
    assert recipe.tasks[0].name == "other" and recipe.tasks[0].overrides == {"decoding": "rank"}
    assert recipe.backbone.name == "folder/with=sign"


def test_an_override_leaves_the_document_as_it_was():
    document = parse_yaml(RECIPE, "r.yaml")
    with_overrides(document, ["tasks.0.name=other", "seeds=[5]"])
    assert document.data == parse_yaml(RECIPE, "r.yaml").data


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seeds", "is not key=value"),
        ("=1", "is not key=value"),
        ("tasks.1.name=x", "is no item of a list of 1"),
        ("tasks.first.name=x", "is no item of a list of 1"),
        ("sources.0.x=1", "leads through a value"),
        ("seeds=[1", "not a valid YAML file"),
        ("sedes=[1]", "unknown key 'sedes'; did you mean 'seeds'"),
        ("task_training.adaptor.steps=3", "unknown key 'adaptor'; did you mean 'adapter'"),
        ("seeds=many", "seeds"),
    ],
)
def test_a_wrong_override_is_refused(override, said):
    assert said in refused(RECIPE, override)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 6"):
        read_yaml(tmp_path / "bad.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


def test_paths_are_found_beside_the_recipe(tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    with pytest.raises(DataError):
        load_recipe(tmp_path / "r.yaml")
    for name in ("text-en.txt", "text-sk.txt", "text-de.txt", "t.csv"):
        (tmp_path / name).write_text("text,label\na,b\n")
    recipe = load_recipe(tmp_path / "r.yaml", ["seeds=[3]"])
    assert recipe.seeds == [3]
    assert recipe.tasks[0].data["default"].train.paths == [str(tmp_path / "t.csv")]
    text = recipe.text["default"]  # one file a language, looked for when it is read
    assert (text.paths, text.base_folders[-1]) == (["text-{language}.txt"], str(tmp_path))


def test_a_task_may_have_its_own_training():
    recipe = read(RECIPE, "tasks.0.training.adapter.steps=3")
    assert recipe.tasks[0].training.adapter.steps == 3
    assert recipe.tasks[0].training.adapter.selection == "score"


def test_init_words_belong_to_classes():
    assert "init_words belongs to init=classes" in refused(RECIPE, "task_training.modules.prompt.init_words=[a]")
    assert "greater than" in refused(RECIPE, "task_training.modules.adapter.reduction=0")
