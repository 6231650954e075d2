"""The command itself: help of every verb, late imports, errors and exit codes."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command

from lingport.cli import main
from lingport.errors import DataError

VERBS = [
    "demo",
    "check",
    "run",
    "train-language",
    "train-task",
    "evaluate",
    "predict",
    "pretrain",
    "report",
    "recommend",
]
HEAVY = ["torch", "transformers", "datasets", "pydantic", "numpy", "yaml", "rich", "sklearn", "matplotlib"]


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from lingport.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('loaded:', [name for name in {HEAVY} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "loaded: []" in out
    assert all(verb in out for verb in [*VERBS, "modules"])


@pytest.mark.parametrize("verb", [[verb] for verb in VERBS] + [["modules", "list"], ["modules", "show"]])
def test_every_verb_has_help_with_an_example(call, verb):
    out = call(*verb, "--help").stdout
    assert "For example:" in out
    assert f"lingport {' '.join(verb)}" in out
    assert "[[" not in out


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_are_understood(verb):
    text = importlib.import_module(f"lingport.cli.{verb.replace('-', '_')}").EXAMPLES
    lines = text.replace("\\\n", " ").strip().splitlines()
    assert lines
    command: Any = get_command(main.app)
    for line in lines:
        words = shlex.split(line.split("| ")[-1].split(" > ")[0])
        assert words[:2] == ["lingport", verb]
        command.commands[verb].make_context(verb, words[2:])


def test_brackets_in_help_are_not_eaten(call):
    assert "configurations=[none,ta]" in call("run", "--help").stdout


def test_version(call):
    assert call("--version").stdout.startswith("lingport 0.")


def test_an_unknown_verb_is_bad_input_and_names_the_nearest(call):
    assert "'predict'" in call("predct", code=2).stderr


def test_an_error_is_told_without_a_traceback(call):
    result = call("run", "nowhere.yaml", code=2)
    assert result.stdout == ""
    assert result.stderr == "error: nowhere.yaml: no such file\n  -> check the path\n"


@pytest.mark.parametrize("arguments", [["--debug", "run", "nowhere.yaml"], ["run", "nowhere.yaml", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(call, arguments):
    assert "Traceback" in call(*arguments, code=2).stderr


def test_an_interrupt_says_how_to_go_on(call, monkeypatch):
    def interrupted(*_arguments, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("lingport.report.build.build_report", interrupted)
    assert "continues" in call("report", "runs/x", code=main.EXIT_INTERRUPTED).stderr


def test_the_exit_code_is_that_of_the_error(call, monkeypatch):
    def failed(*_arguments, **_settings):
        raise DataError("broken", where="file:1", hint="mend it")

    monkeypatch.setattr("lingport.report.build.build_report", failed)
    assert call("report", "runs/x", code=2).stderr == "error: file:1: broken\n  -> mend it\n"
