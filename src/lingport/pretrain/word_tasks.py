"""Tasks in words made of raw text alone: find, give back, compare, tell apart.

A task is a function of (sentences, language, longest, rng) that returns an exchange, or None if the sentence
it drew does not do. Every task has several wordings, so that no wording is learnt by heart.
"""

from __future__ import annotations

import numpy as np

from lingport.pretrain.instructions import (
    SEPARATOR,
    Exchange,
    Sentences,
    WordTask,
    bare,
    is_spaced,
    joined,
    words_of,
)

NAMES_OF_LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "cs": "Czech", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "ml": "Malayalam", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sw": "Swahili", "te": "Telugu", "ur": "Urdu", "zh": "Chinese",
}  # fmt: skip


def pick(rng: np.random.Generator, *wordings: str) -> str:
    """Returns one of some wordings."""
    return wordings[int(rng.integers(len(wordings)))]


def yes_no(rng: np.random.Generator, answer: bool) -> str:
    """Returns the word of an answer."""
    return "Yes" if answer else "No"


def _span(words: list[str], rng: np.random.Generator, longest: int = 4) -> tuple[int, int]:
    length = int(rng.integers(1, min(longest, len(words)) + 1))
    start = int(rng.integers(0, len(words) - length + 1))
    return start, start + length


def marked_words(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Give back one to three runs of words in brackets."""
    words = words_of(text := sentences.draw(language, longest=longest, rng=rng, shortest=6))
    if len(words) < 4 or "[" in text or "]" in text:
        return None
    shown: list[str] = []
    spans: list[str] = []
    place = 0
    for _ in range(int(rng.integers(1, 4))):
        if place >= len(words):
            break
        start, stop = (place + offset for offset in _span(words[place : place + 8], rng))
        spans.append(joined(words[start:stop], text))
        shown += [joined(words[place:start], text), "[", spans[-1], "]"]
        place = stop
    shown = [part for part in [*shown, joined(words[place:], text)] if part]
    prompt = pick(rng, "give back the marked words: {}", "marked: {}", "what stands in brackets? {}", "{}")
    return Exchange(prompt.format(" ".join(shown)), SEPARATOR.join(spans))


def capitalised(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """List the runs of capitalised words but the sentence's first word; marked words where letters have no case."""
    text = sentences.draw(language, longest=longest, rng=rng, shortest=8)
    if text.lower() == text.upper():
        return marked_words(sentences, language, longest, rng)
    words = text.split()
    names: list[str] = []
    open_run = False
    for index, word in enumerate(words):
        is_name = word[0].isupper() and any(letter.islower() for letter in word)
        starts = index == 0 or not words[index - 1][-1].isalnum()  # a capital may be the sentence's
        is_name = is_name and (open_run or not starts)
        if is_name and open_run:
            names[-1] += f" {word}"
        elif is_name:
            names.append(word)
        open_run = is_name and word[-1].isalnum()
    names = [bare(name) for name in names]
    if not names and rng.random() < 0.8:
        return None
    prompt = pick(rng, "names: {}", "list the names: {}", "which names are there? {}", "capitalised: {}")
    return Exchange(prompt.format(text), SEPARATOR.join(names) or "none")


def fill_blank(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Answer a question with a blank from a context that holds the whole sentence."""
    around = sentences.neighbours(language, longest=longest // 3, rng=rng, number=2, shortest=6)
    text = around[int(rng.integers(2))]
    words = words_of(text)
    if len(words) < 5:
        return None
    start, stop = _span(words, rng, 3)
    gap = joined(words[start:stop], text)
    answer = bare(gap)
    low, high = max(start - int(rng.integers(2, 6)), 0), stop + int(rng.integers(2, 6))
    question = joined([*words[low:start], gap.replace(answer, "___", 1), *words[stop:high]], text)
    context = (" " if is_spaced(text) else "").join(around)
    prompt = pick(rng, "question: {q} context: {c}", "question: {q} context: {c}", "context: {c} fill in: {q}")
    return Exchange(prompt.format(q=question, c=context), answer) if answer else None


def neighbour_word(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say which word stands after or before a word that stands there once."""
    words = words_of(text := sentences.draw(language, longest=longest, rng=rng, shortest=6))
    plain = [bare(word) for word in words]
    place = int(rng.integers(0, max(len(words) - 1, 1)))
    asked_after = rng.random() < 0.5
    known, answer = (place, place + 1) if asked_after else (place + 1, place)
    if len(words) < 4 or not plain[known] or not plain[answer] or plain.count(plain[known]) > 1:
        return None
    side = "after" if asked_after else "before"
    prompt = pick(
        rng,
        "question: which word comes {s} {w}? context: {c}",
        "question: what stands {s} {w}? context: {c}",
        "word {s} {w}: {c}",
    )
    return Exchange(prompt.format(s=side, w=plain[known], c=text), plain[answer])


def end_word(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Give back the first or last one to three words."""
    words = words_of(text := sentences.draw(language, longest=longest, rng=rng, shortest=6))
    number = int(rng.integers(1, 4))
    if len(words) < number + 2:
        return None
    is_first = rng.random() < 0.5
    answer = joined(words[:number] if is_first else words[-number:], text)
    ending = f"{'first' if is_first else 'last'} {number} word{'s' if number > 1 else ''}"
    prompt = pick(rng, "{e}: {c}", "what are the {e}? {c}", "question: {e}? context: {c}")
    return Exchange(prompt.format(e=ending, c=text), answer)


def word_there(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say whether a word stands in a sentence."""
    first, second = (sentences.draw(language, longest=longest * 3 // 4, rng=rng, shortest=6) for _ in range(2))
    answer = rng.random() < 0.5
    words = [bare(word) for word in words_of(first if answer else second)]
    word = words[int(rng.integers(len(words)))] if words else ""
    if len(word) < 2 or (word in first) != answer:
        return None
    prompt = pick(rng, "is the word {w} in this sentence? {c}", "{c} \n\nQuestion: Does this contain {w}? Yes or no?")
    return Exchange(prompt.format(w=word, c=first), yes_no(rng, answer))


def which_sentence(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say which of two or three sentences has a word."""
    number = int(rng.integers(2, 4))
    drawn = [sentences.draw(language, longest=longest // number, rng=rng, shortest=5) for _ in range(number)]
    right = int(rng.integers(number))
    words = [bare(word) for word in words_of(drawn[right])]
    word = words[int(rng.integers(len(words)))] if words else ""
    if len(word) < 2 or sum(word in sentence for sentence in drawn) != 1:
        return None
    listed = " ".join(f"{index}: {sentence}" for index, sentence in enumerate(drawn, start=1))
    if rng.random() < 0.5:
        return Exchange(f"which sentence has the word {word}? {listed}", str(right + 1))
    return Exchange(f"give back the sentence with {word}: {' '.join(drawn)}", drawn[right])


def same_words(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Yes: the second is a part of the first; maybe: one word of the part was changed; no: another text."""
    text = sentences.draw(language, longest=longest * 3 // 5, rng=rng, shortest=10)
    other = sentences.draw(language, longest=longest * 3 // 5, rng=rng, shortest=10)
    words, others = words_of(text), words_of(other)
    if len(words) < 6 or len(others) < 6 or text == other:
        return None
    answer = ("Yes", "Maybe", "No")[int(rng.integers(3))]
    length = int(rng.integers(3, min(len(words), len(others)) + 1))
    source = others if answer == "No" else words
    start = int(rng.integers(len(source) - length + 1))
    part = source[start : start + length]
    if answer == "Maybe":
        place, new = int(rng.integers(length)), others[int(rng.integers(len(others)))]
        if new in words:
            return None
        part = [*part[:place], new, *part[place + 1 :]]
    if (joined(part, text) in text) != (answer == "Yes"):
        return None
    prompt = pick(
        rng,
        "first: {a} second: {b} Is the second a part of the first? Yes, no, or maybe?",
        '{a} \n\nQuestion: Does this say "{b}"? Yes, no, or maybe?',
        "part of it? {a} | {b}",
    )
    return Exchange(prompt.format(a=text, b=joined(part, text)), answer)


def language_name(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Name the language of a sentence, or say whether two are in one language."""
    text = sentences.draw(language, longest=longest // 2, rng=rng)
    if rng.random() < 0.6 and language in NAMES_OF_LANGUAGES:
        prompt = pick(rng, "language: {}", "which language is this? {}", "{} Which language is it?")
        return Exchange(prompt.format(text), NAMES_OF_LANGUAGES[language])
    is_same = rng.random() < 0.5
    second = language if is_same else sentences.languages[int(rng.integers(len(sentences.languages)))]
    other = sentences.draw(second, longest=longest // 2, rng=rng)
    prompt = pick(rng, "same language? {a} | {b}", "first: {a} second: {b} Are they in the same language?")
    return Exchange(prompt.format(a=text, b=other), yes_no(rng, second == language))


def follows(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Say whether one sentence follows another in a text, or is from somewhere else."""
    first, second = sentences.neighbours(language, longest=longest // 2, rng=rng, shortest=8)
    answer = rng.random() < 0.5
    if not answer:
        second = sentences.draw(language, longest=longest // 2, rng=rng, shortest=8)
    prompt = pick(rng, "does the second follow the first? {a} | {b}", "next sentence? {a} | {b}")
    return Exchange(prompt.format(a=first, b=second), yes_no(rng, answer))


def keywords(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Give back the two or three rarest words, in order of appearance."""
    text = sentences.draw(language, longest=longest, rng=rng, shortest=12)
    words = list(dict.fromkeys(bare(word) for word in words_of(text)))
    words = [word for word in words if len(word) > 3]
    if len(words) < 5 or not is_spaced(text):
        return None
    number = int(rng.integers(2, 4))
    rarest = sorted(words, key=lambda word: sentences.frequency(word, language))[:number]
    prompt = pick(rng, "keywords: {}", "rare words: {}", "the most telling words: {}")
    return Exchange(prompt.format(text), SEPARATOR.join(word for word in words if word in rarest))


def restored(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Put capitals, punctuation and the order of words right again."""
    text = sentences.draw(language, longest=longest * 3 // 5, rng=rng, shortest=4)
    words = words_of(text)
    if rng.random() < 0.5:
        plain = joined([bare(word).lower() for word in words], text)
        return Exchange(pick(rng, "write correctly: {}", "capitals and commas: {}").format(plain), text)
    for place in range(len(words) - 1):
        if rng.random() < 0.2:
            words[place], words[place + 1] = words[place + 1], words[place]
    return Exchange(pick(rng, "right order: {}", "sort the words: {}").format(joined(words, text)), text)


def repeated(sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> Exchange | None:
    """Give a sentence back as it is."""
    text = sentences.draw(language, longest=longest * 3 // 5, rng=rng)
    return Exchange(pick(rng, "copy: {}", "repeat: {}", "say again: {}").format(text), text)


WORD_TASKS: dict[str, WordTask] = {
    "marked_words": marked_words,
    "capitalised": capitalised,
    "fill_blank": fill_blank,
    "neighbour_word": neighbour_word,
    "end_word": end_word,
    "word_there": word_there,
    "which_sentence": which_sentence,
    "same_words": same_words,
    "language_name": language_name,
    "follows": follows,
    "keywords": keywords,
    "restored": restored,
    "repeated": repeated,
}
