"""The verbs that handle one module: train-language, train-task, evaluate, predict; modules list and show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import BACKBONE

SMALL = ["steps=2", "batch_size=2"]
LANGUAGE = [
    "train-language",
    "--backbone",
    BACKBONE,
    "--text",
    "en.txt",
    *SMALL,
    "objective.max_length=24",
    "text.validation=0.2",
]
PROMPT = ["--kind", "prompt", "module.num_virtual_tokens=3"]
FILES = ["--train", "animals.csv", "--validation", "animals.csv"]
TASK = ["train-task", "--backbone", BACKBONE, "--task", "animals.yaml", "--source", "en", *FILES, *SMALL]
TEXTS = "a red cat\n\nno dog\n"


@pytest.fixture
def modules(call, files) -> Path:
    """A language module and a task module above it."""
    call(*LANGUAGE, *PROMPT, "--language", "en", "--out", "modules/lp-en")
    call(*TASK, "--language-module", "modules/lp-en", "--out", "modules/ta")
    return files / "modules"


def test_train_language_says_what_it_gave_and_is_not_done_twice(call, files):
    command = [*LANGUAGE, *PROMPT, "--language", "sk", "--out", "modules/lp-sk"]
    first = call(*command, "--json")
    told = json.loads(first.stdout)
    assert (told["kind"], told["language"], told["steps"]) == ("prompt", "sk", 2)
    assert told["validation_loss"] != told["validation_loss_before"]
    assert sorted(path.name for path in (files / "modules").iterdir()) == ["lp-sk", "metrics"]
    again = call(*command, "--json")
    assert "trained already" in again.stderr
    assert json.loads(again.stdout) == told
    assert "nothing is overwritten" in call(*command, "learning_rate=0.1", code=2).stderr


def test_a_killed_training_goes_on(call, files, monkeypatch):
    command = [*LANGUAGE, *PROMPT, "--language", "sk", "--out", "modules/lp-sk", "checkpoint_every=1"]

    def killed(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lingport.cli.single.keep", killed)
        call(*command, code=130)
    assert (files / "modules/lp-sk.checkpoint.safetensors").is_file()
    assert "goes on after step 1" in call(*command).stderr
    assert not (files / "modules/lp-sk.checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--kind", "promt"], "did you mean 'prompt'"),
        (["stpes=3"], "did you mean 'steps'"),
        (["other.txt"], "put a pattern in quotes"),
        (["module.num_virtual_tokens=0"], "module.num_virtual_tokens"),
    ],
)
def test_wrong_settings_of_train_language(call, files, arguments, told):
    command = [*LANGUAGE, "--language", "sk", "--out", "modules/x", *arguments]
    assert told in call(*command, code=2).stderr


def test_a_missing_option_or_format_is_told(call, files):
    command = ["train-task", "--task", "animals.yaml", "--source", "en", "--out", "m"]
    assert "--train: this option is needed" in call(*command, code=2).stderr
    assert "--format squad" in call(*command, "--train", "a.foo", code=2).stderr


def test_evaluate_with_the_task_as_it_was_trained(call, modules):
    (modules.parent / "animals.yaml").unlink()  # the module knows its task
    command = ["evaluate", "--task-module", "modules/ta", "--test", "animals.csv", "data.limit=6"]
    told = json.loads(call(*command, "--language-module", "modules/lp-en", "--json").stdout)
    assert (told["task"], told["language"], told["counts"]["examples"]) == ("animals", "en", 6)
    assert 0.0 <= told["scores"]["accuracy"] <= 1.0
    alone = call(*command, "--predictions", "out/said.jsonl")
    assert "was trained above the language module lp-en, and is used without" in alone.stderr
    assert "accuracy" in alone.stdout
    rows = [json.loads(line) for line in (modules.parent / "out/said.jsonl").read_text().splitlines()]
    assert [row["gold"] for row in rows] == ["dog", "cat"] * 3


def test_roles_are_not_confused(call, modules):
    command = ["evaluate", "--task-module", "modules/lp-en", "--test", "animals.csv"]
    assert "this is a language module" in call(*command, code=2).stderr
    command = ["predict", "--task-module", "modules/ta", "--language-module", "modules/ta"]
    assert "this is a task module" in call(*command, stdin=TEXTS, code=2).stderr


def test_predict_gives_a_line_for_every_line(call, modules):
    command = ["predict", "--task-module", "modules/ta", "--language-module", "modules/lp-en"]
    lines = call(*command, stdin=TEXTS).stdout.split("\n")
    assert [line in ("cat", "dog") for line in lines[:3]] == [True, False, True]
    assert lines[1] == lines[3] == ""
    rows = [json.loads(line) for line in call(*command, "--jsonl", stdin=TEXTS).stdout.splitlines()]
    assert [row["input"] for row in rows] == ["a red cat", "", "no dog"]
    assert [row["output"] for row in rows] == [lines[0], None, lines[2]]
    (modules.parent / "in.txt").write_text(TEXTS)
    assert call(*command, "in.txt", "--batch-size", 1).stdout.split("\n") == lines


def test_predict_on_the_bare_backbone(call, files):
    command = ["predict", "--backbone", BACKBONE, "--task", "animals.yaml", "--language", "en"]
    assert call(*command, stdin="a red cat").stdout.strip() in ("cat", "dog")
    assert "which language" in call(*command[:-2], stdin="x", code=2).stderr
    assert "which task" in call("predict", stdin="x", code=2).stderr


def test_predict_with_several_fields_reads_json(call, files):
    command = ["predict", "--backbone", BACKBONE, "--task", "qa", "--language", "en", "task.max_target_tokens=2"]
    row = {"question": "who?", "context": "a cat sat"}
    told = json.loads(call(*command, "--jsonl", stdin=json.dumps(row)).stdout)
    assert told["input"] == row
    assert "standard input:1: context missing" in call(*command, stdin='{"question": "x"}', code=2).stderr
    assert "standard input:1:1: not valid JSON" in call(*command, stdin="who?", code=2).stderr
    assert "standard input:1:3: not UTF-8" in call(*command, stdin=b"ab\xff", code=2).stderr


def test_modules_are_listed_and_shown(call, modules):
    rows = json.loads(call("modules", "list", "modules", "--json").stdout)
    assert [(row["name"], row["role"], row["language"], row["task"]) for row in rows] == [
        ("lp-en", "language", "en", None),
        ("ta", "task", "en", "animals"),
    ]
    assert "lp-en" in call("modules", "list", ".").stdout  # as in a run's folder
    shown = call("modules", "show", "modules/ta").stdout
    assert "trained above the language module" in shown
    told = json.loads(call("modules", "show", "modules/lp-en", "--json").stdout)
    assert told["tensors"]["prompt"] == [3, 32]


def test_a_broken_module_does_not_hide_the_others(call, modules):
    (modules / "ta" / "module.json").write_text("{")
    result = call("modules", "list", "modules")
    assert "not valid JSON" in result.stderr
    assert "lp-en" in result.stdout
    assert "no module here" in call("modules", "show", "modules", code=2).stderr
    assert "no such folder" in call("modules", "list", "nowhere", code=2).stderr
