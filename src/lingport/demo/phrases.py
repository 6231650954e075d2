"""Sentences of one language about the facts of one split: statements, questions, pairs, lists, small talk.

Not here: which sentences make an example (examples.py), or what is true (facts.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from lingport.demo.facts import RELATIONS, Fact, facts, name
from lingport.demo.templates import Passage, join, parts, plain_slot, render, sheet


class Phrases:
    """Draws sentences of one language about the facts of one split.

    Args:
        language: One of the sixteen.
        split: Whose facts.
        random: Decides every draw.
    """

    def __init__(self, language: str, split: str, random: Random) -> None:
        self.language = language
        self.random = random
        self.sheet: dict[str, Any] = sheet(language)
        self.facts: list[Fact] = facts(split)
        self.by_relation: dict[str, list[Fact]] = defaultdict(list)
        self.by_territory: dict[str, dict[str, Fact]] = defaultdict(dict)
        self._by_value: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        for fact in self.facts:
            self.by_relation[fact.relation].append(fact)
            self.by_territory[fact.territory][fact.relation] = fact
            self._by_value[fact.relation, fact.value].append(fact)
        self.territories: list[str] = sorted(self.by_territory)
        self._shared = sorted(
            key for key, found in self._by_value.items() if len(found) > 1 and key[0] in self.sheet["lists"]
        )
        self._complete: dict[frozenset[str], list[dict[str, str]]] = {}

    def render(self, template: str, codes: Mapping[str, str | Sequence[str]]) -> Passage:
        """Returns the template with the names of the codes in this language."""
        return render(template, codes, language=self.language, name=name)

    def any_fact(self) -> Fact:
        """Returns a fact; every relation is as likely as the others."""
        return self.random.choice(self.by_relation[self.random.choice(list(RELATIONS))])

    def statements(self, fact: Fact) -> list[Passage]:
        """Returns the fact in every phrasing."""
        return [self.render(template, fact.slots) for template in self.sheet["statements"][fact.relation]]

    def statement(self, fact: Fact, *, unlike: str | None = None) -> Passage:
        """Returns the fact in one phrasing, and not in the given one."""
        templates = [text for text in self.sheet["statements"][fact.relation] if text != unlike]
        return self.render(self.random.choice(templates), fact.slots)

    def template(self, relation: str) -> str:
        """Returns one phrasing of a relation, its slots still open."""
        return self.random.choice(self.sheet["statements"][relation])

    def question(self, fact: Fact) -> Passage:
        """Returns a question that the fact's value answers."""
        return self.render(self.random.choice(self.sheet["questions"][fact.relation]), fact.slots)

    def reverse_question(self, fact: Fact) -> Passage:
        """Returns a question that the fact's territory answers."""
        return self.render(self.random.choice(self.sheet["reverse_questions"][fact.relation]), fact.slots)

    def pair(self, relation: str | None = None) -> Passage:
        """Returns a sentence that sets two territories with different values against each other."""
        relation = relation or self.random.choice(sorted(self.sheet["pairs"]))
        first = self.random.choice(self.by_relation[relation])
        others = [fact for fact in self.by_relation[relation] if fact.value != first.value]
        second = self.random.choice(others)
        codes = first.slots | {f"{slot}2": code for slot, code in second.slots.items()}
        return self.render(self.random.choice(self.sheet["pairs"][relation]), codes)

    def profile(self) -> Passage:
        """Returns a sentence that says two or three things about one territory."""
        template = self.random.choice(self.sheet["profiles"])
        return self.render(template, self._codes_for(template))

    def chatter(self) -> Passage:
        """Returns an opinion, a question, a wish or a greeting: nothing that could be checked."""
        template = self.random.choice(self.sheet["chatter"])
        return self.render(template, self._codes_for(template))

    def paragraph(self, territory: str, length: int) -> Passage:
        """Returns up to `length` sentences about one territory."""
        known = list(self.by_territory[territory].values())
        chosen = self.random.sample(known, min(length, len(known)))
        return join([self.statement(fact) for fact in chosen], language=self.language)

    def listing(self, *, longest: int = 5) -> Passage:
        """Returns a sentence that lists two to `longest` territories with the same value."""
        relation, value = self.random.choice(self._shared)
        found = self._by_value[relation, value]
        chosen = self.random.sample(found, self.random.randint(2, min(longest, len(found))))
        codes = {RELATIONS[relation]: value, "territories": [fact.territory for fact in chosen]}
        return self.render(self.random.choice(self.sheet["lists"][relation]), codes)

    def _codes_for(self, template: str) -> dict[str, str]:
        """The codes of a territory of which everything is known that the template asks for."""
        wanted = frozenset(plain_slot(slot, self.language) for _, slot in parts(template) if slot)
        if wanted not in self._complete:
            known = [
                {slot: code for fact in found.values() for slot, code in fact.slots.items()}
                for _, found in sorted(self.by_territory.items())
            ]
            self._complete[wanted] = [codes for codes in known if wanted <= codes.keys()]
        return self.random.choice(self._complete[wanted])
