"""The demo corpus: true sentences in sixteen languages, as raw text and as examples of five tasks.

The facts are CLDR's (facts.py), the wording is ours (sentences/*.yaml, templates.py), the examples are put
together in examples.py. Everything is decided by (task, language, split): no clock, no global random state.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

from lingport.demo import examples
from lingport.demo.facts import DAYS, MONTHS, held_out_names
from lingport.demo.phrases import Phrases
from lingport.demo.templates import Passage, join
from lingport.errors import UnknownNameError, nearest

TASKS = {
    "qa": examples.qa,
    "ner": examples.ner,
    "nli": examples.nli,
    "claims": examples.claims,
    "topic": examples.topic,
}
# Examples per split, shared evenly between the labels.
SIZES = {"train": 2000, "validation": 200, "test": 300}


@cache
def read_text(language: str, *, split: str = "train") -> list[str]:
    """Returns raw text of one language: sentences and short paragraphs, all different, in a fixed order.

    Every phrasing of every fact of the split is there, with pairs, lists, opinions, questions and their
    answers; the order of months and days only in train. No text names a territory of a later split.

    Raises:
        UnknownNameError: The corpus does not have this language.
        InputError: Unknown split.
    """
    texts = dict.fromkeys(passage.text for passage in _passages(language, split))
    later = held_out_names(language, split)
    kept = [text for text in texts if not later.search(text)]
    Random(f"text/{language}/{split}").shuffle(kept)
    return kept


@cache
def read_examples(task: str, language: str, *, split: str) -> list[dict[str, Any]]:
    """Returns the examples of one task in one language (shared: do not change them).

    Args:
        task: `qa` (answer), `ner` (spans, tags LOC LAN CUR), or a form-`classify` task: `nli` (premise,
            hypothesis; entailment, neutral, contradiction), `claims` (text; checkworthy, not_checkworthy),
            `topic` (text; code, currency, geography, language, time).
        language: One of the sixteen. In Chinese the tokens of `ner` are single characters (runs of Latin
            letters and digits stay whole), so that a span reads with spaces between its characters.
        split: `train`, `validation` or `test`: about 2000, 200 and 300 examples.

    Raises:
        UnknownNameError: No such task or language.
        InputError: Unknown split.
    """
    if task not in TASKS:
        raise UnknownNameError(f"the demo corpus has no task {task!r}", hint=nearest(task, TASKS))
    phrases = Phrases(language, split, Random(f"{task}/{language}/{split}"))
    later = held_out_names(language, split)
    labels = examples.LABELS.get(task, ("",))
    room = dict.fromkeys(labels, SIZES[split] // len(labels))
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for fields in TASKS[task](phrases, SIZES[split] * 6):
        label = fields.get("label", "")
        shown = _text_of(fields)
        if room[label] and shown not in seen and not later.search(shown):
            seen.add(shown)
            room[label] -= 1
            found.append(fields)
        if not any(room.values()):
            break
    return [
        {
            "id": f"demo-{task}-{language}-{split}-{index:04d}",
            "where": f"demo corpus {task}/{language}/{split}:{index}",
            **fields,
        }
        for index, fields in enumerate(found, start=1)
    ]


def _text_of(fields: dict[str, Any]) -> str:
    if "tokens" in fields:
        # Chinese characters stand apart in the tokens; names are looked for without the spaces as well.
        return " ".join(fields["tokens"]) + "\n" + "".join(fields["tokens"])
    return "\n".join(value for key, value in fields.items() if key != "label" and isinstance(value, str))


def _passages(language: str, split: str) -> Iterator[Passage]:
    phrases = Phrases(language, split, Random(f"passages/{language}/{split}"))
    for fact in phrases.facts:
        yield from phrases.statements(fact)
        question = phrases.question(fact)
        yield join([question, phrases.statement(fact)], language=language)
    for _ in range(3 * len(phrases.territories)):
        yield phrases.pair()
        yield phrases.profile()
        yield phrases.chatter()
        yield join([phrases.statement(phrases.any_fact()), phrases.chatter()], language=language)
    for territory in phrases.territories:
        for length in (2, 3, 4):
            yield phrases.paragraph(territory, length)
    for _ in range(len(phrases.territories)):
        yield phrases.listing()
    if split == "train":
        calendar = phrases.sheet["calendar"]
        for number, month in enumerate(MONTHS, start=1):
            for template in calendar["month"]:
                yield phrases.render(template, {"month": month, "number": f"number:{number}"})
        for template in calendar["order"]:
            yield phrases.render(template, {"months": MONTHS, "days": DAYS})
