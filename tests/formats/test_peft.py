"""Prompts of PEFT and of the paper: which rows count, and keys that are refused by their name."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingport.errors import ModuleError, WrongBackboneError
from lingport.formats.load import load_module
from tests.formats.conftest import FOLDERS, change

REFUSED = {
    "peft_type": "PREFIX_TUNING",
    "task_type": "CAUSAL_LM",
    "num_virtual_tokens": "5",
    "num_transformer_submodules": 3,
    "modules_to_save": ["lm_head"],
    "auto_mapping": {"base_model_class": "MT5ForConditionalGeneration"},
    "a_key_of_the_future": "yes",
}


@pytest.mark.parametrize("form", ["peft", "paper"])
@pytest.mark.parametrize("key", list(REFUSED))
def test_what_is_not_computed_is_refused_by_its_name(key, form, backbone, copy):
    folder = copy(form)
    change(folder, **{key: REFUSED[key]})
    with pytest.raises(ModuleError, match=key):
        load_module(folder, backbone)


@pytest.mark.parametrize("key", ["peft_type", "num_virtual_tokens"])
def test_a_key_that_is_needed_is_named_when_it_is_missing(key, backbone, copy):
    folder = copy("peft")
    change(folder, **{key: KeyError})
    with pytest.raises(ModuleError, match=f"{key}: field required"):
        load_module(folder, backbone)


@pytest.mark.parametrize("parts", [1, 2, None])
def test_the_first_rows_are_the_prompt(parts, backbone, copy):
    folder = copy("peft")
    rows = load_file(FOLDERS["peft"] / "adapter_model.safetensors")["prompt_embeddings"]
    assert rows.shape == (10, 32)
    if parts == 1:
        save_file({"prompt_embeddings": rows[:5].clone()}, folder / "adapter_model.safetensors")
    change(folder, num_transformer_submodules=parts)
    assert torch.equal(load_module(folder, backbone).rows(), rows[:5])


def test_a_number_of_rows_that_fits_nothing_is_refused(backbone, copy):
    folder = copy("peft")
    change(folder, num_virtual_tokens=4)
    with pytest.raises(ModuleError, match=r"\(10, 32\), not \(8, 32\)"):
        load_module(folder, backbone)


@pytest.mark.parametrize("width", [16, 64])
def test_another_width_is_another_backbone(width, backbone, copy):
    folder = copy("paper")
    change(folder, token_dim=width)
    with pytest.raises(WrongBackboneError, match=f"width {width}"):
        load_module(folder, backbone)


def test_the_mean_of_prompts_is_not_a_modules_wish(backbone, copy):
    folder = copy("paper")
    change(folder, fusion="avg")
    with pytest.raises(ModuleError, match="fusion=avg"):
        load_module(folder, backbone)
    change(folder, fusion="cat", task_prompt=True)
    load_module(folder, backbone)


def test_a_fixed_part_stays_fixed(backbone, copy):
    folder = copy("paper")
    whole = load_module(folder, backbone).rows()
    change(folder, partial_embedding=True, fixed_size=2, partial_prompt_tuning_init_text="in Slovak")
    module = load_module(folder, backbone)
    assert (len(module.fixed), len(module.prompt), module.settings.fixed_text) == (2, 3, "in Slovak")
    assert torch.equal(module.rows(), whole)
    change(folder, fixed_size=5)
    with pytest.raises(ModuleError, match="fixed_size=5 leaves none of num_virtual_tokens=5"):
        load_module(folder, backbone)
