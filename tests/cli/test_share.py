"""modules push, pull, card, show and audit; predict with a bundle; a hub name in place of a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lingport.backbones.base import Backbone
from lingport.compose.bundle import save_bundle
from lingport.modules.store import read_manifest
from tests.cli.conftest import BACKBONE
from tests.hub_server import MAIN, hub_server, use_hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # see tests/test_hub.py
SMALL = ["steps=2", "batch_size=2", "--backbone", BACKBONE]
LANGUAGE = ["train-language", "--text", "en.txt", *SMALL, "objective.max_length=24", "text.validation=0.2"]
TASK = ["train-task", "--task", "animals.yaml", "--source", "en", "--train", "animals.csv"]
TASK = [*TASK, "--validation", "animals.csv", *SMALL]
TEXTS = "a red cat\nno dog\n"


@pytest.fixture
def served(tmp_path, monkeypatch):
    with hub_server() as running:
        use_hub(running, tmp_path / "home", monkeypatch)
        yield running


@pytest.fixture
def prompt(call, files) -> Path:
    call(*LANGUAGE, "--kind", "prompt", "module.num_virtual_tokens=3", "--language", "en", "--out", "modules/lp-en")
    return files / "modules" / "lp-en"


@pytest.fixture
def bundle(call, files, prompt) -> Path:
    call(*TASK, "--language-module", prompt, "--out", "modules/ta")
    manifest = read_manifest(files / "modules" / "ta")["provenance"]
    return save_bundle(
        files / "bundle",
        backbone={"name": manifest["backbone"], "fingerprint": manifest["backbone_fingerprint"]},
        configuration="lp+ta",
        fusion="concat",
        languages={"en": prompt, "sk": prompt},
        task=files / "modules" / "ta",
        task_definition=manifest["training"]["task"],
        evidence={},
    )


def test_what_is_trained_above_a_module_of_the_hub_remembers_its_commit(call, served, prompt):
    told = json.loads(call("modules", "push", prompt, "me/lp-en", "--license", "mit", "--json").stdout)
    commit = served.repositories["me/lp-en"].branches[MAIN]
    assert told == {"repository": "me/lp-en", "commit": commit, "url": f"{served.endpoint}/me/lp-en/tree/{commit}"}
    content = served.repositories["me/lp-en"].at(MAIN)[1]["README.md"].decode()
    assert "license: mit" in content and "- data: en.txt (English (en))" in content

    call(*TASK, "--language-module", "me/lp-en", "--out", "direct")
    assert call("modules", "pull", "me/lp-en", "got").stdout == f"got, commit {commit}\n"
    call(*TASK, "--language-module", "got", "--out", "pulled")
    for name in ("direct", "pulled"):
        below = read_manifest(Path(name))["provenance"]["above"]
        assert below["origin"] == {"repository": "me/lp-en", "commit": commit}
        shown = call("modules", "show", name).stdout
        assert f"me/lp-en at {commit[:12]}" in shown and "trained above the language module" in shown
        assert json.loads(call("modules", "show", name, "--json").stdout)["family"]["parents"][0]["language"] == "en"


def test_errors_of_the_hub_are_short_and_have_their_codes(call, served, prompt):
    assert "no such repository" in call("modules", "pull", "me/nothing", "got", code=2).stderr
    served.token = "hf_x"
    told = call("modules", "push", prompt, "me/lp-en", code=2).stderr
    assert "hub:me/lp-en" in told and "hf auth login" in told and "Traceback" not in told
    assert not Path("got").exists()


def test_predict_takes_a_bundle_from_a_folder_or_the_hub(call, served, bundle):
    shutil.rmtree(bundle.parent / "modules")  # the bundle has everything
    lines = call("predict", bundle, "--language", "sk", stdin=TEXTS).stdout.splitlines()
    assert len(lines) == 2 and set(lines) <= {"cat", "dog"}
    (bundle.parent / "in.txt").write_text(TEXTS)
    assert call("predict", bundle, "in.txt", "--language", "en").stdout.splitlines() == lines  # the same module
    call("modules", "push", bundle, "me/animals")
    found = call("predict", "me/animals", "in.txt", "task.decoding=rank", "--language", "sk", "--jsonl").stdout
    assert [json.loads(line)["output"] for line in found.splitlines()] == lines
    told = call("predict", bundle, stdin=TEXTS, code=2).stderr
    assert "which language" in told and "en, sk" in told
    assert "no module for the language 'de'" in call("predict", bundle, "--language", "de", stdin="x", code=2).stderr
    together = ["predict", bundle, "--language", "sk", "--task-module", "x"]
    assert "brings its modules along" in call(*together, stdin="x", code=2).stderr


def test_evaluate_scores_a_bundle_as_its_modules(call, bundle, prompt):
    data = ["--test", "animals.csv", "--language", "sk", "--json", "data.limit=6"]
    apart = call("evaluate", "--task-module", "modules/ta", "--language-module", prompt, *data).stdout
    shutil.rmtree(bundle.parent / "modules")  # the bundle has everything
    assert call("evaluate", bundle, *data).stdout == apart
    assert "brings its modules along" in call("evaluate", bundle, "--task-module", "x", *data, code=2).stderr
    assert "no bundle here" in call("evaluate", "animals.csv", *data, code=2).stderr


def test_what_is_no_bundle_is_told(call, served, files):
    (files / "empty").mkdir()
    assert "no bundle here" in call("predict", "empty", "--language", "sk", stdin="x", code=2).stderr
    asked = len(served.log)
    assert "no such file" in call("predict", "data/texts.txt", "--language", "sk", "--task", "topic", code=2).stderr
    assert len(served.log) == asked  # a missing file's name is not sent anywhere
    assert "no such repository" in call("predict", "me/topic", "--language", "sk", stdin="x", code=2).stderr


def test_a_sibling_backbone_has_to_be_allowed(call, files, prompt, bundle, tmp_path):
    sibling = Backbone.load(BACKBONE, dtype="float32", device="cpu")
    sibling.model.shared.weight.data[5] += 1
    sibling.model.save_pretrained(tmp_path / "sibling")
    sibling.tokenizer.save_pretrained(tmp_path / "sibling")
    other = ["--backbone", tmp_path / "sibling"]
    for command in (
        ["predict", bundle, "--language", "sk"],
        ["predict", "--task-module", "modules/ta", "--language-module", prompt],
        ["evaluate", "--task-module", "modules/ta", "--language-module", prompt, "--test", "animals.csv"],
        ["modules", "audit", prompt],
    ):
        told = call(*command, *other, stdin=TEXTS, code=2).stderr
        assert "trained on" in told and "--allow-other-backbone" in told
        call(*command, *other, "--allow-other-backbone", stdin=TEXTS)


def test_cards_are_shown_and_written(call, prompt):
    shown = call("modules", "card", prompt, "--name", "me/lp-en").stdout
    assert "A soft prompt for English (en) text" in shown and "lp.load_module('me/lp-en', backbone)" in shown
    assert not (prompt / "README.md").exists()
    call("modules", "card", prompt, "--write")
    assert "a card already" in call("modules", "card", prompt, "--write", code=2).stderr
    call("modules", "card", prompt, "--write", "--replace")


def test_an_audit_in_words_and_as_json(call, prompt):
    shown = call("modules", "audit", prompt).stdout
    assert "nearest tokens" in shown and "0 warnings" in shown and "clears nobody" in shown
    told = json.loads(call("modules", "audit", prompt, "--json").stdout)
    assert len(told["virtual_tokens"]) == 3 and told["warnings"] == []
