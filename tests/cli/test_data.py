"""`lingport data` as it is seen."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import constants


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))


def test_the_list_says_licence_and_origin(call):
    lines = call("data", "list", "--task", "nli").stdout.splitlines()
    (xnli,) = (line for line in lines if line.startswith("xnli "))
    assert "CC BY-NC 4.0" in xnli
    assert "hub: facebook/xnli" in xnli
    assert any(line.startswith("ronli ") and "files that you bring" in line for line in lines)
    assert not any(line.startswith("squad ") for line in lines)
    told = call("data", "list", "--task", "nl", code=2).stderr
    assert "did you mean 'nli'" in told


def test_an_entry_is_shown_whole(call):
    shown = call("data", "show", "multiclaim").stdout
    assert "research only, on request" in shown
    assert "train-all.csv" in shown
    assert "unverified:" in shown
    assert "looked up and kept at first use" in call("data", "show", "uqa").stdout
    facts = json.loads(call("data", "show", "xnli", "--json").stdout)
    assert facts["commit"] == facts["source"]["revision"]
    assert facts["splits"] == ["train", "validation", "test"]
    assert "did you mean 'xnli'" in call("data", "show", "xnl", code=2).stderr
