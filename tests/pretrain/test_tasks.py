"""The tasks of pretraining have right answers."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import AutoTokenizer

from lingport.demo.facts import facts, held_out_names, lexicon
from lingport.errors import UnknownNameError
from lingport.pretrain.corpus import encode_texts
from lingport.pretrain.denoise import DENOISERS, Pieces, denoising_row
from lingport.pretrain.fact_tasks import FACT_TASKS
from lingport.pretrain.instructions import SEPARATOR, Instructions, bare, is_spaced
from lingport.pretrain.vocabulary import train_vocabulary
from lingport.pretrain.word_tasks import WORD_TASKS

TEXTS = {
    "en": [f"Yesterday the old man number {row} met Anna Brown and Peter near a river in Norway." for row in range(30)]
    + [f"Nobody knows why dogs of kind {row} bark at night, but they surely do." for row in range(30)],
    "zh": [f"昨天我们在河边看见了{row}只白色的鸟飞过天空。" for row in range(30)],
    "sk": [f"Včera som videl {row} vtákov, ktoré leteli nad riekou a domami." for row in range(30)],
}


@pytest.fixture(scope="module")
def instructions():
    tokenizer = train_vocabulary([text for texts in TEXTS.values() for text in texts], size=420)
    return Instructions(tokenizer, encode_texts(tokenizer, TEXTS))


def draws(instructions, name: str, language: str = "en", number: int = 60):
    rng = np.random.default_rng(5)
    return [instructions.exchange(name, language, longest=200, rng=rng) for _ in range(number)]


@pytest.mark.parametrize("name", [*WORD_TASKS, *FACT_TASKS])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_task_asks_and_answers(instructions, name, language):
    made = draws(instructions, name, language, 8)
    assert all(each.input and each.target for each in made)
    assert made == draws(instructions, name, language, 8)
    row = instructions.row(name, language, longest=30, rng=np.random.default_rng(0))
    assert max(len(row.source), len(row.target)) <= 60
    assert row.source[-1] == row.target[-1] == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_marked_words_stand_in_brackets(instructions, language):
    for made in draws(instructions, "marked_words", language):
        for part in made.target.split(SEPARATOR):
            assert f"[ {part} ]" in made.input


@pytest.mark.parametrize("name", ["fill_blank", "neighbour_word", "end_word", "keywords", "listed_names", "fact_blank"])
def test_answers_stand_in_the_input(instructions, name):
    for made in draws(instructions, name):
        if made.target != "none":
            assert all(part in made.input for part in made.target.split(SEPARATOR))


def test_the_blank_is_filled_by_the_answer(instructions):
    for made in draws(instructions, "fill_blank"):
        question = made.input.split("question: ")[-1].split(" context: ")[0].split("fill in: ")[-1]
        assert question.replace("___", made.target) in made.input.replace(question, "")


def test_names_are_the_capitalised_runs(instructions):
    found = {made.target for made in draws(instructions, "capitalised")}
    assert f"Anna Brown{SEPARATOR}Peter{SEPARATOR}Norway" in found
    assert found <= {f"Anna Brown{SEPARATOR}Peter{SEPARATOR}Norway", "none"}


def test_neighbours_are_right(instructions):
    for made in draws(instructions, "neighbour_word"):
        words = [bare(word) for word in made.input.split("context: ")[-1].split(": ")[-1].split()]
        side = "after" if " after " in made.input else "before"
        known = made.input.split(f" {side} ")[1].split("?")[0].split(":")[0]
        place = words.index(made.target)
        assert words[place - 1 if side == "after" else place + 1] == known


def test_yes_and_no_are_right(instructions):
    for made in draws(instructions, "word_there"):
        if "Question" in made.input:
            sentence, question = made.input.split(" \n\nQuestion: Does this contain ")
            word = question.split("?")[0]
        else:
            word, sentence = made.input.removeprefix("is the word ").split(" in this sentence? ")
        assert (word in sentence) == (made.target == "Yes")
    for made in draws(instructions, "same_words"):
        if " | " in made.input:
            first, second = made.input.removeprefix("part of it? ").split(" | ")
            assert (second in first) == (made.target == "Yes")


def test_names_across_languages_are_of_one_thing(instructions):
    entries = lexicon("train")
    for made in draws(instructions, "name_translation"):
        if made.input.startswith("in Slovak: ") and "," not in made.input:
            english = made.input.removeprefix("in Slovak: ")
            assert made.target in {entry["sk"] for entry in entries if entry["en"] == english}
    targets = {made.target for made in draws(instructions, "same_name")}
    assert {"Yes", "No"} <= targets


def test_tags_are_those_of_the_prompt(instructions):
    for made in draws(instructions, "tagged_names"):
        if made.target != "none":
            for part in made.target.split(SEPARATOR):
                tag, _, name = part.partition(": ")
                assert f" = {tag}" in made.input
                assert name in made.input


@pytest.mark.parametrize("name", FACT_TASKS)
def test_no_territory_of_a_later_split_is_named(instructions, name):
    assert len(facts("test")) > 0
    for made in draws(instructions, name, number=30):
        assert not held_out_names("en", "train").search(f"{made.input} {made.target}")


def test_unknown_tasks_are_refused_with_the_nearest(instructions):
    with pytest.raises(UnknownNameError, match="capitalised"):
        instructions.exchange("capitalized", "en", longest=20, rng=np.random.default_rng(0))


def test_bare_words_keep_their_vowel_signs():
    assert bare("(word),") == "word"
    assert bare("\u0c30\u0c3e\u0c1c\u0c27\u0c3e\u0c28\u0c3f.") == "\u0c30\u0c3e\u0c1c\u0c27\u0c3e\u0c28\u0c3f"
    assert bare("...") == ""
    assert is_spaced("two words")
    assert not is_spaced("\u9e1f\u98de")


@pytest.mark.parametrize("name", DENOISERS)
def test_denoising_rows(name):
    tokenizer = train_vocabulary([text for texts in TEXTS.values() for text in texts], size=420)
    pieces = Pieces.of(tokenizer)
    text = encode_texts(tokenizer, TEXTS)["en"]
    for seed in range(20):
        row = denoising_row(name, text, pieces, longest=24, rng=np.random.default_rng(seed))
        assert row.source[-1] == row.target[-1] == pieces.end
        source, target = row.source[:-1].tolist(), row.target[:-1].tolist()
        if name.startswith("copy"):
            assert source == target
        if name.startswith("mark"):
            opening, closing = (source.index(mark) for mark in pieces.marks)
            assert source[opening + 1 : closing] == target
            assert 1 <= len(target) <= 5
        if name == "reorder":
            assert sorted(source) == sorted(target)
        if name == "corrupt":
            assert target[0] == pieces.sentinels[0]


def test_auto_tokenizer_reads_what_was_saved(tmp_path, instructions):
    tokenizer = train_vocabulary(TEXTS["en"] + TEXTS["zh"], size=420)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("Anna met 鸟 $$ [").input_ids == tokenizer("Anna met 鸟 $$ [").input_ids
