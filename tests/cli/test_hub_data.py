"""A data set of the catalogue through the program as users start it, against a hub on this machine.

In a process of its own: huggingface_hub reads its settings when it is imported.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pyarrow
import pytest
from pyarrow import parquet

from lingport.config.catalogue import load_entry
from tests.conftest import GOLDEN
from tests.dataset_server import ServedDataset, dataset_server


def pairs(*labels: int) -> bytes:
    """XNLI's columns, classes as numbers with their names in the metadata, as the hub writes them."""
    classes = {"label": {"names": ["entailment", "neutral", "contradiction"], "_type": "ClassLabel"}}
    rows = {
        "premise": [f"a cat {n}" for n in labels],
        "hypothesis": [f"a pet {n}" for n in labels],
        "label": list(labels),
    }
    metadata = {"huggingface": json.dumps({"info": {"features": classes}})}
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(rows).replace_schema_metadata(metadata), stream)
    return stream.getvalue()


@pytest.mark.slow
def test_a_recipe_that_names_xnli_is_checked_on_the_commit_of_the_catalogue(tmp_path):
    commit = load_entry("xnli").source["revision"]
    places = {"en/train": (0, 2), "en/validation": (1, 2), "bg/test": (0, 1, 2)}
    files = {f"{place}-00000-of-00001.parquet": pairs(*labels) for place, labels in places.items()}
    recipe = {
        "name": "x",
        "backbone": {"name": str(GOLDEN / "base")},
        "configurations": ["ta"],
        "sources": ["en"],
        "targets": ["bg"],
        "tasks": [{"task": "nli", "data": {"default": "xnli"}}],
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    with dataset_server({"facebook/xnli": ServedDataset({commit: files}, branches={})}) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        environment |= {"HF_HUB_DISABLE_XET": "1"}
        environment.pop("HF_HUB_OFFLINE", None)
        command = [sys.executable, "-c", "from lingport.cli.main import main; main()", "check", "recipe.yaml"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "task nli, bg, test: 3 examples" in done.stdout
    assert "-> Maybe" in done.stdout
    assert f"fetching bg/test-00000-of-00001.parquet of facebook/xnli, commit {commit}" in done.stderr
    assert hub.count("GET datasets/") == 3
