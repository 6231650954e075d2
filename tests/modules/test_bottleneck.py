"""Bottleneck adapters beyond the paper's: where they act, what they read, and the contract of a module in each form.

Their numbers are compared with AdapterHub's in tests/formats.
"""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import AdapterSettings
from lingport.errors import ModuleError
from lingport.modules.base import new_module
from lingport.modules.bottleneck import NON_LINEARITIES, BottleneckAdapter
from lingport.modules.store import load_module, save_module, weights_hash
from tests.tiny import FAMILIES, batch, module, row_of, shared

FORMS = {
    "branch": {"reads": "branch", "places": ("self_attention", "feed_forward"), "non_linearity": "silu"},
    "parallel": {"reads": "input", "scaling": 4.0},
    "cross-attention": {"places": ("cross_attention",), "scaling": "channel"},
    "parallel attention": {"reads": "input", "places": ("self_attention", "cross_attention")},
    "uneven": {"layer_reductions": {0: 8, 2: 2}, "leave_out": (1,), "scaling": "learned", "non_linearity": "sigmoid"},
    "invertible": {"coupling_reduction": 2},
}
forms = pytest.mark.parametrize("form", list(FORMS))
families = pytest.mark.parametrize("family", FAMILIES)


def adapter(form: str, backbone, *, seed: int = 0) -> BottleneckAdapter:
    settings = AdapterSettings(reduction=4, init_std=0.3, **FORMS[form])
    built = new_module("adapter", settings, backbone, seed=seed)
    assert isinstance(built, BottleneckAdapter)
    return built


def logits(backbone, rows, inputs):
    model = ComposedModel(backbone)
    with torch.no_grad(), model.using(rows):
        return model(**inputs).logits


@forms
@families
def test_padding_changes_nothing_and_detaching_restores(form, family):
    backbone = shared(family)
    plain = logits(backbone, Composition(), batch(backbone))
    composition = Composition(language=adapter(form, backbone))
    expected = logits(backbone, composition, batch(backbone))
    for side, extra in (("right", 7), ("left", 5)):
        found = logits(backbone, composition, batch(backbone, side=side, extra=extra))
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (expected - plain).abs().max() > 1e-3
    assert torch.equal(logits(backbone, Composition(), batch(backbone)), plain)


@forms
@families
def test_rows_of_a_batch_have_their_own(form, family):
    backbone = shared(family)
    mine, other = adapter(form, backbone, seed=1), module("adapter", backbone, seed=2)
    prompt = module("prompt", backbone)
    rows = [Composition(mine, other), Composition(other), Composition(prompt, mine), Composition()]
    inputs = batch(backbone)
    mixed = logits(backbone, rows, inputs)
    for index, composition in enumerate(rows):
        alone = logits(backbone, composition, row_of(inputs, index))
        assert torch.allclose(mixed[index], alone[0], rtol=1e-5, atol=2e-5)


@forms
def test_cached_generation_is_the_uncached_argmax_loop(form):
    backbone = shared("mt5")
    model, inputs = ComposedModel(backbone), batch(backbone)
    with torch.no_grad(), model.using(Composition(task=adapter(form, backbone))):
        found = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=5)
        for row, ids in enumerate(found.ids):
            one = row_of(inputs, row)
            labels = torch.tensor([[*ids, 1]])
            out = model(one["input_ids"], one["attention_mask"], labels).logits[0].argmax(-1).tolist()
            assert out[: len(ids)] == ids


@forms
@families
def test_saved_and_loaded_it_is_the_same(form, family, tmp_path):
    backbone = shared(family)
    own = adapter(form, backbone)
    save_module(own, tmp_path / "m")
    loaded = load_module(tmp_path / "m", backbone)
    assert (loaded.settings, loaded.num_trained) == (own.settings, own.num_trained)
    assert weights_hash(loaded) == weights_hash(own)


@forms
def test_gradients_reach_every_part_and_nothing_else(form):
    backbone = shared("t5")
    own = adapter(form, backbone)
    model = ComposedModel(backbone)
    with model.using(Composition(language=own)):
        model(**batch(backbone)).loss.backward()
    for name, parameter in own.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert all(parameter.grad is None for parameter in backbone.model.parameters())
    for index, bottleneck in enumerate(own.bottlenecks):  # what a narrower bottleneck leaves free is never trained
        assert (own.down_weight.grad[index, bottleneck:] == 0).all()
        assert (own.up_weight.grad[index, :, bottleneck:] == 0).all()


def test_only_numbers_that_do_something_are_counted():
    backbone = shared("mt5")
    own = adapter("uneven", backbone)
    assert own.bottlenecks == [2, 8]
    assert own.num_trained == sum(2 * 16 * width + width + 16 + 1 for width in (2, 8))


def test_what_each_form_reads():
    """At one site, with the identity as non-linearity, the sum can be written down."""
    backbone = shared("t5")
    model, inputs = ComposedModel(backbone), batch(backbone)
    layer = backbone.model.encoder.block[0].layer[1]
    seen = {}
    hooks = [
        layer.register_forward_hook(lambda _m, args, out: seen.update(x=args[0], h=out)),
        layer.dropout.register_forward_hook(lambda _m, _args, out: seen.update(branch=out)),
        backbone.model.encoder.block[1].register_forward_pre_hook(lambda _m, args: seen.update(after=args[0])),
    ]
    try:
        for reads in ("output", "branch", "input"):
            settings = AdapterSettings(
                reduction=2, init_std=0.3, reads=reads, leave_out=(1, 2), non_linearity="linear", scaling=0.5
            )
            own = new_module("adapter", settings, backbone)
            with torch.no_grad():
                model(**inputs)
                z = {"output": seen["h"], "branch": seen["branch"], "input": seen["x"]}[reads]
                expected = seen["h"] + 0.5 * z @ own.down_weight[0].T @ own.up_weight[0].T
                with model.using(Composition(task=own)):
                    model(**inputs)
            assert torch.allclose(seen["after"], expected, rtol=1e-5, atol=1e-5), reads
    finally:
        for hook in hooks:
            hook.remove()


def test_a_coupling_can_be_undone():
    backbone = shared("mt5")
    own = adapter("invertible", backbone)
    assert own.coupling is not None
    x_bsd = torch.randn(2, 3, 16)
    with torch.no_grad():
        y_bsd = own.coupling.transform(torch.relu, x_bsd)
        a, c = y_bsd.split(8, dim=-1)
        c = c - own.coupling._net("second", torch.relu, a)
        a = a - own.coupling._net("first", torch.relu, c)
    assert torch.allclose(torch.cat([a, c], dim=-1), x_bsd, atol=1e-5)
    assert (y_bsd - x_bsd).abs().max() > 0.1


def test_every_non_linearity_of_the_settings_is_there():
    assert set(AdapterSettings.model_json_schema()["properties"]["non_linearity"]["enum"]) == set(NON_LINEARITIES)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layer_reductions": {0: 64}}, "reduction=64.0 leaves no bottleneck"),
        ({"coupling_reduction": 64}, "coupling_reduction=64.0 leaves no bottleneck"),
        ({"leave_out": (0, 1, 2)}, "leave_out leaves no layer"),
        ({"leave_out": (0, 9)}, r"does not have: \[9\]"),
        ({"layer_reductions": {3: 2}}, r"does not have: \[3\]"),
    ],
)
def test_settings_that_fit_no_backbone_are_refused(settings, said):
    with pytest.raises(ModuleError, match=said):
        BottleneckAdapter.build(AdapterSettings(**settings), shared("t5"))


@pytest.mark.parametrize(
    "settings",
    [
        {"places": ()},
        {"places": ("head",)},
        {"non_linearity": "prelu"},
        {"scaling": float("nan")},
        {"scaling": "each"},
        {"layer_reductions": {0: 0}},
        {"layer_reductions": {"first": 2}},
        {"coupling_reduction": 0},
    ],
)
def test_settings_that_say_nothing_sound_are_refused(settings):
    with pytest.raises(ValidationError):
        AdapterSettings(**settings)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"widths": torch.tensor([2, 4])}, "bottlenecks"),
        ({"widths": torch.tensor([2.0, 8.0])}, "widths"),
        ({"widths": torch.tensor([[2, 8]])}, "widths"),
        ({"scaling": torch.ones(2, 2)}, "scaling"),
        ({"scaling": None}, "scaling"),
        (
            {"down_weight": torch.zeros(2, 4, 16), "down_bias": torch.zeros(2, 4), "up_weight": torch.zeros(2, 16, 4)},
            "4",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_settings_are_refused(broken, said):
    backbone = shared("mt5")
    own = adapter("uneven", backbone)
    tensors = {name: value for name, value in {**own.state_dict(), **broken}.items() if value is not None}
    with pytest.raises(ModuleError, match=said):
        made = BottleneckAdapter.empty(own.settings, tensors)
        made.load_state_dict(tensors)
        made.bind(backbone.layout)


@forms
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_prepared_are_those_that_are_there(form, dtype):
    backbone = shared("mt5")
    built = adapter(form, backbone)
    site = {binding.site: binding for binding in built.bind(backbone.layout) if hasattr(binding, "site")}
    transform = next(iter(site.values())).transform
    h, x = (torch.randn(1, 5, backbone.layout.width, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    h, x = h.to(dtype), x.to(dtype)

    def computed():
        with torch.no_grad():
            return transform(h, x)

    first = computed()
    assert torch.equal(first, computed())
    with torch.no_grad():
        built.up_weight.mul_(2)
    changed = computed()
    assert not torch.equal(first, changed)
    built.requires_grad_(True)
    trained = transform(h, x)
    assert torch.equal(trained.detach(), changed)
    trained.sum().backward()
    assert built.up_weight.grad is not None and built.up_weight.grad.any()
