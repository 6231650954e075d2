"""What a recipe may say of controls, sources, shots, mixtures, starting points and sweeps; and what it may not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from lingport.config.language import LanguageTraining, Start
from lingport.config.schema import Recipe, languages_of
from lingport.config.sweep import at, points, value_at
from lingport.errors import ConfigError

TABLE = {"format": "table", "path": "t.csv"}
BASE: dict[str, Any] = {
    "name": "r",
    "configurations": ["lp+ta"],
    "sources": ["en"],
    "targets": ["sk"],
    "text": {"default": {"path": "raw.txt"}},
    "tasks": [{"task": "topic", "data": {"default": {"train": TABLE, "validation": TABLE, "test": TABLE}}}],
}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({**deepcopy(BASE), **changes})


def refused(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        recipe(**changes)
    return "; ".join(error["msg"] for error in caught.value.errors())


def test_several_sources_are_one_name():
    found = recipe(sources=["en", ["en", "de"], "sk+cs"])
    assert found.sources == ["en", "de+en", "cs+sk"]
    assert [languages_of(source) for source in found.sources] == [["en"], ["de", "en"], ["cs", "sk"]]
    assert found.source_languages() == ["en", "de", "cs", "sk"]
    assert set(found.text_languages()) == {"en", "de", "cs", "sk"}
    assert recipe(**found.model_dump(mode="json", include={"sources"})).sources == found.sources


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([["de", "en"], "en+de"], "listed twice"),
        ([["en", "en"]], "listed twice"),
        ([[]], "names no language"),
        (["en+"], "names no language"),
        ([["en", 3]], "valid string"),
    ],
)
def test_sources_that_mean_nothing_are_refused(sources, message):
    assert message in refused(sources=sources)


def test_few_shot_training_needs_training_data_of_the_targets():
    data = {"en": {"train": TABLE, "validation": TABLE}, "sk": {"test": TABLE}}
    tasks = [{"task": "topic", "data": data}]
    assert recipe(tasks=tasks).shots == [0]
    assert "'topic' has no train data for 'sk'" in refused(tasks=tasks, shots=[0, 5])
    data["sk"]["train"] = TABLE
    found = recipe(tasks=tasks, shots=[0, 5])
    assert found.data_needed(found.tasks[0]) == [
        ("en", "train"),
        ("en", "validation"),
        ("sk", "train"),
        ("sk", "test"),
    ]
    assert "0 is zero-shot" in refused(shots=[-1])


def test_few_shot_training_is_short_and_takes_the_last_state():
    settings = recipe().few_shot
    assert {settings.of(kind).selection for kind in ("adapter", "prompt", "full")} == {"last"}
    assert settings.prompt.optimizer == "adafactor" and settings.adapter.learning_rate == 5e-5
    assert settings.adapter.steps == 100


def test_mixtures_name_tasks_of_the_recipe():
    two = [BASE["tasks"][0], {**BASE["tasks"][0], "name": "other"}]
    mixture = {"name": "both", "shares": {"topic": 3, "other": 1}}
    assert recipe(tasks=two, mixtures=[mixture]).mixtures[0].shares == {"topic": 3, "other": 1}
    assert "did you mean 'topic'?" in refused(tasks=two, mixtures=[mixture | {"shares": {"topik": 1, "other": 1}}])
    assert "the name 'other' is taken" in refused(tasks=two, mixtures=[mixture | {"name": "other"}])
    assert "the name 'both' is taken" in refused(tasks=two, mixtures=[mixture, mixture])
    assert "shares are 1 or more" in refused(tasks=two, mixtures=[mixture | {"shares": {"topic": 0, "other": 1}}])
    assert "at least 2" in refused(tasks=two, mixtures=[mixture | {"shares": {"topic": 1}}])


@pytest.mark.parametrize(
    ("said", "weights"),
    [
        ("cs", {"cs": 1.0}),
        (["cs", "pl"], {"cs": 0.5, "pl": 0.5}),
        ({"weights": {"cs": 0.9, "pl": -0.1}}, {"cs": 0.9, "pl": -0.1}),
        ({"vectors": {"cs": 1.0}}, {}),
    ],
)
def test_a_start_is_a_language_a_mean_a_sum_or_vectors(said, weights):
    assert Start.model_validate(said).weights == weights


def test_a_start_without_a_language_is_refused():
    with pytest.raises(ValidationError, match="names at least one language"):
        Start.model_validate({"steps": 3})


def test_ancestors_come_first_and_a_circle_is_refused():
    training = LanguageTraining.model_validate({"start": {"sk": ["cs", "pl"], "cs": "en"}})
    assert training.before("sk") == ["en", "cs", "pl"] and training.before("de") == []
    with pytest.raises(ValidationError, match="'sk' would start from itself: sk <- cs <- sk"):
        LanguageTraining.model_validate({"start": {"sk": "cs", "cs": "sk"}})
    with pytest.raises(ValidationError, match="would start from itself"):
        LanguageTraining.model_validate({"start": {"sk": "sk"}})


def test_ancestors_need_text_too():
    text = {language: {"path": "raw.txt"} for language in ("en", "sk")}
    assert recipe(text=text).text_languages() == ["en", "sk"]
    start = {"start": {"sk": "cs"}}
    assert "no raw text for 'cs'" in refused(text=text, language_training=start)
    assert recipe(text=text | {"cs": {"path": "raw.txt"}}, language_training=start).text_languages() == [
        "en",
        "cs",
        "sk",
    ]


def test_points_are_all_combinations():
    assert points({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    assert points({}) == [{}]


def test_a_point_is_a_recipe_without_a_sweep():
    key = "language_training.modules.prompt.num_virtual_tokens"
    whole = recipe(sweep={key: [5, 10]})
    point = at(whole, {key: 5})
    assert point.language_training.modules.prompt.num_virtual_tokens == value_at(point, key) == 5
    assert point.sweep == {} and value_at(whole, key) == 50
    assert point.tasks == whole.tasks
    other = "tasks.0.data.default.train.limit"
    assert value_at(at(whole, {other: 7}), other) == 7
    assert value_at(whole, "tasks.0.overrides.nothing") is None


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"seeds": [1, 2]}, "cannot be swept"),
        ({"backbone.name": ["nano", "other"]}, "another backbone is another recipe"),
        ({"task_training.adapter.stepz": [1]}, "task_training.adapter.stepz"),
        ({"task_training.adapter.steps": [1, -1]}, "task_training.adapter.steps"),
        ({"task_training.adapter.steps": []}, "has no values"),
        ({"task_training.adapter.steps": [1, 1]}, "listed twice"),
        ({"tasks.3.name": ["a"]}, "'3' is no item of a list of 1"),
        ({"language_training.objective.name": ["span_corruption", "mlm"]}, "language_training.objective.name"),
    ],
)
def test_sweeps_that_a_recipe_could_not_say_are_refused(sweep, message):
    assert message in refused(sweep=sweep)


def test_all_wrong_values_are_told_at_once():
    told = refused(sweep={"task_training.adapter.steps": [-1], "language_training.num_texts": [0]})
    assert "task_training.adapter.steps" in told and "language_training.num_texts" in told


def test_a_point_that_cannot_be_is_named():
    with pytest.raises(ConfigError, match=r"task_training.adapter.steps at \{'task_training.adapter.steps': 'many'\}"):
        at(recipe(), {"task_training.adapter.steps": "many"})
