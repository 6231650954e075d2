"""`modules merge`: sums of modules on the command line, which are modules like any other."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from lingport.modules.store import read_manifest
from tests.cli.conftest import BACKBONE


@pytest.fixture
def two(call, files):
    """Two language prompts of one shape."""
    for language, steps in (("en", 2), ("sk", 3)):
        call(
            "train-language",
            "--language",
            language,
            "--text",
            f"{language}.txt",
            "--backbone",
            BACKBONE,
            "--steps",
            steps,
            "--out",
            f"lp-{language}",
            "batch_size=2",
            "module.num_virtual_tokens=3",
            "objective.max_length=24",
            "validation_chunks=2",
            "text.validation=0.2",
        )
    return files


def rows(path):
    return load_file(path / "weights.safetensors")["prompt"]


def test_the_mean_of_two_modules(call, two):
    told = json.loads(call("modules", "merge", "lp-en", "lp-sk", "--out", "mean", "--json").stdout)
    assert told["kind"] == "prompt"
    assert torch.allclose(rows(two / "mean"), (rows(two / "lp-en") + rows(two / "lp-sk")) / 2, atol=1e-6)
    known = read_manifest(two / "mean")["provenance"]
    assert (known["role"], known["language"]) == ("language", None)
    assert [(each["name"], each["factor"]) for each in known["ancestors"]] == [("lp-en", 0.5), ("lp-sk", 0.5)]
    assert "lp-sk" in call("modules", "show", "mean").stdout


def test_a_weighted_sum_with_a_language(call, two):
    call("modules", "merge", "lp-en", "lp-sk", "--weights", "1.5,-0.5", "--language", "cs", "--out", "sum")
    assert torch.allclose(rows(two / "sum"), 1.5 * rows(two / "lp-en") - 0.5 * rows(two / "lp-sk"), atol=1e-6)
    assert read_manifest(two / "sum")["provenance"]["language"] == "cs"


def test_what_cannot_be_merged_is_said(call, two):
    assert (
        "2 factors for 1 modules" in call("modules", "merge", "lp-en", "--weights", "1,2", "--out", "x", code=2).stderr
    )
    assert "are no numbers" in call("modules", "merge", "lp-en", "--weights", "half", "--out", "x", code=2).stderr
    assert "lies there already" in call("modules", "merge", "lp-en", "lp-sk", "--out", "lp-en", code=2).stderr
