"""Numbers of trained parameters at the paper's sizes, from the real classes on a model without weights."""

from __future__ import annotations

import pytest
import torch
from transformers import MT5Config, MT5ForConditionalGeneration

from lingport.backbones.t5 import T5Layout
from lingport.config.modules import AdapterSettings, ModuleSettings, PromptSettings
from lingport.errors import ModuleError
from lingport.modules.bottleneck import BottleneckAdapter
from lingport.modules.soft_prompt import SoftPrompt


class Shape:
    """As much of a backbone as building a module needs: the layout of mT0-base on the meta device."""

    def __init__(self) -> None:
        config = MT5Config(
            vocab_size=250112,
            d_model=768,
            d_kv=64,
            d_ff=2048,
            num_layers=12,
            num_heads=12,
            feed_forward_proj="gated-gelu",
        )
        with torch.device("meta"):
            self.layout = T5Layout(MT5ForConditionalGeneration(config))
        self.device = torch.device("cpu")

    def embed(self, token_ids):
        return torch.zeros(len(token_ids), 768)


@pytest.fixture(scope="module")
def mt0_base():
    return Shape()


def test_the_paper_adapter_has_its_size(mt0_base):
    adapter = BottleneckAdapter.build(AdapterSettings(), mt0_base)
    assert adapter.down_weight.shape == (24, 48, 768)
    assert adapter.num_trained == 1_789_056
    assert len(adapter.bind(mt0_base.layout)) == 24


def test_the_paper_prompt_has_its_size(mt0_base):
    settings = ModuleSettings().prompt.model_copy(update={"init": "random", "init_std": 1.0})
    prompt = SoftPrompt.build(settings, mt0_base)
    assert prompt.rows().shape == (50, 768)
    assert prompt.num_trained == 38_400


def test_an_adapter_starts_with_small_weights_and_zero_biases(backbone):
    adapter = BottleneckAdapter.build(AdapterSettings(reduction=2), backbone, seed=5)
    for name, value in adapter.named_parameters():
        if name.endswith("bias"):
            assert (value == 0).all()
        else:
            assert value.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_reduction_that_leaves_no_bottleneck_is_refused(backbone):
    with pytest.raises(ModuleError, match="leaves no bottleneck"):
        BottleneckAdapter.build(AdapterSettings(reduction=64), backbone)
    assert BottleneckAdapter.build(AdapterSettings(reduction=32), backbone).down_weight.shape[1] == 1


def test_an_adapter_of_another_width_or_depth_does_not_bind(backbone, mt0_base):
    adapter = BottleneckAdapter.build(AdapterSettings(), backbone)
    with pytest.raises(ModuleError, match="sublayers of width 32"):
        adapter.bind(mt0_base.layout)
    prompt = SoftPrompt.build(PromptSettings(init="random"), backbone)
    with pytest.raises(ModuleError, match="32 wide"):
        prompt.bind(mt0_base.layout)
