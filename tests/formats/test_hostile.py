"""Hostile and broken folders: a typed, clear error within a second; nothing is run, nothing is written."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from lingport.errors import LingportError, ModuleError, WrongBackboneError
from lingport.formats.load import load_module
from tests.formats import hostile
from tests.formats.conftest import FOLDERS
from tests.tiny import tiny

#: who can be spoilt how
SPOILT = (
    (tuple(FOLDERS), hostile.ANY),
    (("adapterhub", "peft"), hostile.SAFE),
    (("adapterhub pickled", "paper"), hostile.PICKLED),
    (("adapterhub", "adapterhub pickled"), hostile.ADAPTERHUB),
    (("peft", "paper"), hostile.PROMPTS),
)
CASES = [
    pytest.param(form, *case, id=f"{form}: {name}")
    for forms, cases in SPOILT
    for form in forms
    for name, case in cases.items()
]


def state(folder: Path) -> dict[str, tuple]:
    """Everything in a folder, as it is: names, sizes, times of change."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            stat = (Path(root) / name).lstat()
            found[f"{root}/{name}"] = (stat.st_mode, stat.st_size, stat.st_mtime_ns)
    return found


@pytest.mark.parametrize(("form", "spoil", "said"), CASES)
def test_it_is_refused_at_once(form, spoil, said, backbone, copy, tmp_path, monkeypatch):
    folder = copy(form)
    spoil(folder, tmp_path / "marker")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = state(tmp_path)
    start = time.perf_counter()
    with pytest.raises(ModuleError, match=said) as caught:
        load_module(folder, backbone)
    took_s = time.perf_counter() - start
    assert took_s < 1, f"{took_s:.2f} s"
    assert state(tmp_path) == before
    assert not (tmp_path / "marker").exists()
    assert caught.value.where and len(str(caught.value)) < 2_000


@pytest.mark.parametrize("form", list(FOLDERS))
def test_a_backbone_of_another_size_is_refused(form):
    with pytest.raises(WrongBackboneError, match="width 32"):
        load_module(FOLDERS[form], tiny("mt5"))


def test_the_code_in_the_pickles_would_run_if_it_were_unpickled(copy, tmp_path):
    """Else the marker that never appears would prove nothing."""
    import pickle

    folder = copy("paper")
    hostile.plain_pickle(2)(folder, tmp_path / "marker")
    pickle.loads(hostile.weights(folder).read_bytes())
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("form", list(FOLDERS))
def test_no_change_of_some_bytes_raises_anything_else(form, backbone, copy):
    draw = random.Random(form)
    whole = {file.name: file.read_bytes() for file in sorted(FOLDERS[form].iterdir()) if file.is_file()}
    refused, folder = 0, copy(form)
    for _ in range(200):
        name = draw.choice(list(whole))
        content = bytearray(whole[name])
        # Headers and directories lie at either end.
        places = range(min(600, len(content))) if draw.random() < 0.5 else range(len(content))[-600:]
        for _ in range(draw.choice((1, 2, 8))):
            content[draw.choice(places)] = draw.randrange(256)
        if draw.random() < 0.2:
            del content[draw.randrange(len(content)) :]
        (folder / name).write_bytes(content)
        try:
            load_module(folder, backbone)
        except LingportError:
            refused += 1
        (folder / name).write_bytes(whole[name])
    assert refused > 50
