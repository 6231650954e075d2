"""How sentences become examples: question answering, names, inference, check-worthiness, topic.

Each function draws fields of examples, more than are needed and some of them twice; corpus.py keeps those that
differ and balances their labels. Not here: wording of inputs and targets, which is the task catalogue's.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
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
    random = phrases.random
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
        passage = draws[index % len(draws)]() if index < number else random.choice(draws)()
        tokens, spans = tokenised(passage, by_character=phrases.sheet.get("split") == "characters")
        yield {"tokens": tokens, "spans": spans}


def nli(phrases: Phrases, number: int) -> Iterator[dict[str, Any]]:
    """Yields premises of one or two sentences with a hypothesis about a territory named there.

    The hypothesis repeats a fact in other words (entailment), gives it another value (contradiction), or is
    about something else than the premise (neutral). A neutral one is as often true as false in the world, and
    all three are drawn from the same phrasings, so the hypothesis alone gives nothing away.
    """
    random = phrases.random
    labels = ("entailment", "neutral", "contradiction")
    for index in range(number):
        label = labels[index % 3]
        fact = phrases.any_fact()
        template = phrases.template(fact.relation)
        premise = [phrases.render(template, fact.slots)]
        others = [
            other for relation, other in phrases.by_territory[fact.territory].items() if relation != fact.relation
        ]
        hypothesis = fact
        if label == "neutral":
            hypothesis = others.pop(random.randrange(len(others)))
        if random.random() < 0.5:
            rivals = [
                other
                for other in phrases.by_relation[hypothesis.relation]
                if other.territory != fact.territory and other.value != hypothesis.value
            ]
            # Either a sentence on the same territory, or one on what the hypothesis says of another.
            extra = random.choice(others) if others and random.random() < 0.5 else random.choice(rivals)
            premise.insert(random.randrange(2), phrases.statement(extra))
        if label == "contradiction" or (label == "neutral" and random.random() < 0.5):
            wrong = [value for value in phrases.values[hypothesis.relation] if value != hypothesis.value]
            hypothesis = Fact(hypothesis.territory, hypothesis.relation, random.choice(wrong))
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


def balanced(found: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Returns at most `limit` of the fields, in turn from each label, as many of one as of another."""
    by_label: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for fields in found:
        by_label[fields.get("label", "")].append(fields)
    if not by_label:
        return []
    each = min(limit // len(by_label), *(len(group) for group in by_label.values()), limit)
    return [fields for row in zip(*(group[:each] for group in by_label.values()), strict=True) for fields in row]


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
            token
            for token, (start, end) in zip(tokens, places, strict=True)
            if start >= mark.start and end <= mark.end
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


def _single(phrases: Phrases) -> Passage:
    return phrases.statement(phrases.any_fact())


def _double(phrases: Phrases) -> Passage:
    return join([_single(phrases), _single(phrases)], language=phrases.language)
