"""Which modules act on which rows: a row of a mixed batch gets what it gets alone."""

from __future__ import annotations

import pytest
import torch

from lingport.compose.composition import Composition
from lingport.compose.model import ComposedModel
from lingport.errors import CompositionError
from tests.tiny import TEXTS, batch, module, row_of, shared

FAMILY = "mt5"


@pytest.fixture(scope="module")
def own():
    return shared(FAMILY)


@pytest.fixture(scope="module")
def compositions(own):
    """Eight rows: prompts of different lengths, repeats, rows without prompt, rows without anything."""
    long, short = module("prompt", own, rows=7, seed=1), module("prompt", own, rows=2, seed=2)
    first, second = module("adapter", own, seed=3), module("adapter", own, seed=4)
    return [
        Composition(language=long, task=short),
        Composition(),
        Composition(language=first, task=second),
        Composition(language=long, task=second),
        Composition(language=first, task=short),
        Composition(task=second),
        Composition(language=long, task=short),
        Composition(task=short),
    ]


@pytest.fixture(scope="module")
def inputs(own, compositions):
    texts = [TEXTS[row % len(TEXTS)] for row in range(len(compositions))]
    return batch(own, texts)


def test_forward(own, compositions, inputs):
    model = ComposedModel(own)
    with torch.no_grad(), model.using(compositions):
        mixed = model(**inputs)
    for row, alone in enumerate(compositions):
        with torch.no_grad(), model.using(alone):
            one = model(**row_of(inputs, row))
        assert torch.allclose(mixed.logits[row], one.logits[0], rtol=1e-5, atol=3e-5)
        assert abs(mixed.row_loss[row] - one.row_loss[0]) < 1e-4
        assert mixed.row_tokens[row] == one.row_tokens[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_forward_with_either_padding(own, compositions, inputs, side):
    texts = [TEXTS[row % len(TEXTS)] for row in range(len(compositions))]
    model = ComposedModel(own)
    with torch.no_grad(), model.using(compositions):
        found = model(**batch(own, texts, side=side, extra=3)).logits
        expected = model(**inputs).logits
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_generate_with_rows_that_leave_early(own, compositions, inputs):
    model = ComposedModel(own)
    with model.using(compositions):
        mixed = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=12)
    for row, alone in enumerate(compositions):
        one = row_of(inputs, row)
        with model.using(alone):
            found = model.generate_ids(one["input_ids"], one["attention_mask"], max_new_tokens=12)
        assert mixed.ids[row] == found.ids[0]
        assert mixed.finished[row] == found.finished[0]
        assert abs(mixed.log_likelihood[row] - found.log_likelihood[0]) < 1e-4


def test_finished_rows_leave_and_the_others_keep_their_modules(own, compositions, inputs):
    """Whatever token is called the end: rows then finish at different steps, and the rest must not shift."""
    model = ComposedModel(own)
    config = own.model.config
    with model.using(compositions):
        free = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=6)
    end = max(range(3, 176), key=lambda token: len({ids.index(token) for ids in free.ids if token in ids}))
    before, config.eos_token_id = config.eos_token_id, end
    try:
        with model.using(compositions):
            found = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=6)
    finally:
        config.eos_token_id = before
    ended = [ids.index(end) if end in ids else None for ids in free.ids]
    assert len(set(ended)) > 1
    for row, place in enumerate(ended):
        assert found.finished[row] is (place is not None)
        assert found.ids[row] == free.ids[row][:place]


def test_rank(own, compositions):
    model, texts = ComposedModel(own), [TEXTS[row % len(TEXTS)] for row in range(len(compositions))]
    with model.using(compositions):
        mixed = model.rank(texts, ["tea", "no", "a red hen"])
    assert mixed.shape == (len(texts), 3)
    for row, alone in enumerate(compositions):
        with model.using(alone):
            one = model.rank([texts[row]], ["tea", "no", "a red hen"])
        assert (mixed[row] - one[0]).abs().max() < 1e-4


def test_rank_is_the_likelihood_of_the_whole_output(own, compositions):
    model, text = ComposedModel(own), TEXTS[0]
    ids = [*own.tokenizer("a red hen", add_special_tokens=False).input_ids, 1]
    inputs = batch(own, [text])
    with torch.no_grad(), model.using(compositions[0]):
        out = model(inputs["input_ids"], labels=torch.tensor([ids]))
        assert abs(model.rank([text], ["a red hen"])[0, 0] + out.row_loss[0]) < 1e-4
        assert abs(model.rank([text], ["no", "a red hen"])[0, 1] + out.row_loss[0]) < 1e-4


def test_gradients_of_mixed_rows_are_those_of_each_row_alone(own, compositions, inputs):
    model = ComposedModel(own)
    modules = {part for each in compositions for part in each.modules}

    def gradients():
        found = [[p.grad.clone() for p in part.parameters()] for part in modules]
        for part in modules:
            part.zero_grad(set_to_none=True)
        return found

    with model.using(compositions):
        model(**inputs).row_loss.sum().backward()
    mixed = gradients()
    for row, alone in enumerate(compositions):
        if not alone.modules:
            continue
        with model.using(alone):
            model(**row_of(inputs, row)).row_loss.sum().backward()
    for ours, theirs in zip(mixed, gradients(), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert torch.linalg.norm(one - other) <= 1e-4 * torch.linalg.norm(other)


def test_one_composition_and_a_list_of_it_agree(own, compositions, inputs):
    model = ComposedModel(own)
    with torch.no_grad():
        with model.using(compositions[0]):
            one = model(**inputs).logits
        with model.using([compositions[0]] * len(inputs["input_ids"])):
            listed = model(**inputs).logits
    assert torch.equal(one, listed)


def test_another_number_of_rows_is_refused_everywhere(own, compositions, inputs):
    model = ComposedModel(own)
    with model.using(compositions[:3]):
        for call in (
            lambda: model(**inputs),
            lambda: model.generate(["a", "b"]),
            lambda: model.rank(["a", "b", "c", "d"], ["e"]),
        ):
            with pytest.raises(CompositionError, match="3 compositions for a batch of"):
                call()
        assert len(model.generate(["a", "b", "c"], max_new_tokens=1)) == 3


def test_blocks_are_not_nested_and_not_empty(own, compositions):
    model = ComposedModel(own)
    with model.using(compositions[0]):
        with pytest.raises(CompositionError, match="attached already"), model.using(compositions[1]):
            pass
        model.generate(["a"], max_new_tokens=1)
    with pytest.raises(CompositionError, match="empty list"), model.using([]):
        pass


def test_words_of_refusal(own):
    model = ComposedModel(own)
    with pytest.raises(CompositionError, match="one string"):
        model.generate("a")
    with pytest.raises(CompositionError, match="nothing to rank"):
        model.rank(["a"], [])
    with pytest.raises(CompositionError, match="unknown fusion"):
        Composition(fusion="sum")  # type: ignore[arg-type]


def test_weights_of_their_own_do_not_share_a_batch(own, compositions):
    full = Composition(task=module("full", own))
    with pytest.raises(CompositionError, match="cannot share a batch"), ComposedModel(own).using([full, Composition()]):
        pass
    with ComposedModel(own).using([full, full]) as model:
        model.generate(["a", "b"], max_new_tokens=1)


def test_the_longest_output_is_kept_to(own):
    model = ComposedModel(own)
    inputs = batch(own)
    for longest in (1, 3):
        found = model.generate_ids(inputs["input_ids"], inputs["attention_mask"], max_new_tokens=longest)
        assert max(map(len, found.ids)) <= longest
        assert all(len(ids) == longest for ids, done in zip(found.ids, found.finished, strict=True) if not done)


def test_inputs_are_cut_at_their_end(own):
    model = ComposedModel(own)
    long = "a cat sat on the mat and the hen"
    with pytest.MonkeyPatch.context() as patch:
        seen = []
        patch.setattr(model, "generate_ids", lambda ids, mask, **_: seen.append((ids, mask)) or model_empty(len(ids)))
        model.generate([long, "a"], max_input_tokens=5)
    ids, mask = seen[0]
    assert ids.shape == (2, 5)
    assert ids[0].tolist() == [*own.tokenizer(long, add_special_tokens=False).input_ids[:4], 1]
    assert mask.sum(1).tolist() == [5, len(own.tokenizer("a", add_special_tokens=False).input_ids) + 1]


def model_empty(num_rows):
    from lingport.compose.decode import Generated

    return Generated([[]] * num_rows, [True] * num_rows, torch.zeros(num_rows))


def test_swapping_the_language_keeps_the_rest(compositions):
    swapped = compositions[0].with_language(compositions[2].language)
    assert swapped == Composition(language=compositions[2].language, task=compositions[0].task)
    assert compositions[0].with_language(None).modules == (compositions[0].task,)
    assert Composition(fusion="mean").with_language(compositions[0].language).fusion == "mean"
