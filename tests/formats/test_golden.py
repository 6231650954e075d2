"""Golden files of every format, read as they are: what they compute is what their libraries computed."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.formats.load import load_module
from lingport.modules.store import weights_hash
from tests.conftest import GOLDEN
from tests.formats.conftest import VARIANTS, logits

NAMES = ["none", "ta", "la", "la+ta", "tp", "lp", "la+tp", "lp+ta", "lp+tp"]


@pytest.mark.parametrize("adapters", ["adapterhub-1.3", "adapterhub-0.1"])
@pytest.mark.parametrize("prompts", ["peft-0.21", "paper"])
def test_all_nine_configurations_through_foreign_files(adapters, prompts, backbone, inputs):
    expected = load_file(GOLDEN / "expected.safetensors")
    formats = {"a": adapters, "p": prompts}
    model = ComposedModel(backbone)
    for name in NAMES:
        parts = {} if name == "none" else {part[0]: part for part in name.split("+")}
        modules = {
            role: load_module(GOLDEN / formats[part[1]] / {"l": "language", "t": "task"}[role], backbone)
            for role, part in parts.items()
        }
        with model.using(Composition(modules.get("l"), modules.get("t"))), torch.no_grad():
            out = model(**inputs)
            found = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=6)
        assert (out.logits - expected[f"{name}.logits"]).abs().max() < 1e-5, name
        for row, ids in enumerate(found.ids):
            theirs = expected[f"{name}.greedy"][row].tolist()
            generated = [0, *ids, *([1] if found.finished[row] else [])][: len(theirs)]
            assert generated == theirs[: len(generated)], name
            assert set(theirs[len(generated) :]) <= {0}


@pytest.mark.parametrize("folder", VARIANTS, ids=lambda folder: folder.name)
def test_every_configuration_of_adapterhub(folder, backbone, inputs):
    theirs = load_file(folder / "expected.safetensors")["logits"]
    found = logits(backbone, load_module(folder, backbone), inputs)
    # A millionth of the largest logits, which are up to 22: the backbone alone differs by 7e-6 between the two versions
    # of transformers, and processors round otherwise (1.2e-5 for par_bn with AVX2 alone).
    assert (found - theirs).abs().max() < 1e-6 * theirs.abs().max()
    assert (found - logits(backbone, None, inputs)).abs().max() > 0.1


@pytest.mark.parametrize("role", ["language", "task"])
def test_pickled_and_safe_files_give_the_same_bits(role, backbone):
    for new, old in (("adapterhub-1.3", "adapterhub-0.1"), ("peft-0.21", "paper")):
        first, second = (load_module(GOLDEN / form / role, backbone) for form in (new, old))
        assert weights_hash(first) == weights_hash(second)


def test_a_foreign_module_is_frozen_and_remembers_what_is_known(backbone):
    module = load_module(GOLDEN / "adapterhub-1.3" / "task", backbone)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert module.provenance.backbone_fingerprint == backbone.fingerprint
    assert module.provenance.origin == {
        "format": "adapterhub",
        "model_name": "google/mt5-base",
        "name": "xnli",
        "version": "adapters.1.3.0",
    }
    prompt = load_module(GOLDEN / "paper" / "task", backbone)
    assert prompt.rows().shape == (7, 32)
    assert (prompt.settings.init, prompt.settings.init_keep_eos) == ("text", True)
    assert prompt.settings.init_text == "Generate the output in Slovak:"
