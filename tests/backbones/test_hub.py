"""Loading a backbone by its hub name, against a server on this machine.

In a process of its own: huggingface_hub reads its settings when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import GOLDEN
from tests.hub_server import COMMIT, hub_server

LOAD = """
import sys
from lingport.backbones.base import Backbone
from lingport.errors import LingportError
try:
    backbone = Backbone.load(sys.argv[1], dtype="float32", device="cpu")
    print(backbone.revision, backbone.fingerprint)
except LingportError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""


def load(name: str, endpoint: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, "-c", LOAD, name], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_a_hub_name_is_fetched_once_and_pinned_to_its_commit(backbone, tmp_path):
    with hub_server({"someone/tiny-mt5": GOLDEN / "base"}) as hub:
        first = load("someone/tiny-mt5", hub.endpoint, tmp_path)
        assert first.returncode == 0, first.stderr
        assert first.stdout.split() == [COMMIT, backbone.fingerprint]
        assert hub.count(f"GET /someone/tiny-mt5/resolve/{COMMIT}/model.safetensors") == 1


def test_a_name_that_is_not_there_says_what_to_do(tmp_path):
    with hub_server() as hub:
        found = load("someone/nothing", hub.endpoint, tmp_path)
    assert found.returncode == 2
    assert "BackboneError" in found.stdout and "someone/nothing" in found.stdout and "hub name" in found.stdout
