"""The arithmetic of every configuration against what `adapters` computed."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import CONFIGURATIONS
from tests.conftest import GOLDEN, adapterhub_place

NAMES = ["none", "ta", "la", "la+ta", "tp", "lp", "la+tp", "lp+ta", "lp+tp"]


def composition(name: str, modules: dict) -> Composition:
    parts = [] if name == "none" else name.split("+")
    found = {part[0]: modules[part] for part in parts}
    return Composition(language=found.get("l"), task=found.get("t"))


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "inputs.safetensors"), load_file(GOLDEN / "expected.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_logits_loss_and_greedy_tokens(name, backbone, golden_modules, golden):
    inputs, expected = golden
    model = ComposedModel(backbone)
    with model.using(composition(name, golden_modules)), torch.no_grad():
        out = model(**inputs)
        found = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=6)
    assert (out.logits - expected[f"{name}.logits"]).abs().max() < 1e-5
    assert (out.loss - expected[f"{name}.loss"]).abs() < 1e-5
    for row, ids in enumerate(found.ids):
        theirs = expected[f"{name}.greedy"][row].tolist()
        generated = [0, *ids, *([1] if found.finished[row] else [])][: len(theirs)]
        assert generated == theirs[: len(generated)]
        assert set(theirs[len(generated) :]) <= {0}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_gradients(name, backbone, golden_modules, golden):
    inputs, expected = golden
    model = ComposedModel(backbone)
    for module in golden_modules.values():
        module.requires_grad_(True).zero_grad()
    with model.using(composition(name, golden_modules)):
        model(**inputs).loss.backward()
    compared = 0
    for key, theirs in expected.items():
        if not key.startswith(f"{name}.grad."):
            continue
        tensor = key.removeprefix(f"{name}.grad.")
        if tensor.startswith("prompt."):
            module = golden_modules[f"{tensor.split('.')[1][0]}p"]
            ours = module.get_parameter("prompt").grad
            theirs = theirs[: len(ours)]
        else:
            module = golden_modules["ta" if "ta" in name else "la"]
            parameter, index = adapterhub_place(backbone, tensor)
            ours = module.get_parameter(parameter).grad[index]
        assert torch.linalg.norm(ours - theirs) <= 1e-4 * torch.linalg.norm(theirs) + 1e-9, key
        compared += 1
    assert compared > 0
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_every_trained_configuration_is_golden():
    assert set(CONFIGURATIONS) - {"full"} <= set(NAMES)


def test_mixed_rows_get_what_they_get_alone(backbone, golden_modules, golden):
    inputs, _ = golden
    model = ComposedModel(backbone)
    compositions = [composition(name, golden_modules) for name in NAMES]
    batch = {key: value[[row % 3 for row in range(len(NAMES))]] for key, value in inputs.items()}
    with torch.no_grad(), model.using(compositions):
        mixed = model(**batch)
        mixed_ids = model.generate_ids(batch["input_ids"], batch["attention_mask"], max_new_tokens=6)
    for row, alone in enumerate(compositions):
        one = {key: value[row : row + 1] for key, value in batch.items()}
        one["input_ids"] = one["input_ids"][:, : int(one["attention_mask"].sum())]
        one["attention_mask"] = one["attention_mask"][:, : one["input_ids"].shape[1]]
        with torch.no_grad(), model.using(alone):
            out = model(**one)
            ids = model.generate_ids(one["input_ids"], one["attention_mask"], max_new_tokens=6)
        assert (mixed.logits[row] - out.logits[0]).abs().max() < 1e-5
        assert mixed_ids.ids[row] == ids.ids[0]
        assert mixed_ids.finished[row] == ids.finished[0]
        assert abs(mixed_ids.log_likelihood[row] - ids.log_likelihood[0]) < 1e-4


def test_mixed_rows_in_rank(backbone, golden_modules):
    model = ComposedModel(backbone)
    words = backbone.tokenizer.convert_ids_to_tokens(list(range(20, 30)))
    texts = [" ".join(words[: 3 + row % 4]) for row in range(len(NAMES))]
    compositions = [composition(name, golden_modules) for name in NAMES]
    with model.using(compositions):
        mixed = model.rank(texts, [words[0], f"{words[1]} {words[2]}"])
    for row, alone in enumerate(compositions):
        with model.using(alone):
            one = model.rank([texts[row]], [words[0], f"{words[1]} {words[2]}"])
        assert (mixed[row] - one[0]).abs().max() < 1e-4
    assert len({round(value, 4) for value in mixed[:, 0].tolist()}) > 5
