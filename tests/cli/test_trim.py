"""`lingport trim` as it is seen."""

from __future__ import annotations

import json

from tests.cli.conftest import BACKBONE


def test_a_trimmed_backbone_is_used_like_any_other(call, files):
    found = json.loads(call("trim", "--backbone", BACKBONE, "--text", "sk.txt", "--out", "small", "--json").stdout)
    assert found["tokens"]["trimmed"] < found["tokens"]["whole"]
    assert found["weights"]["trimmed"] < found["weights"]["whole"]
    exactness = found["exactness"]
    assert exactness["error"] < 1e-6
    assert abs(exactness["whole"] - exactness["trimmed"] - exactness["dropped"]) < 1e-6
    assert 0 <= found["unseen_tokens_dropped"] < 0.1
    training = (
        "--text",
        "sk.txt",
        "--language",
        "sk",
        "--steps",
        1,
        "batch_size=2",
        "objective.max_length=24",
        "text.num_validation=9",
    )
    call("train-language", *training, "--backbone", "small", "--kind", "adapter", "--out", "la")
    call("predict", "--backbone", BACKBONE, "--language-module", "la", "--task", "ner", stdin="a red cat\n")


def test_what_it_says(call, files):
    told = call("trim", "--backbone", BACKBONE, "--text", "sk.txt", "--out", "small")
    assert "weights" in told.stdout
    assert "the mass of the dropped tokens makes" in told.stderr
    again = call("trim", "--backbone", BACKBONE, "--text", "sk.txt", "--out", "small", code=2).stderr
    assert "small: the folder is not empty" in again
    (files / "short.txt").write_text("a red cat\n")
    call("trim", "--backbone", BACKBONE, "--text", "short.txt", "--out", "smaller")
    assert "nowhere.txt" in call("trim", "--backbone", BACKBONE, "--text", "nowhere.txt", "--out", "b", code=2).stderr
