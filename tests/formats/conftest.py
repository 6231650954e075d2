"""What the tests of the formats share: folders of the golden formats to break, and what a module computes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from tests.conftest import GOLDEN

#: format -> a golden folder of it
FOLDERS = {
    "adapterhub": GOLDEN / "adapterhub-1.3" / "language",
    "adapterhub pickled": GOLDEN / "adapterhub-0.1" / "language",
    "peft": GOLDEN / "peft-0.21" / "language",
    "paper": GOLDEN / "paper" / "language",
}
VARIANTS = sorted(path for path in (Path(__file__).parent / "adapterhub").iterdir() if path.is_dir())


@pytest.fixture
def copy(tmp_path) -> Callable[[str], Path]:
    """Copies a golden folder to where it may be changed."""

    def copied(form: str) -> Path:
        shutil.copytree(FOLDERS[form], tmp_path / "theirs")
        return tmp_path / "theirs"

    return copied


def change(folder: Path, **values: Any) -> None:
    """Changes keys of adapter_config.json: AdapterHub's inner ones with `config=...`; KeyError takes one out."""
    file = folder / "adapter_config.json"
    content = json.loads(file.read_text())
    inner = values.pop("config", {})
    for target, new in ((content, values), (content.get("config", {}), inner)):
        for key, value in new.items():
            if value is KeyError:
                del target[key]
            else:
                target[key] = value
    file.write_text(json.dumps(content))


@pytest.fixture(scope="session")
def inputs() -> dict[str, torch.Tensor]:
    """The golden batch."""
    return load_file(GOLDEN / "inputs.safetensors")


def logits(backbone, module, inputs) -> torch.Tensor:
    """What a backbone with a module gives for a batch."""
    model = ComposedModel(backbone)
    with torch.no_grad(), model.using(Composition(task=module)):
        return model(**inputs).logits
