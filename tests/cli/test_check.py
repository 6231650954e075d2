"""`lingport check` as it is seen."""

from __future__ import annotations

import json


def test_check_shows_each_data_set(call, recipe):
    out = call("check", recipe).stdout
    assert "task animals, en, train: 12 examples" in out
    assert "  | animal: no dog 0\n  |   -> dog" in out
    assert "text, en, validation:" in out
    assert "limit 256" in out


def test_problems_come_together_with_exit_code_2(call, recipe):
    (recipe.parent / "animals.csv").write_text("text,label\na,cat\nb,bird\n")
    result = call("check", recipe, "text.en.path=missing.txt", code=2)
    assert "2 problems in" in result.stderr
    assert "'bird'" in result.stderr
    assert "animals.csv:3" in result.stderr
    assert "missing.txt" in result.stderr


def test_json_holds_everything(call, recipe):
    told = json.loads(call("check", recipe, "--json").stdout)
    assert told["problems"] == []
    assert {(row.get("task"), row["split"]) for row in told["data"]} == {
        (None, "train"),
        (None, "validation"),
        ("animals", "train"),
        ("animals", "validation"),
        ("animals", "test"),
    }
