"""AdapterHub's keys: each says what is computed, or is refused by its name."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingport.errors import ModuleError, WrongBackboneError
from lingport.formats.load import load_module
from tests.conftest import GOLDEN
from tests.formats.conftest import VARIANTS, change, logits

BY_NAME = {folder.name: folder for folder in VARIANTS}
REFUSED = {
    "ln_before": True,
    "ln_after": True,
    "use_gating": True,
    "phm_layer": True,
    "dropout": 0.1,
    "stochastic_depth": 0.1,
    "inv_adapter": "glow",
    "architecture": "lora",
    "residual_before_ln": "post_add",
    "original_ln_after": False,
    "non_linearity": "prelu",
    "scaling": "vector",
    "reduction_factor": "16",
    "mh_adapter": "yes",
    "leave_out": [0, 1, 2, 3],
    "a_key_of_the_future": 1,
}


@pytest.mark.parametrize("key", list(REFUSED))
def test_what_is_not_computed_is_refused_by_its_name(key, backbone, copy):
    folder = copy("adapterhub")
    change(folder, config={key: REFUSED[key]})
    with pytest.raises(ModuleError, match=key):
        load_module(folder, backbone)


@pytest.mark.parametrize("key", ["mh_adapter", "output_adapter", "reduction_factor", "non_linearity"])
def test_a_key_that_is_needed_is_named_when_it_is_missing(key, backbone, copy):
    folder = copy("adapterhub")
    change(folder, config={key: KeyError})
    with pytest.raises(ModuleError, match=f"{key}: field required"):
        load_module(folder, backbone)


def test_no_adapter_at_all_is_refused(backbone, copy):
    folder = copy("adapterhub")
    change(folder, config={"output_adapter": False})
    with pytest.raises(ModuleError, match="output_adapter"):
        load_module(folder, backbone)


@pytest.mark.parametrize(
    "harmless",
    [
        {"a_key_of_the_future": None},
        {"a_key_of_the_future": False},
        {"dropout": 0},
        {"dropout": KeyError},
        {"init_weights": "mam_adapter"},
        {"init_weights_seed": 7},
        {"phm_dim": 2},
        {"non_linearity": "ReLU"},
        {"leave_out": [40]},
        {"reduction_factor": {"default": 16, "9": 2}},
        {"reduction_factor": {"0": 16, "1": 16, "2": 16, "3": 16}},
        {"original_ln_after": False, "residual_before_ln": False},
    ],
    ids=str,
)
def test_keys_that_change_nothing_are_taken(harmless, backbone, copy, inputs):
    folder = copy("adapterhub")
    change(folder, config=harmless)
    expected = logits(backbone, load_module(GOLDEN / "adapterhub-1.3" / "language", backbone), inputs)
    assert torch.equal(logits(backbone, load_module(folder, backbone), inputs), expected)


@pytest.mark.parametrize("version", ["3.2.1", "1.1.0", "adapters.2.0.0", ""])
def test_folders_of_other_libraries_and_times_are_refused(version, backbone, copy):
    folder = copy("adapterhub")
    change(folder, version=version)
    with pytest.raises(ModuleError, match=r"version=.*adapters 0\.1 to 1\.3"):
        load_module(folder, backbone)


def test_a_reduction_above_the_width_leaves_one_as_with_adapters(backbone, copy):
    folder = copy("adapterhub")
    tensors = load_file(folder / "adapter.safetensors")
    bottleneck = {"adapter_down.0.weight": 0, "adapter_down.0.bias": 0, "adapter_up.weight": 1}
    for name, value in tensors.items():
        part = name.split("wikipedia.")[1]
        if part in bottleneck:
            tensors[name] = value.narrow(bottleneck[part], 0, 1).clone()
    save_file(tensors, folder / "adapter.safetensors")
    change(folder, config={"reduction_factor": 64})
    assert load_module(folder, backbone).down_weight.shape == (4, 1, 32)


def test_names_of_the_flexible_head_classes_are_known(backbone, copy, inputs):
    folder = copy("adapterhub")
    tensors = load_file(folder / "adapter.safetensors")
    save_file({f"transformer.{name}": value for name, value in tensors.items()}, folder / "adapter.safetensors")
    change(folder, model_class="MT5AdapterModel")
    expected = logits(backbone, load_module(GOLDEN / "adapterhub-1.3" / "language", backbone), inputs)
    assert torch.equal(logits(backbone, load_module(folder, backbone), inputs), expected)


def test_an_invertible_adapter_that_also_inverts_the_output_is_refused(backbone, tmp_path):
    source = BY_NAME["seq_bn_inv"]
    for name in ("adapter.safetensors", "adapter_config.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    change(tmp_path, model_class="MT5AdapterModel")
    with pytest.raises(ModuleError, match="inv_adapter=nice of a MT5AdapterModel"):
        load_module(tmp_path, backbone)


def test_a_head_beside_it_is_left_alone(backbone, copy):
    folder = copy("adapterhub pickled")
    (folder / "head_config.json").write_text("{")
    (folder / "pytorch_model_head.bin").write_bytes(b"cos\nsystem\n(S'touch marker'\ntR.")
    load_module(folder, backbone)


def test_bottlenecks_of_several_widths_keep_their_numbers(backbone):
    module = load_module(BY_NAME["seq_bn-per-layer"], backbone)
    assert module.bottlenecks == [4, 2, 2, 8]
    theirs = load_file(BY_NAME["seq_bn-per-layer"] / "adapter.safetensors")
    assert module.num_trained == sum(value.numel() for value in theirs.values())


@pytest.mark.parametrize(
    ("key", "value"), [("hidden_size", 64), ("model_type", "t5")], ids=["another width", "another family"]
)
def test_another_backbone_is_refused(key, value, backbone, copy):
    folder = copy("adapterhub")
    change(folder, **{key: value})
    with pytest.raises(WrongBackboneError):
        load_module(folder, backbone)


def test_adapters_for_more_blocks_are_for_another_backbone(backbone, copy):
    folder = copy("adapterhub")
    tensors = load_file(folder / "adapter.safetensors")
    more = {name.replace("encoder.block.1.", "encoder.block.2."): value.clone() for name, value in tensors.items()}
    save_file(tensors | more, folder / "adapter.safetensors")
    with pytest.raises(WrongBackboneError, match=r"for 5 blocks, .* for 4"):
        load_module(folder, backbone)


def test_notes_at_the_top_level_are_left_alone(backbone, copy):
    folder = copy("adapterhub")
    change(folder, language="sk", score=0.5)
    load_module(folder, backbone)


def test_the_golden_keys_are_the_keys_of_the_library(copy):
    """The fixture of the oldest version has no key that the newest one lacks: both are read by one list."""
    old, new = (
        set(json.loads((GOLDEN / form / "task" / "adapter_config.json").read_text())["config"])
        for form in ("adapterhub-0.1", "adapterhub-1.3")
    )
    assert old < new
