"""What a GPU would compute: that nothing lies on the wrong device, what is waited for, and the same numbers.

Devices and waiting are tried with a stand-in (`on_gpu.py`), numbers on the CPU with the parts that a GPU takes, and on
a GPU itself where there is one.
"""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental import _config
from torch.nn.attention import SDPBackend, sdpa_kernel

from lingport.backbones import attention, fused
from lingport.backbones.base import Backbone
from lingport.compose import loss
from lingport.compose.composition import Composition
from lingport.compose.loss import check_kernel
from lingport.compose.model import ComposedModel
from lingport.config.modules import AdapterSettings
from lingport.config.training import TrainingSettings
from lingport.data.batch import Row
from lingport.evaluate.loss import mean_loss
from lingport.modules.base import KINDS, new_module
from lingport.train import loop
from lingport.train.learner import Learner, LearnerState
from tests.on_gpu import OnGpu
from tests.tiny import FAMILIES, TEXTS, batch, module, shared, tiny

ROWS = [Row([5] * source, [6] * target) for source, target in ((5, 2), (4, 3), (5, 1))]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.fixture(params=["mt5", "umt5"])
def far(request):
    """A backbone on the stand-in for a GPU, and modules there."""
    backbone = tiny(request.param)
    modules = {kind: module(kind, backbone) for kind in KINDS}
    modules |= {name: module("adapter", backbone) for name in ("language", "other")}
    coupled = AdapterSettings(reduction=4, coupling_reduction=2, scaling="learned")
    modules["coupled"] = new_module("adapter", coupled, backbone)
    for each in modules.values():
        each.to("meta").provenance.backbone_fingerprint = ""  # there are no weights to compare
    far_model = backbone.model.to("meta")
    far_model.tie_weights()  # which only this device takes apart
    return Backbone(far_model, backbone.tokenizer, name="far"), modules


def state(own, composition, **settings):
    made = TrainingSettings.model_validate(settings)
    return LearnerState(Learner("it", own, composition, lambda _step: ROWS, made), lambda *_: None)


def step_on_gpu(backbone, states, *, dropout=0.1):
    with OnGpu() as gpu, backbone.dropout(dropout):
        loop.step(ComposedModel(backbone), states)
    return gpu


@pytest.mark.parametrize("own", ["adapter", "prompt", "coupled"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"optimizer": "adafactor", "label_smoothing": 0.1}, {"gradient_checkpointing": True}, {"tokens_at_once": 8}],
)
def test_a_step_waits_for_its_loss_and_the_norm_of_its_gradient_alone(far, own, settings):
    backbone, modules = far
    composition = Composition(modules["language"], modules[own])
    gpu = step_on_gpu(backbone, [state(modules[own], composition, **settings)])
    assert gpu.waits == ["_to_copy", "_local_scalar_dense"]
    assert gpu.started["mm"] > 0


def test_learners_of_a_pass_wait_for_no_more(far):
    backbone, modules = far
    states = [
        state(modules["prompt"], Composition(modules["language"], modules["prompt"])),
        state(modules["adapter"], Composition(modules["coupled"], modules["adapter"])),
        state(modules["other"], Composition(task=modules["other"]), label_smoothing=0.1),
    ]
    assert step_on_gpu(backbone, states, dropout=0.0).waits == ["_to_copy"] + 3 * ["_local_scalar_dense"]


@_config.patch(meta_nonzero_assume_all_nonzero=True)  # they may wait
def test_full_fine_tuning_and_evaluation_mix_no_devices(far):
    backbone, modules = far
    step_on_gpu(backbone, [state(modules["full"], Composition(task=modules["full"]), label_smoothing=0.1)])
    model = ComposedModel(backbone)
    rows = [
        Composition(modules["language"], modules["prompt"]),
        Composition(),
        Composition(modules["other"], modules["adapter"]),
        Composition(task=modules["coupled"]),
    ]
    with OnGpu():
        mean_loss(model, rows[0], ROWS)
        with model.using(rows):
            assert len(model.generate(TEXTS, max_new_tokens=4)) == 4
            assert model.rank(TEXTS, ["yes", "no way"]).shape == (4, 2)
    with backbone.plain(), OnGpu(), model.using(rows):
        inputs = {name: value.to("meta") for name, value in batch(backbone).items()}
        model(**inputs).loss.backward()


def test_the_stand_in_notices_what_would_fail():
    far, near = torch.zeros(3, device="meta"), torch.zeros(3)
    with OnGpu() as gpu:
        with pytest.raises(AssertionError, match=r"add of tensors on \['cpu', 'meta'\]"):
            far + near
        with pytest.raises(AssertionError, match="index"):
            far[torch.tensor([0])]
        assert (far + torch.tensor(1.0)).is_meta
        assert gpu.waits == []
        float(far.sum())
        far.tolist()
        assert len(gpu.waits) == 2


@pytest.fixture
def with_gpu_parts(monkeypatch):
    """Computes on the CPU with what a GPU takes."""
    for room in (fused, attention, loss):
        monkeypatch.setattr(room, "in_loops", lambda _x: False)


def losses_and_gradients(backbone, own, inputs):
    own.requires_grad_(True).zero_grad()
    model = ComposedModel(backbone)
    with model.using(Composition(task=own)):
        losses = model.row_losses(**inputs)
        losses.sum().backward()
    return losses.detach().cpu(), [each.grad.cpu().clone() for each in own.parameters() if each.grad is not None]


@pytest.mark.parametrize("kind", [*KINDS])
@pytest.mark.parametrize("family", FAMILIES)
def test_parts_that_a_gpu_takes_give_the_numbers_of_the_models_own_code(family, kind, with_gpu_parts, monkeypatch):
    backbone = shared(family)
    monkeypatch.setattr(backbone.layout, "packs", False)
    own, inputs = module(kind, backbone), batch(backbone, extra=1)
    losses, gradients = losses_and_gradients(backbone, own, inputs)
    with backbone.plain():
        plain_losses, plain_gradients = losses_and_gradients(backbone, own, inputs)
    torch.testing.assert_close(losses, plain_losses, rtol=1e-6, atol=1e-5)
    for found, expected in zip(gradients, plain_gradients, strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("padded", [True, False])
def test_the_bias_of_attention_is_one_that_fused_kernels_read(padded, with_gpu_parts, monkeypatch):
    backbone = shared("mt5")
    monkeypatch.setattr(backbone.layout, "packs", False)
    inputs = batch(backbone, TEXTS if padded else TEXTS[:1] * 4)
    seen = []
    whole = torch.nn.functional.scaled_dot_product_attention

    def noted(q, k, v, **others):
        seen.append((q, others["attn_mask"]))
        return whole(q, k, v, **others)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", noted)
    with torch.no_grad():
        ComposedModel(backbone).row_losses(**inputs)
    assert len(seen) == 2 + 2 * 1  # encoder; decoder, and across
    for q, bias in seen:
        assert bias.dtype == q.dtype
        assert bias.stride(-1) == 1
        assert all(stride % 8 == 0 for stride in bias.stride()[:-1])
        assert not bias.requires_grad
    rows = [bias.shape[0] for _, bias in seen]
    assert rows == ([4, 4, 1, 4] if padded else [1] * 4), "a bias that all rows share is not copied for each"
    assert seen[0][1] is seen[1][1], "made once for all blocks"


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_of_the_loss_is_right_on_this_gpu(dtype):
    from lingport.compose.kernels import head_loss

    check_kernel(head_loss, torch.device("cuda", torch.cuda.current_device()), dtype)


@needs_gpu
@pytest.mark.parametrize("kind", [*KINDS])
@pytest.mark.parametrize("family", FAMILIES)
def test_this_gpu_gives_the_numbers_of_the_processor(family, kind):
    own = module(kind, shared(family))
    losses, gradients = losses_and_gradients(shared(family), own, batch(shared(family)))
    backbone = tiny(family)
    backbone = Backbone(backbone.model.to("cuda"), backbone.tokenizer, name="on the GPU")
    own.to("cuda").provenance.backbone_fingerprint = ""
    found, found_gradients = losses_and_gradients(backbone, own, batch(backbone))
    torch.testing.assert_close(found, losses, rtol=1e-4, atol=1e-4)
    for one, other in zip(found_gradients, gradients, strict=True):
        assert (one - other).norm() <= 1e-3 * other.norm()


@needs_gpu
def test_attention_takes_a_fused_kernel_on_this_gpu():
    backbone = tiny("mt5", d_kv=64)
    backbone = Backbone(backbone.model.to("cuda", torch.bfloat16), backbone.tokenizer, name="on the GPU")
    own = module("adapter", shared("mt5")).to("cuda")
    own.provenance.backbone_fingerprint = ""
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]), backbone.dropout(0.1):
        losses_and_gradients(backbone, own, batch(backbone, extra=1))
