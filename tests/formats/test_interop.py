"""What `adapters` and `peft` compute with what lingport exports, in environments of their own (`make interop`).

Not run by `make test`: each environment takes minutes and about a gigabyte, once. It is made beside the one that runs
the tests, in `<environment>/interop`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingport.backbones.base import Backbone
from lingport.bench.environments import environment
from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import AdapterSettings, PromptSettings
from lingport.formats.load import export_module, load_module
from lingport.modules.base import TransferModule, new_module
from lingport.modules.store import weights_hash
from tests.conftest import GOLDEN
from tests.tiny import batch, tiny

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("default")]
ADAPTERS = {
    "as in the paper": {},
    "double": {"places": ("self_attention", "feed_forward"), "reads": "branch", "non_linearity": "silu"},
    "parallel": {"reads": "input", "scaling": 4.0, "reduction": 2},
    "everywhere, channels": {
        "places": ("self_attention", "cross_attention", "feed_forward"),
        "scaling": "channel",
        "non_linearity": "tanh",
    },
    "uneven": {
        "layer_reductions": {0: 8, 2: 2},
        "leave_out": (1,),
        "scaling": "learned",
        "non_linearity": "leaky_relu",
    },
    "invertible": {"coupling_reduction": 2, "non_linearity": "gelu_new"},
}
PROMPTS = {"free": {}, "partly fixed": {"fixed_text": "a cat"}}


class Library:
    """Another library's side: collects jobs, runs them all at once, gives what it found for each."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.jobs: list[dict] = []

    def ask(self, backbone: str, modules: list[Path], inputs: Path) -> int:
        out = self.folder / f"out-{len(self.jobs)}"
        self.jobs.append(
            {"backbone": backbone, "modules": [str(path) for path in modules], "inputs": str(inputs), "out": str(out)}
        )
        return len(self.jobs) - 1

    def run(self) -> None:
        (self.folder / "jobs.json").write_text(json.dumps(self.jobs))
        script = Path(__file__).with_name(f"interop_{self.name}.py")
        subprocess.run(
            [environment(self.name), script, self.folder / "jobs.json"],
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())},
        )

    def found(self, job: int) -> tuple[dict[str, torch.Tensor], list[Path]]:
        out = Path(self.jobs[job]["out"])
        return load_file(out / "found.safetensors"), sorted(path for path in out.iterdir() if path.is_dir())


class Case:
    """One comparison: modules of ours on a backbone, the folders they were exported to, and a batch."""

    def __init__(self, backbone: Backbone, modules: list[TransferModule], folders: list[Path], inputs: Path) -> None:
        self.backbone, self.modules, self.folders, self.inputs = backbone, modules, folders, inputs


@pytest.fixture(scope="module")
def backbones(tmp_path_factory) -> dict[str, tuple[Backbone, Path]]:
    """Tiny backbones in folders, with a batch each: the golden mT5, and a T5."""
    found = {}
    golden = Backbone.load(str(GOLDEN / "base"), dtype="float32", device="cpu")
    found["mt5"] = golden, GOLDEN / "inputs.safetensors"
    folder = tmp_path_factory.mktemp("t5")
    made = tiny("t5")
    made.model.save_pretrained(folder / "base")
    made.tokenizer.save_pretrained(folder / "base")
    save_file(batch(made), folder / "inputs.safetensors")
    found["t5"] = Backbone.load(str(folder / "base"), dtype="float32", device="cpu"), folder / "inputs.safetensors"
    return found


def ours(case: Case) -> tuple[torch.Tensor, list[list[int]]]:
    model = ComposedModel(case.backbone)
    inputs = load_file(case.inputs)
    with torch.no_grad(), model.using(Composition(*case.modules)):
        logits = model(**inputs).logits
        found = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=6)
    return logits, [[0, *ids, *([1] if done else [])] for ids, done in zip(found.ids, found.finished, strict=True)]


def compared(cases: dict[str, Case], to: str, folder: Path) -> None:
    """Asks the library for every case and compares logits, greedy tokens, and the module that it saves again."""
    library = Library(to, folder)
    jobs = {name: library.ask(case.backbone.name, case.folders, case.inputs) for name, case in cases.items()}
    library.run()
    for name, case in cases.items():
        theirs, again = library.found(jobs[name])
        logits, greedy = ours(case)
        difference = (logits - theirs["logits"]).abs().max().item()
        print(f"{to:9} {name:45} logits of up to {logits.abs().max():5.1f}, largest difference {difference:.1e}")
        assert difference < 1e-5, name
        for mine, other in zip(greedy, theirs["greedy"].tolist(), strict=True):
            mine = mine[: len(other)]
            assert mine == other[: len(mine)], name
            assert set(other[len(mine) :]) <= {0}, name
        for module, place in zip(case.modules, again, strict=True):
            back = load_module(place, case.backbone)
            assert weights_hash(back) == weights_hash(module) or len(getattr(module, "fixed", ())), name


def test_adapters_computes_what_we_compute(backbones, tmp_path):
    cases = {}
    for family, (backbone, inputs) in backbones.items():
        made = {}
        for number, (name, settings) in enumerate(ADAPTERS.items()):
            said = AdapterSettings(**{"reduction": 4, "init_std": 0.2, **settings})
            made[name] = new_module("adapter", said, backbone, seed=number)
            export_module(made[name], tmp_path / family / str(number), backbone, to="adapterhub", name=f"a{number}")
            cases[f"{family}, {name}"] = Case(backbone, [made[name]], [tmp_path / family / str(number)], inputs)
        other = new_module("adapter", AdapterSettings(reduction=8, init_std=0.2), backbone, seed=9)
        export_module(other, tmp_path / family / "other", backbone, to="adapterhub")
        pair = [tmp_path / family / "0", tmp_path / family / "other"]
        cases[f"{family}, language and task"] = Case(backbone, [made["as in the paper"], other], pair, inputs)
    compared(cases, "adapters", tmp_path)


def test_peft_computes_what_we_compute(backbones, tmp_path):
    cases = {}
    for family, (backbone, inputs) in backbones.items():
        for number, (name, settings) in enumerate(PROMPTS.items()):
            said = PromptSettings(num_virtual_tokens=7, init="vocab", **settings)
            module = new_module("prompt", said, backbone, seed=number)
            export_module(module, tmp_path / family / str(number), backbone, to="peft")
            cases[f"{family}, {name}"] = Case(backbone, [module], [tmp_path / family / str(number)], inputs)
    compared(cases, "peft", tmp_path)
