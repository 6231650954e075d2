"""Tasks in words made of the demo corpus' training facts: names across languages, tags, sentences in parallel.

CLDR's names are the one signal across languages that pretraining has. Only facts and names of the train split
are used, and no wording of the task catalogue is, so that a backbone has not seen the demo's tasks.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np

from lingport.demo.facts import RELATIONS, Fact, held_out_names, lexicon, name
from lingport.demo.phrases import Phrases
from lingport.demo.templates import LANGUAGES, Passage, join
from lingport.pretrain.instructions import SEPARATOR, Exchange, Sentences, WordTask
from lingport.pretrain.word_tasks import NAMES_OF_LANGUAGES, pick, yes_no

# Slot -> how it may be called in a prompt; several, so that the answer's tags are read from the prompt
TAG_NAMES = {
    "territory": ("COUNTRY", "LAND", "STATE", "place", "LOC", "A"),
    "language": ("TONGUE", "SPEECH", "language", "MISC", "B"),
    "currency": ("MONEY", "COIN", "currency", "UNIT", "C"),
    "continent": ("REGION", "CONTINENT", "area", "D"),
    "city": ("TOWN", "CITY", "city", "GPE", "E"),
}


@cache
def _phrases(language: str) -> Phrases:
    return Phrases(language, "train", random.Random(0))  # reseeded before every draw


def phrases(language: str, rng: np.random.Generator) -> Phrases:
    """Returns the train facts' sentences of a language, drawn under `rng`."""
    found = _phrases(language)
    found.random.seed(int(rng.integers(2**32)))
    return found


def _other(language: str, rng: np.random.Generator) -> str:
    return [code for code in LANGUAGES if code != language][int(rng.integers(len(LANGUAGES) - 1))]


@cache
def _names() -> list[dict[str, str]]:
    return lexicon("train")


def name_translation(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say one to three names of countries, languages, currencies, cities in another language."""
    other = _other(language, rng)
    entries = [_names()[index] for index in rng.integers(len(_names()), size=int(rng.integers(1, 4)))]
    asked = ", ".join(entry[language] for entry in entries)
    prompt = pick(rng, "in {l}: {n}", "translate to {l}: {n}", "{n} What is this in {l}?")
    wanted = NAMES_OF_LANGUAGES[other]
    return Exchange(prompt.format(l=wanted, n=asked), ", ".join(entry[other] for entry in entries))


def same_name(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say which of some names in another language means the same, or whether two do."""
    other = _other(language, rng)
    first, *rest = (_names()[index] for index in rng.choice(len(_names()), size=4, replace=False))
    if rng.random() < 0.4:
        answer = rng.random() < 0.5
        shown = (first if answer else rest[0])[other]
        return Exchange(f"do they mean the same? {first[language]} | {shown}", yes_no(rng, answer))
    choices = [first[other], *(entry[other] for entry in rest)]
    order = rng.permutation(len(choices))
    return Exchange(f"which means {first[language]}? {', '.join(choices[index] for index in order)}", first[other])


def _passage(found: Phrases, rng: np.random.Generator) -> Passage:
    draws = (found.pair, found.profile, found.chatter, lambda: found.listing(longest=3))
    if rng.random() < 0.5:
        return found.statement(found.any_fact())
    return draws[int(rng.integers(len(draws)))]()


def tagged_names(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """List names with tags that the prompt gives: `TAG: name$$TAG: name`."""
    passage = _passage(phrases(language, rng), rng)
    tags = {slot: pick(rng, *names) for slot, names in TAG_NAMES.items()}
    found: list[str] = []
    for mark in passage.marks:
        slot = mark.slot.removesuffix("2")
        slot = "territory" if slot == "territories" else slot
        if slot in tags:
            found.append(f"{tags[slot]}: {passage.text[mark.start : mark.end]}")
    legend = ", ".join(f"{slot} = {tag}" for slot, tag in tags.items())
    prompt = pick(rng, "use {l}: {t}", "tags {l}. {t}", "{l} | {t}")
    return Exchange(prompt.format(l=legend, t=passage.text), SEPARATOR.join(found) or "none")


def listed_names(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """List the names of a sentence, or those of one kind."""
    passage = _passage(phrases(language, rng), rng)
    kinds = {"countries": "territor", "languages": "language", "currencies": "currency"}
    kind = pick(rng, "names", *kinds)
    names = [
        passage.text[mark.start : mark.end]
        for mark in passage.marks
        if kind == "names" or mark.slot.startswith(kinds[kind])
    ]
    prompt = pick(rng, "{k}: {t}", "list the {k}: {t}", "which {k} are there? {t}")
    return Exchange(prompt.format(k=kind, t=passage.text), SEPARATOR.join(names) or "none")


def _fact(language: str, rng: np.random.Generator) -> tuple[Phrases, Fact]:
    found = phrases(language, rng)
    return found, found.any_fact()


def parallel(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say whether two sentences of two languages state the same fact."""
    other = _other(language, rng)
    found, fact = _fact(language, rng)
    answer = rng.random() < 0.5
    second = fact
    if not answer:
        rivals = found.by_relation[fact.relation] if rng.random() < 0.6 else found.facts
        second = rivals[int(rng.integers(len(rivals)))]
        if second == fact:
            return None
    first_text, second_text = found.statement(fact).text, phrases(other, rng).statement(second).text
    prompt = pick(rng, "do they say the same? {a} | {b}", "first: {a} second: {b} Is it the same?")
    return Exchange(prompt.format(a=first_text, b=second_text), yes_no(rng, answer))


def said_again(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say a fact in another language."""
    other = _other(language, rng)
    found, fact = _fact(language, rng)
    prompt = pick(rng, "say it in {l}: {t}", "translate to {l}: {t}")
    target = phrases(other, rng).statement(fact).text
    return Exchange(prompt.format(l=NAMES_OF_LANGUAGES[other], t=found.statement(fact).text), target)


def switched(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """A name in a sentence is in another language: give it back in the sentence's own, or say which it is."""
    other = _other(language, rng)
    found, fact = _fact(language, rng)
    passage = found.statement(fact)
    slot = "territory" if rng.random() < 0.5 else RELATIONS[fact.relation]
    if slot == "code":
        return None
    own, start = passage.surface(slot)
    foreign = name(fact.slots[slot], other)
    if own == foreign:
        return None
    text = passage.text[:start] + foreign + passage.text[start + len(own) :]
    if rng.random() < 0.5:
        return Exchange(pick(rng, "foreign word: {}", "which word is foreign? {}").format(text), foreign)
    return Exchange(pick(rng, "own word for the foreign one: {}", "replace: {}").format(text), own)


def fact_blank(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Fill the blank in a sentence from a context in the same or another language; another fact stands beside."""
    found, fact = _fact(language, rng)
    passage = found.statement(fact)
    slot = "territory" if rng.random() < 0.4 else RELATIONS[fact.relation]
    own, start = passage.surface(slot)
    question = f"{passage.text[:start]}___{passage.text[start + len(own) :]}"
    context_language = language if rng.random() < 0.6 else _other(language, rng)
    teller = phrases(context_language, rng)
    right = teller.statement(fact)
    rivals = [other for other in teller.by_relation[fact.relation] if other.value != fact.value]
    told = [right.text, teller.statement(rivals[int(rng.integers(len(rivals)))]).text]
    if rng.random() < 0.5:
        told.reverse()
    answer, _ = right.surface(slot)
    prompt = pick(rng, "fill in: {q} context: {c}", "blank: {q} text: {c}")
    return Exchange(prompt.format(q=question, c=" ".join(told)), answer)


def fact_words(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Give back one or two demo sentences as they are, or their capitals."""
    found = phrases(language, rng)
    text = join([_passage(found, rng) for _ in range(int(rng.integers(1, 3)))], language=language).text
    if rng.random() < 0.5:
        return Exchange(pick(rng, "copy: {}", "repeat: {}").format(text), text)
    return Exchange(pick(rng, "write correctly: {}", "capitals and commas: {}").format(text.lower()), text)


def _names_later(text: str) -> bool:
    return any(held_out_names(language, "train").search(text) for language in LANGUAGES)


def _train_only(task: WordTask) -> WordTask:
    """The task without what names, in whatever language, a territory of validation or test by accident."""

    def checked(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
        if language not in LANGUAGES:
            return None
        made = task(sentences, language, longest, rng)
        return None if made is None or _names_later(f"{made.input}\n{made.target}") else made

    return checked


_TASKS: dict[str, WordTask] = {
    "name_translation": name_translation,
    "same_name": same_name,
    "tagged_names": tagged_names,
    "listed_names": listed_names,
    "parallel": parallel,
    "said_again": said_again,
    "switched": switched,
    "fact_blank": fact_blank,
    "fact_words": fact_words,
}
FACT_TASKS: dict[str, WordTask] = {name: _train_only(task) for name, task in _TASKS.items()}
