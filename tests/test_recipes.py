"""Every recipe that is shipped can be read, planned and dry-run; no data set of the hub is fetched for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from lingport.cli.main import app
from lingport.config.data import ExampleSource
from lingport.config.load import read_yaml
from lingport.config.schema import Recipe, load_recipe
from lingport.data.fetch import is_commit
from lingport.data.languages import STUDIED
from lingport.grid.plan import make_plan
from lingport.pretrain.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "recipes").glob("*.yaml"))
#: makes a backbone, and is no experiment
STAGES = "stages"
EXPERIMENTS = [file for file in FILES if STAGES not in read_yaml(file).data]


@pytest.fixture(autouse=True)
def no_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(ROOT)


def load(file: Path) -> Recipe:
    if "../shared/" in file.read_text(encoding="utf-8") and not (ROOT / "../shared/data").is_dir():
        pytest.skip("the public data in ../shared are not here")
    return load_recipe(file)


def test_all_kinds_of_recipes_are_found():
    assert {"demo", "paper", "paper-v1"} <= {file.stem for file in EXPERIMENTS}


@pytest.mark.parametrize("file", [file for file in FILES if file not in EXPERIMENTS], ids=lambda file: file.stem)
def test_a_recipe_of_a_backbone_can_be_read(file):
    assert read_recipe(file).stages


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_a_recipe_can_be_planned_and_read_again_from_a_runs_folder(file):
    recipe = load(file)
    plan = make_plan(recipe, fingerprint="0" * 32, base=file.parent)
    assert plan.cells
    assert len({job.id for job in plan.jobs}) == len({job.name for job in plan.jobs}) == len(plan.jobs)
    again = Recipe.model_validate(recipe.model_dump(mode="json"))
    assert [job.id for job in make_plan(again, fingerprint="0" * 32, base=file.parent).jobs] == [
        job.id for job in plan.jobs
    ]


@pytest.mark.slow
@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_a_recipe_can_be_dry_run(file, tmp_path):
    recipe = load(file)
    result = CliRunner().invoke(app, ["run", str(file), "--dry-run", "--json", "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert len(rows) == len(make_plan(recipe, fingerprint="0" * 32, base=file.parent).jobs)
    assert all(row["num_trained"] for row in rows if row["phase"] in ("language", "task"))
    assert not any(row["done"] for row in rows)
    assert not (tmp_path / "run").exists()


def test_the_papers_modules_have_the_papers_sizes(tmp_path):
    result = CliRunner().invoke(app, ["run", "recipes/paper-v1.yaml", "--dry-run", "--json", "--out", str(tmp_path)])
    told = {row["name"]: row["num_trained"] for row in json.loads(result.stdout)}
    assert (told["la-sk-s42"], told["lp-sk-s42"]) == (1_789_056, 38_400)


def test_the_papers_recipe_is_the_papers_experiment():
    recipe = load_recipe(ROOT / "recipes" / "paper.yaml")
    assert recipe.backbone.name == "bigscience/mt0-base"
    assert is_commit(recipe.backbone.revision)
    assert sorted(recipe.text_languages()) == sorted(STUDIED)
    assert (set(recipe.sources) & set(recipe.targets), len(recipe.sources), len(recipe.targets)) == (set(), 6, 10)
    assert [entry.task for entry in recipe.tasks] == ["qa", "ner", "nli", "claims"]
    assert len(recipe.configurations) == 8
    language, task = recipe.language_training, recipe.task_training
    for settings, steps, selection in ((language, 100_000, "last"), (task, 50_000, "score")):
        adapter, prompt = settings.of("adapter"), settings.of("prompt")
        assert (adapter.optimizer, adapter.learning_rate, adapter.weight_decay) == ("adamw", 5e-5, 0)
        assert (prompt.optimizer, prompt.learning_rate, prompt.weight_decay) == ("adafactor", 0.5, 1e-5)
        for each in (adapter, prompt):
            assert (each.steps, each.batch_size, each.selection) == (steps, 32, selection)
            assert (each.schedule, each.warmup_steps, each.evaluate_every) == ("linear", 0, 1000)
        assert (settings.modules.adapter.reduction, settings.modules.prompt.num_virtual_tokens) == (16, 50)
    text = recipe.text["default"]
    assert (text.dataset, text.config, text.num_train, text.num_validation) == (
        "wikipedia",
        "20231101.{language}",
        50_000,
        1_000,
    )


def test_version_1_has_six_languages():
    recipe = load_recipe(ROOT / "recipes" / "paper-v1.yaml")
    whole = load_recipe(ROOT / "recipes" / "paper.yaml")
    assert set(recipe.text_languages()) == {"en", "de", "es", "cs", "sk", "te"}
    assert set(recipe.targets) == {"cs", "sk", "te"}
    alike = ("backbone", "configurations", "text", "language_training", "task_training", "seeds")
    assert all(getattr(recipe, key) == getattr(whole, key) for key in alike)
    for mine, theirs in zip(recipe.tasks, whole.tasks, strict=True):
        assert all(mine.splits(language) == theirs.splits(language) for language in recipe.text_languages())


def test_every_data_set_of_the_papers_recipe_comes_from_the_catalogue():
    recipe = load_recipe(ROOT / "recipes" / "paper.yaml")
    for entry in recipe.tasks:
        for language, split in recipe.data_needed(entry):
            source = getattr(entry.splits(language), split)
            assert isinstance(source, ExampleSource)
            assert source.dataset is not None
            assert source.dataset.endswith(f"/{split}")
