"""`lingport pretrain` around the loop, which has tests of its own."""

from __future__ import annotations

import json

import yaml

CONTENT = {
    "languages": {"en": {"text": "en.txt"}},
    "stages": [{"name": "copy", "steps": 2, "curriculum": [{"at": 0, "mixture": {"copy": 1}, "length": 8}]}],
}


MEASURED = {"languages": {"en": {"loss": 4.5, "marked": 0.925}}, "mean": {"loss": 4.5, "marked": 0.925}}


def test_settings_reach_the_loop_and_what_comes_of_it_is_shown(call, tmp_path, monkeypatch):
    given = {}

    def pretrain(recipe, out, progress):
        given.update(stages=recipe.stages, out=out)
        progress({"event": "train", "stage": "copy", "fraction": 0.5, "loss": 2.5})
        (out / "backbone").mkdir(parents=True, exist_ok=True)
        return out / "backbone"

    monkeypatch.setattr("lingport.pretrain.loop.pretrain", pretrain)
    monkeypatch.setattr("lingport.pretrain.evaluate.evaluate_backbone", lambda folder, recipe: MEASURED)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(CONTENT))
    result = call("pretrain", "recipe.yaml", "--out", "out", "stages.0.steps=7", "--json")
    assert given["stages"][0].steps == 7
    assert "loss 2.5" in result.stderr
    told = json.loads(result.stdout)
    assert (told["backbone"], told["evaluation"]) == ("out/backbone", MEASURED)
    assert json.loads((tmp_path / "out/backbone/evaluation.json").read_text()) == MEASURED
    lines = call("pretrain", "recipe.yaml", "--out", "out").stdout.splitlines()
    assert [line.split() for line in lines if line.startswith(("en", "mean"))] == [
        ["en", "4.5", "0.925"],
        ["mean", "4.5", "0.925"],
    ]


def test_a_wrong_recipe_is_bad_input(call, tmp_path):
    (tmp_path / "recipe.yaml").write_text("languges: {}\n")
    assert "languages" in call("pretrain", "recipe.yaml", "--out", "out", code=2).stderr
    assert "nowhere.yaml" in call("pretrain", "nowhere.yaml", "--out", "out", code=2).stderr
