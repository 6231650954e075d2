"""Plans of sweeps, few-shot training, several sources, mixtures and starting points: jobs, names, what is shared."""

from __future__ import annotations

from copy import deepcopy

import pytest

from lingport.errors import ConfigError
from lingport.grid.jobs import parents
from lingport.grid.plan import make_plan
from tests.grid_runs import recipe, write_data

LENGTH = "language_training.modules.prompt.num_virtual_tokens"
RATE = "task_training.adapter.learning_rate"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def plan(folder, **changes):
    return make_plan(recipe(folder, **changes), fingerprint="f")


def names(jobs):
    return [job.name for job in jobs]


def edited(folder, key, **values):
    return {key: deepcopy(recipe(folder).model_dump(mode="json", exclude_unset=True)[key]) | values}


def both_tasks(folder):
    entry = recipe(folder).model_dump(mode="json", exclude_unset=True)["tasks"][0]
    return [entry, entry | {"name": "two"}]


def test_a_sweep_makes_only_the_jobs_that_it_changes(folder):
    # the recipe's own length is 3: modules of that length are called as without the sweep
    found = plan(folder, configurations=["none", "la+ta", "lp+ta"], sweep={LENGTH: [2, 3]})
    longer = "prompt.num_virtual_tokens=2"
    assert sorted(names(found.languages)) == sorted(
        ["la-en-s1", "la-sk-s1", "lp-en-s1", "lp-sk-s1", f"lp-en-s1-{longer}", f"lp-sk-s1-{longer}"]
    )
    assert sorted(names(found.tasks)) == sorted(
        ["la+ta-topic-en-s1", "lp+ta-topic-en-s1", f"lp+ta-topic-en-s1-{longer}"]
    )
    assert {cell.name: cell.settings for cell in found.cells} == {
        "none-topic-en-sk-target-s1": {},
        "la+ta-topic-en-sk-target-s1": {},
        "lp+ta-topic-en-sk-target-s1": {LENGTH: 3},
        f"lp+ta-topic-en-sk-target-s1-{longer}": {LENGTH: 2},
    }


def test_each_cell_has_the_modules_of_its_point(folder):
    found = plan(folder, configurations=["lp+ta"], sweep={LENGTH: [2, 5]}, policies=["target", "untrained"])
    for cell in found.cells:
        length = cell.settings[LENGTH]
        assert cell.language.module.num_virtual_tokens == length
        assert cell.trained.parts[0].above.module.num_virtual_tokens == length


def test_points_are_all_combinations(folder):
    found = plan(folder, configurations=["lp+ta", "ta"], sweep={LENGTH: [2, 3, 4], RATE: [0.01, 1e-3]})
    assert len(found.languages) == 2 * 3 and len(found.tasks) == 3 * 2 + 2
    cells = [cell.settings for cell in found.cells]
    assert [cell for cell in cells if LENGTH not in cell] == [{RATE: 0.01}, {RATE: 0.001}]
    assert len({(cell[LENGTH], cell[RATE]) for cell in cells if LENGTH in cell}) == 6
    assert len({job.id for job in found.jobs}) == len(set(names(found.jobs))) == len(found.jobs)


def test_a_sweep_that_is_added_keeps_names_and_ids(folder):
    before = {job.name: job.id for job in plan(folder).jobs}
    one = {job.name: job.id for job in plan(folder, sweep={LENGTH: [3, 7]}).jobs}
    two = {job.name: job.id for job in plan(folder, sweep={LENGTH: [3, 7, 9], RATE: [1e-3, 0.01]}).jobs}
    assert before.items() < one.items() < two.items()


def test_a_value_is_what_the_recipe_would_say(folder):
    found = plan(folder, sweep={RATE: ["1e-2", 0.001]})
    assert [cell.settings[RATE] for cell in found.cells if cell.settings] == [0.01, 0.001]
    assert {task.training.learning_rate for task in found.tasks} == {0.01, 0.001}


def test_amounts_and_objectives_can_be_swept(folder):
    sweep = {
        "language_training.num_texts": [10, 20],
        "language_training.objective.name": ["span_corruption", "prefix_lm"],
        "task_training.num_examples": [2, None],
    }
    found = plan(folder, configurations=["lp+ta"], sweep=sweep)
    assert {(job.num_texts, job.objective.name) for job in found.languages} == {
        (amount, name) for amount in (10, 20) for name in ("span_corruption", "prefix_lm")
    }
    assert {part.num_examples for task in found.tasks for part in task.parts} == {2, None}
    assert len(found.cells) == 8
    assert "lp-sk-s1-language_training.num_texts=10-objective.name=prefix_lm" in names(found.languages)


def test_data_settings_of_a_task_can_be_swept(folder):
    key = "tasks.0.data.default.train.limit"
    found = plan(folder, configurations=["none", "ta"], sweep={key: [4, 6]})
    assert {task.parts[0].task.source("en", "train").limit for task in found.tasks} == {4, 6}
    assert len({task.parts[0].task.id for task in found.tasks}) == 2  # data of one are not taken for the other's
    assert {cell.name: cell.settings for cell in found.cells} == {
        "none-topic-en-sk-target-s1": {},
        "ta-topic-en-sk-target-s1-train.limit=4": {key: 4},
        "ta-topic-en-sk-target-s1-train.limit=6": {key: 6},
    }


def test_a_sweep_that_changes_nothing_is_refused(folder):
    with pytest.raises(ConfigError, match="num_virtual_tokens changes no result"):
        plan(folder, configurations=["la+ta"], sweep={LENGTH: [2, 3]})
    with pytest.raises(ConfigError, match="checkpoint_every changes no result"):
        plan(folder, sweep={"task_training.adapter.checkpoint_every": [1, 2]})


def test_names_that_would_be_cut_alike_are_kept_apart(folder):
    key = "tasks.0.overrides.input"
    wordings = [f"{'very ' * 12}long {{text}} {end}" for end in "ab"]
    found = plan(folder, configurations=["ta"], sweep={key: wordings})
    assert len(set(names(found.jobs))) == len(found.jobs) == 4
    assert all(len(name) < 120 for name in names(found.jobs))


def test_few_shot_training_follows_the_transfer(folder):
    found = plan(folder, configurations=["none", "lp+ta"], shots=[0, 2, 4], policies=["target", "source"])
    task = "lp+ta-topic-en-s1"
    assert {name: names(parents(job)) for name, job in zip(names(found.tasks), found.tasks, strict=True)} == {
        task: ["lp-en-s1"],
        f"{task}-2shot-sk": ["lp-sk-s1", task],
        f"{task}-4shot-sk": ["lp-sk-s1", task],
        f"{task}-2shot-sk-source": ["lp-en-s1", task],
        f"{task}-4shot-sk-source": ["lp-en-s1", task],
    }
    assert [(cell.name, cell.shots) for cell in found.cells] == [
        ("none-topic-en-sk-target-s1", 0),
        ("lp+ta-topic-en-sk-target-s1", 0),
        ("lp+ta-topic-en-sk-target-s1-2shot", 2),
        ("lp+ta-topic-en-sk-target-s1-4shot", 4),
        ("lp+ta-topic-en-sk-source-s1", 0),
        ("lp+ta-topic-en-sk-source-s1-2shot", 2),
        ("lp+ta-topic-en-sk-source-s1-4shot", 4),
    ]
    for cell in found.cells:
        if cell.shots:
            assert cell.trained.parts[0].above.id == cell.language.id
            assert (cell.trained.shots, cell.trained.parts[0].language) == (cell.shots, "sk")


def test_what_decides_few_shot_training_is_in_its_id(folder):
    def shot_jobs(**changes):
        found = plan(folder, configurations=["lp+ta"], shots=[0, 2], **changes)
        return {job.name: job.id for job in [*found.tasks, *found.cells]}

    before, after = shot_jobs(), shot_jobs(few_shot={"adapter": {"steps": 7}})
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"lp+ta-topic-en-s1-2shot-sk", "lp+ta-topic-en-sk-target-s1-2shot"}


def test_one_module_of_several_sources(folder):
    found = plan(folder, configurations=["lp+ta", "ta"], sources=["en", ["sk", "en"]], targets=["de"])
    joint = next(task for task in found.tasks if task.name == "lp+ta-topic-en+sk-s1")
    assert [(part.language, part.above.name, part.share) for part in joint.parts] == [
        ("en", "lp-en-s1", 1),
        ("sk", "lp-sk-s1", 1),
    ]
    assert joint.source == "en+sk"
    assert {cell.source for cell in found.cells} == {"en", "en+sk"}
    assert next(t for t in found.tasks if t.name == "ta-topic-en+sk-s1").parts[0].above is None
    again = plan(folder, configurations=["lp+ta"], sources=["sk+en"], targets=["de"])
    assert again.tasks[0].id == joint.id


def test_the_source_policy_keeps_the_first_of_several(folder):
    found = plan(folder, configurations=["lp+ta"], sources=[["sk", "en"]], targets=["de"], policies=["source"])
    assert [cell.language.name for cell in found.cells] == ["lp-en-s1"]


def test_a_wrong_language_that_is_right_makes_no_cell(folder):
    found = plan(folder, configurations=["lp+ta"], targets=["sk", "de"], policies=["wrong:de"])
    assert [(cell.target, cell.language.language) for cell in found.cells] == [("sk", "de")]


def test_a_mixture_is_one_module_evaluated_on_each_of_its_tasks(folder):
    mixture = {"name": "both", "shares": {"topic": 3, "two": 1}}
    found = plan(folder, configurations=["none", "lp+ta"], tasks=both_tasks(folder), mixtures=[mixture])
    assert names(found.tasks) == ["lp+ta-topic-en-s1", "lp+ta-two-en-s1", "lp+ta-both-en-s1"]
    assert [(part.task.name, part.share) for part in found.tasks[2].parts] == [("topic", 3), ("two", 1)]
    mixed = [(cell.name, cell.task.name, cell.trained.name) for cell in found.cells if cell.settings]
    assert mixed == [
        ("lp+ta-both.topic-en-sk-target-s1", "topic", "lp+ta-both-en-s1"),
        ("lp+ta-both.two-en-sk-target-s1", "two", "lp+ta-both-en-s1"),
    ]
    assert {cell.settings.get("mixture") for cell in found.cells} == {None, "both"}


def test_a_module_that_starts_from_others_comes_after_them(folder):
    start = {"sk": {"weights": {"en": 0.5, "de": 0.5}, "vectors": {"de": -0.1}, "steps": 0}, "de": "en"}
    found = plan(folder, configurations=["lp+ta"], **edited(folder, "language_training", start=start))
    assert names(found.languages) == ["lp-en-s1", "lp-de-s1", "lp-sk-s1"]
    de, sk = found.languages[1:]
    assert names(parents(de)) == ["lp-en-s1"] and names(parents(sk)) == ["lp-en-s1", "lp-de-s1"]
    told = [(each.job.name, each.factor, each.as_vector) for each in sk.ancestors]
    assert told == [("lp-en-s1", 0.5, False), ("lp-de-s1", 0.5, False), ("lp-de-s1", -0.1, True)]
    assert (sk.training.steps, de.training.steps) == (0, 3)
    plain = {job.name: job.id for job in plan(folder, configurations=["lp+ta"]).languages}
    assert plain["lp-en-s1"] == found.languages[0].id and plain["lp-sk-s1"] != sk.id


def test_another_start_is_another_job(folder):
    def id_of(start):
        found = plan(folder, configurations=["lp+ta"], **edited(folder, "language_training", start={"sk": start}))
        return next(job.id for job in found.languages if job.language == "sk")

    starts = ["en", ["en", "de"], {"weights": {"en": 2.0}}, {"vectors": {"en": 1.0}}]
    assert len({id_of(start) for start in starts}) == len(starts)
