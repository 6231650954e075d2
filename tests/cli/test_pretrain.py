"""`lingport pretrain` around the loop, which has tests of its own."""

from __future__ import annotations

import json

import yaml

CONTENT = {
    "languages": {"en": {"text": "en.txt"}},
    "stages": [{"name": "copy", "steps": 2, "curriculum": [{"at": 0, "mixture": {"copy": 1}, "length": 8}]}],
}


def test_settings_reach_the_loop_and_its_log_is_shown(call, tmp_path, monkeypatch):
    given = {}

    def pretrain(recipe, out, progress):
        given.update(stages=recipe.stages, out=out)
        progress({"event": "train", "stage": "copy", "fraction": 0.5, "loss": 2.5})
        return out / "backbone"

    monkeypatch.setattr("lingport.pretrain.loop.pretrain", pretrain)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(CONTENT))
    result = call("pretrain", "recipe.yaml", "--out", "out", "stages.0.steps=7", "--json")
    assert given["stages"][0].steps == 7
    assert "loss 2.5" in result.stderr
    assert json.loads(result.stdout)["backbone"] == "out/backbone"


def test_a_wrong_recipe_is_bad_input(call, tmp_path):
    (tmp_path / "recipe.yaml").write_text("languges: {}\n")
    assert "languages" in call("pretrain", "recipe.yaml", "--out", "out", code=2).stderr
    assert "nowhere.yaml" in call("pretrain", "nowhere.yaml", "--out", "out", code=2).stderr
