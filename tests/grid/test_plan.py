"""From a recipe to jobs: how many, above what, and what decides their ids."""

from __future__ import annotations

from copy import deepcopy

import pytest

from lingport.config.modules import CONFIGURATIONS
from lingport.errors import ConfigError
from lingport.grid.fingerprint import content_id
from lingport.grid.jobs import parents
from lingport.grid.plan import make_plan
from tests.grid_runs import recipe, write_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def plan(folder, *, fingerprint="f", **changes):
    return make_plan(recipe(folder, **changes), fingerprint=fingerprint)


def counts(found):
    return len(found.languages), len(found.tasks), len(found.cells)


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        # one source (en), two targets (sk, de), two seeds: languages, tasks, cells
        ("none", (0, 0, 2)),  # no chance in it: one seed
        ("ta", (0, 2, 4)),
        ("tp", (0, 2, 4)),
        ("full", (0, 2, 4)),
        ("la+ta", (6, 2, 4)),
        ("la+tp", (6, 2, 4)),
        ("lp+ta", (6, 2, 4)),
        ("lp+tp", (6, 2, 4)),
    ],
)
def test_jobs_of_each_configuration(folder, configuration, expected):
    assert counts(plan(folder, configurations=[configuration], targets=["sk", "de"], seeds=[1, 2])) == expected


def test_every_configuration_is_counted_above():
    assert set(CONFIGURATIONS) == {"none", "ta", "tp", "full", "la+ta", "la+tp", "lp+ta", "lp+tp"}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (["target"], (2, 1, 1)),
        (["source"], (1, 1, 1)),
        (["none"], (1, 1, 1)),
        (["untrained"], (1, 1, 1)),
        (["wrong:de"], (2, 1, 1)),
        (["target", "source", "none", "untrained", "wrong:de"], (3, 1, 5)),
    ],
)
def test_jobs_of_each_policy(folder, policies, expected):
    assert counts(plan(folder, configurations=["lp+ta"], policies=policies)) == expected


def test_all_together_share_their_language_modules(folder):
    every = plan(
        folder,
        configurations=list(CONFIGURATIONS),
        targets=["en", "sk"],
        sources=["en", "de"],
        policies=["target", "source"],
    )
    # languages: 3 x 2 kinds; tasks: 7 trained x 2 sources; cells: 2 x 2 x (4 without + 4 with language x 2 policies)
    assert counts(every) == (6, 14, 48)
    assert len({job.id for job in every.jobs}) == len(every.jobs)
    assert len({job.name for job in every.jobs}) == len(every.jobs)


def test_parents_come_first_and_are_the_right_ones(folder):
    found = plan(
        folder, configurations=["la+tp", "tp"], policies=["target", "source", "none", "wrong:de"], targets=["sk"]
    )
    seen = set()
    for job in found.jobs:
        assert {parent.id for parent in parents(job)} <= seen
        seen.add(job.id)
    above = {cell.policy: cell for cell in found.cells if cell.configuration.name == "la+tp"}
    names = {policy: [parent.name for parent in parents(cell)] for policy, cell in above.items()}
    task = "la+tp-topic-en-s1"
    assert names == {
        "target": ["la-sk-s1", task],
        "source": ["la-en-s1", task],
        "none": [task],
        "wrong:de": ["la-de-s1", task],
    }
    assert [parent.name for parent in parents(above["target"].trained)] == ["la-en-s1"]
    assert [parent.name for parent in parents(found.tasks[1])] == []


def ids(found):
    return {job.name: job.id for job in found.jobs}


def changed(folder, **changes):
    """Names of the jobs whose ids differ from the usual recipe's."""
    usual, other = ids(plan(folder)), ids(plan(folder, **changes))
    assert set(usual) == set(other)
    return {
        name.split("-")[0] if name[1] in "ap" and name[0] == "l" and "+" not in name else phase(name)
        for name in usual
        if usual[name] != other[name]
    }


def phase(name):
    return "none" if name.startswith("none") else "task" if name.count("-") == 3 else "cell"


def edit(folder, key, *path, **values):
    """A recipe's key with a nested mapping changed."""
    whole = deepcopy(recipe(folder).model_dump(mode="json", exclude_unset=True)[key])
    place = whole
    for part in path:
        place = place[part]
    place.update(values)
    return {key: whole}


ABOVE_LANGUAGE = {"lp", "task", "cell"}


@pytest.mark.parametrize(
    ("path", "values", "expected"),
    [
        (("language_training", "prompt"), {"steps": 5}, ABOVE_LANGUAGE),
        (("language_training", "prompt"), {"learning_rate": 0.1}, ABOVE_LANGUAGE),
        (("language_training", "prompt"), {"tokens_at_once": 64}, ABOVE_LANGUAGE),
        (("language_training", "prompt"), {"checkpoint_every": 7}, set()),
        (("language_training", "adapter"), {"steps": 5}, set()),
        (("language_training", "objective"), {"max_length": 20}, ABOVE_LANGUAGE),
        (("language_training", "modules", "prompt"), {"num_virtual_tokens": 4}, ABOVE_LANGUAGE),
        (("text", "en"), {"validation": 0.3}, ABOVE_LANGUAGE),
        (("task_training", "adapter"), {"batch_size": 3}, {"task", "cell"}),
        (("task_training", "adapter"), {"checkpoint_every": 1}, set()),
        (("task_training", "prompt"), {"steps": 9}, set()),
        (("task_training", "modules"), {"adapter": {"reduction": 8}}, {"task", "cell"}),
        (("tasks", 0, "overrides"), {"max_target_tokens": 5}, {"task", "cell", "none"}),
        (("tasks", 0, "data", "default", "train"), {"limit": 6}, {"task", "cell"}),
        (("tasks", 0, "data", "default", "validation"), {"limit": 6}, {"task", "cell"}),
        (("tasks", 0, "data", "default", "test"), {"limit": 6}, {"cell", "none"}),
    ],
    ids=str,
)
def test_what_decides_a_result_is_in_its_id(folder, path, values, expected):
    assert changed(folder, **edit(folder, *path, **values)) == expected


def test_backbone_dtype_and_fusion_decide(folder):
    assert not set(ids(plan(folder)).values()) & set(ids(plan(folder, fingerprint="g")).values())
    assert changed(folder, fusion="mean") == {"task", "cell", "none"}
    backbone = recipe(folder).backbone.model_dump()
    assert changed(folder, backbone=backbone | {"dtype": "bfloat16"}) == ABOVE_LANGUAGE | {"none"}


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluation": {"max_rows": 3, "max_tokens": 99}},
        {"learners_at_once": 4},
        {"description": "the same again"},
        {"name": "elsewhere"},
    ],
    ids=str,
)
def test_what_changes_no_result_is_not(folder, changes):
    assert changed(folder, **changes) == set()


def test_the_order_of_keys_says_nothing(folder):
    whole = recipe(folder).model_dump(mode="json", exclude_unset=True)

    def backwards(value):
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed(value)}
        return [backwards(item) for item in value] if isinstance(value, list) else value

    assert ids(plan(folder)) == ids(make_plan(type(recipe(folder)).model_validate(backwards(whole)), fingerprint="f"))
    assert content_id({"a": 1, "b": [1, 2]}) == content_id({"b": [1, 2], "a": 1}) != content_id({"a": 1, "b": [2, 1]})


def test_the_content_of_data_decides_not_its_place(tmp_path):
    write_data(tmp_path / "here")
    write_data(tmp_path / "there")
    before = ids(plan(tmp_path / "here"))
    assert before == ids(plan(tmp_path / "there"))
    with (tmp_path / "here" / "sk.txt").open("a") as file:
        file.write("\none more line")
    after = ids(plan(tmp_path / "here"))
    assert {name for name in before if before[name] != after[name]} == {"lp-sk-s1", "lp+ta-topic-en-sk-target-s1"}
    with (tmp_path / "here" / "t.csv").open("a") as file:
        file.write("tea,a\n")
    last = ids(plan(tmp_path / "here"))
    assert {name for name in after if after[name] != last[name]} == {
        "lp+ta-topic-en-s1",
        "lp+ta-topic-en-sk-target-s1",
        "none-topic-en-sk-target-s1",
    }


def test_extending_keeps_the_ids(folder):
    small = ids(plan(folder))
    large = ids(
        plan(
            folder,
            targets=["sk", "de"],
            seeds=[1, 2],
            configurations=["none", "lp+ta", "ta"],
            policies=["target", "none"],
        )
    )
    assert set(small.items()) < set(large.items())


def test_two_tasks_that_call_themselves_alike_are_refused(folder, tmp_path):
    entry = recipe(folder).model_dump(mode="json", exclude_unset=True)["tasks"][0]
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("name: mine\nform: classify\ninput: '{text}'\nlabels: [a, b]\n")
    alike = [entry | {"task": str(tmp_path / f"{name}.yaml")} for name in ("one", "two")]
    with pytest.raises(ConfigError, match="two tasks are called 'mine'"):
        plan(folder, tasks=alike)
    alike[1]["name"] = "other"
    assert counts(plan(folder, tasks=alike)) == (2, 2, 4)
