"""What two prompts give: one after the other, language first, or their mean."""

from __future__ import annotations

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.config.modules import PromptSettings
from lingport.errors import CompositionError
from lingport.modules.base import new_module
from tests.tiny import batch, module, shared


@pytest.fixture(scope="module")
def own():
    return shared("mt5")


@pytest.fixture(scope="module")
def prompts(own):
    return module("prompt", own, rows=3, seed=1), module("prompt", own, rows=5, seed=2)


def encoder_input(model, call):
    """What reaches the encoder while `call` runs, with padded rows, which can be told apart."""
    seen = []
    packs, model.backbone.layout.packs = model.backbone.layout.packs, False
    encoder = model.backbone.model.get_encoder()
    hook = encoder.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append((kwargs["inputs_embeds"], kwargs["attention_mask"])),
        with_kwargs=True,
    )
    try:
        with torch.no_grad():
            call()
    finally:
        hook.remove()
        model.backbone.layout.packs = packs
    assert len(seen) == 1, "the encoder runs once"
    embeds, mask = seen[0]
    return embeds, mask.flatten(1).long()  # (B, S), or (B, 1, 1, S) as attention takes it


def calls(model, inputs):
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    return {
        "forward": lambda: model(**inputs),
        "without labels": lambda: model(ids, mask),
        "generate": lambda: model.generate_ids(ids, mask, max_new_tokens=3),
        "rank": lambda: model.rank_ids(ids, mask, ["no", "tea"]),
    }


@pytest.mark.parametrize("way", ["forward", "without labels", "generate", "rank"])
def test_concat_is_language_then_task_then_text(own, prompts, way):
    language, task = prompts
    model, inputs = ComposedModel(own), batch(own)
    with model.using(Composition(language=language, task=task)):
        embeds, mask = encoder_input(model, calls(model, inputs)[way])
    text = own.layout.input_embeddings(inputs["input_ids"])
    for row in range(len(text)):
        assert torch.equal(embeds[row], torch.cat([language.rows(), task.rows(), text[row]]))
        assert mask[row].tolist() == [1] * 8 + inputs["attention_mask"][row].tolist()


@pytest.mark.parametrize("way", ["forward", "generate", "rank"])
def test_rows_of_different_prompts_are_laid_out_alike(own, prompts, way):
    language, task = prompts
    model, inputs = ComposedModel(own), batch(own)
    rows = [
        Composition(language=language, task=task),
        Composition(task=task),
        Composition(),
        Composition(language=language),
    ]
    with model.using(rows):
        embeds, mask = encoder_input(model, calls(model, inputs)[way])
    text = own.layout.input_embeddings(inputs["input_ids"])
    for row, composition in enumerate(rows):
        length = int(inputs["attention_mask"][row].sum())
        expected = torch.cat([*(part.rows() for part in composition.modules), text[row, :length]])
        assert mask[row].tolist() == [1] * len(expected) + [0] * (mask.shape[1] - len(expected))
        assert torch.equal(embeds[row, : len(expected)], expected)
    assert mask.shape[1] == mask.sum(1).max()


@pytest.mark.parametrize("way", ["forward", "generate", "rank"])
def test_mean_is_the_average_of_two_prompts(own, way):
    language, task = module("prompt", own, rows=4, seed=1), module("prompt", own, rows=4, seed=2)
    model, inputs = ComposedModel(own), batch(own)
    with model.using(Composition(language=language, task=task, fusion="mean")):
        embeds, mask = encoder_input(model, calls(model, inputs)[way])
    assert torch.allclose(embeds[0, :4], (language.rows() + task.rows()) / 2, atol=1e-7)
    assert embeds.shape[1] == 4 + inputs["input_ids"].shape[1] == mask.shape[1]


def test_the_mean_of_unequal_lengths_is_refused(own, prompts):
    with pytest.raises(CompositionError, match="not 3 and 5 virtual tokens"):
        ComposedModel(own).using(Composition(*prompts, fusion="mean")).__enter__()
    with ComposedModel(own).using(Composition(*prompts, fusion="concat")):
        pass


def test_the_mean_of_one_prompt_is_the_prompt(own, prompts):
    model, inputs = ComposedModel(own), batch(own)
    with torch.no_grad():
        with model.using(Composition(task=prompts[1], fusion="mean")):
            mean = model(**inputs).logits
        with model.using(Composition(task=prompts[1])):
            assert torch.equal(mean, model(**inputs).logits)


@pytest.mark.parametrize("fusion", ["concat", "mean"])
def test_fixed_parts_take_part_in_fusion(own, fusion):
    settings = PromptSettings(num_virtual_tokens=6, init="vocab", fixed_text="mat")
    parts = [new_module("prompt", settings, own, seed=seed) for seed in (1, 2)]
    assert 0 < len(parts[0].fixed) < 6
    model, inputs = ComposedModel(own), batch(own)
    with model.using(Composition(*parts, fusion=fusion)):
        embeds, _ = encoder_input(model, calls(model, inputs)["generate"])
    rows = [part.rows() for part in parts]
    expected = torch.cat(rows) if fusion == "concat" else torch.stack(rows).mean(0)
    assert torch.allclose(embeds[0, : len(expected)], expected, atol=1e-7)
    with model.using(Composition(*parts, fusion=fusion)):
        model(**inputs).loss.backward()
    assert all(part.prompt.grad.abs().sum() > 0 and part.fixed.grad is None for part in parts)
