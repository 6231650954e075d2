"""How sentences become examples: question answering, names, inference, check-worthiness, topic.

Each function draws fields of examples, more than are needed and some of them twice; corpus.py keeps those
that differ, as many of each label. Not here: wording of inputs and targets (the task catalogue's).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from lingport.demo.facts import RELATIONS, Fact
from lingport.demo.phrases import Phrases
from lingport.demo.templates import Passage, join

TAGS = {
    "territory": "LOC",
    "territories": "LOC",
    "continent": "LOC",
    "city": "LOC",
    "language": "LAN",
    "currency": "CUR",
}
TOPICS = {
    "language": "language",
    "currency": "currency",
    "continent": "geography",
    "zone": "time",
    "code": "code",
}
LABELS = {
    "nli": ("entailment", "neutral", "contradiction"),
    "claims": ("checkworthy", "not_checkworthy"),
    "topic": tuple(TOPICS.values()),
}
_CHARACTER = re.compile(r"[A-Za-z0-9]+|\S")


def qa(phrases: Phrases, number: int) -> Iterator[dict[str, Any]]:
    """Yields questions about contexts of two to four sentences; every third asks for the territory.

    One sentence of the context answers; at least one other says the same of another territory.
    """
    random = phrases.random
    for index in range(number):
        fact = phrases.any_fact()
        reverse = index % 3 == 2
        rivals = [
            other
            for other in phrases.by_relation[fact.relation]
            if other.territory != fact.territory and other.value != fact.value
        ]
        chosen = [fact, random.choice(rivals)]
        for _ in range(random.choice((0, 1, 2))):
            other = phrases.any_fact()
            key = (other.territory, other.relation)
            clash = other.relation == fact.relation and other.value == fact.value
            if not clash and key not in [(known.territory, known.relation) for known in chosen]:
                chosen.append(other)
        random.shuffle(chosen)
        sentences = [phrases.statement(other) for other in chosen]
        context = join(sentences, language=phrases.language).text
        before = chosen.index(fact)
        offset = len(context) - len(join(sentences[before:], language=phrases.language).text)
        slot = "territory" if reverse else RELATIONS[fact.relation]
        answer, start = sentences[before].surface(slot)
        question = phrases.reverse_question(fact) if reverse else phrases.question(fact)
        yield {
            "question": question.text,
            "context": context,
            "answers": [answer],
            "answer_starts": [offset + start],
        }


def ner(phrases: Phrases, number: int) -> Iterator[dict[str, Any]]:
    """Yields tokens with the places (LOC), languages (LAN) and currencies (CUR) named in them."""
    draws = (
        lambda: phrases.statement(phrases.any_fact()),
        lambda: phrases.statement(phrases.any_fact()),
        phrases.pair,
        phrases.profile,
        phrases.chatter,
        lambda: phrases.listing(longest=3),
        lambda: join([phrases.statement(phrases.any_fact()) for _ in range(2)], language=phrases.language),
    )
    for index in range(number):
        passage = draws[index % len(draws)]()
        tokens, spans = tokenised(passage, by_character=phrases.sheet.get("split") == "characters")
        yield {"tokens": tokens, "spans": spans}


def nli(phrases: Phrases, number: int) -> Iterator[dict[str, Any]]:
    """Yields premises of one or two sentences with a hypothesis about a territory named there.

    The hypothesis says what a premise says in other words (entailment), gives another value (contradiction), or
    is about something else (neutral). Under every label half of the hypotheses are true in the world, so a
    premise may be counterfactual: otherwise "The currency of Japan is the Polish zloty" would be known for a
    contradiction without a premise. Only here does the corpus say what is not so.
    """
    random = phrases.random
    for index in range(number):
        label = LABELS["nli"][index % 3]
        fact = phrases.any_fact()
        others = [
            other for relation, other in phrases.by_territory[fact.territory].items() if relation != fact.relation
        ]
        about = others.pop(random.randrange(len(others))) if label == "neutral" else fact
        hypothesis = about if random.random() < 0.5 else _another_value(phrases, about)
        if label == "entailment":
            fact = hypothesis
        elif label == "contradiction":
            fact = fact if hypothesis != about else _another_value(phrases, about)
        elif random.random() < 0.5:
            fact = _another_value(phrases, fact)
        template = phrases.template(fact.relation)
        premise = [phrases.render(template, fact.slots)]
        if random.random() < 0.5:
            # Either a sentence on the same territory, or one on what the hypothesis says of another.
            rivals = [other for other in phrases.by_relation[hypothesis.relation] if other.territory != fact.territory]
            extra = random.choice(others) if others and random.random() < 0.5 else random.choice(rivals)
            premise.insert(random.randrange(2), phrases.statement(extra))
        yield {
            "premise": join(premise, language=phrases.language).text,
            "hypothesis": phrases.statement(hypothesis, unlike=template).text,
            "label": label,
        }


def claims(phrases: Phrases, number: int) -> Iterator[dict[str, Any]]:
    """Yields statements of fact (checkworthy) and opinions, questions and greetings (not_checkworthy)."""
    for index in range(number):
        if index % 2:
            passages = [phrases.chatter() for _ in range(1 + (phrases.random.random() < 0.3))]
        else:
            draw = phrases.random.choice((_single, _single, Phrases.pair, Phrases.profile, _double))
            passages = [draw(phrases)]
        text = join(passages, language=phrases.language).text
        yield {"text": text, "label": "not_checkworthy" if index % 2 else "checkworthy"}


def topic(phrases: Phrases, number: int) -> Iterator[dict[str, Any]]:
    """Yields texts of one or two sentences on one of five subjects."""
    relations = list(RELATIONS)
    for index in range(number):
        relation = relations[index % len(relations)]
        found = phrases.by_relation[relation]
        count = 2 if phrases.random.random() < 0.6 else 1
        sentences = [phrases.statement(fact) for fact in phrases.random.sample(found, count)]
        yield {"text": join(sentences, language=phrases.language).text, "label": TOPICS[relation]}


def tokenised(passage: Passage, *, by_character: bool) -> tuple[list[str], list[list[str]]]:
    """Returns the words and punctuation marks of a passage, and its names as `[tag, words]` in order.

    Args:
        passage: A text with its marks.
        by_character: Split every character that is not a Latin letter or digit from its neighbours.
    """
    places: list[tuple[int, int]] = []
    if by_character:
        places = [match.span() for match in _CHARACTER.finditer(passage.text)]
    else:
        for match in re.finditer(r"\S+", passage.text):
            places += _peeled(passage.text, *match.span())
    tokens = [passage.text[start:end] for start, end in places]
    spans = []
    for mark in passage.marks:
        tag = TAGS.get(mark.slot.removesuffix("2"))
        if tag is None:
            continue
        inside = [
            token for token, (start, end) in zip(tokens, places, strict=True) if start >= mark.start and end <= mark.end
        ]
        spans.append([tag, " ".join(inside)])
    return tokens, spans


def _peeled(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The chunk's leading and trailing punctuation, each mark by itself, around what is left of it."""
    first, last = start, end
    while first < last and unicodedata.category(text[first])[0] in "PS":
        first += 1
    while last > first and unicodedata.category(text[last - 1])[0] in "PS":
        last -= 1
    middle = [(first, last)] if first < last else []
    return [(i, i + 1) for i in range(start, first)] + middle + [(i, i + 1) for i in range(last, end)]


def _another_value(phrases: Phrases, fact: Fact) -> Fact:
    """The fact with a value that is not true; a value is drawn as often as it occurs (the euro often)."""
    wrong = [other.value for other in phrases.by_relation[fact.relation] if other.value != fact.value]
    return Fact(fact.territory, fact.relation, phrases.random.choice(wrong))


def _single(phrases: Phrases) -> Passage:
    return phrases.statement(phrases.any_fact())


def _double(phrases: Phrases) -> Passage:
    return join([_single(phrases), _single(phrases)], language=phrases.language)
