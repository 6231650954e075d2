"""Many small tasks put in words, for the last stage: what they draw on, and how a task becomes a row.

The tasks themselves are in `word_tasks.py` (made of raw text), `topic_tasks.py` (of what raw text is about) and
`fact_tasks.py` (made of the demo corpus' training facts). As mT0 was made from mT5 by tasks in words, but with
none that people wrote or labelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from lingport.errors import UnknownNameError, nearest
from lingport.pretrain.corpus import TokenText
from lingport.pretrain.denoise import Row
from lingport.pretrain.topics import Topics

SEPARATOR = "$$"  # between the parts of an answer with several, as in the task catalogue
TRIES = 20


class Exchange(NamedTuple):
    """What is asked and what is right."""

    input: str
    target: str


class Sentences:
    """Raw sentences to make tasks of, with how frequent their words are.

    Args:
        corpus: Training text per language.
    """

    def __init__(self, corpus: dict[str, TokenText]) -> None:
        self.corpus = corpus
        self.languages = list(corpus)
        self._counts: dict[str, Counter[str]] = {}

    def draw(self, language: str, *, longest: int, rng: np.random.Generator, shortest: int = 0) -> str:
        """Returns a random sentence of at most `longest` pieces, cut at a word if none is found."""
        return self.neighbours(language, longest=longest, rng=rng, shortest=shortest, number=1)[0]

    def neighbours(
        self, language: str, *, longest: int, rng: np.random.Generator, number: int = 2, shortest: int = 0
    ) -> list[str]:
        """Returns sentences that follow each other in the text, each of at most `longest` pieces."""
        text = self.corpus[language]
        index = 0
        for _ in range(TRIES):
            index = int(rng.integers(max(len(text.texts) - number, 1)))
            ends = np.append(text.starts[index + 1 : index + number + 1], len(text.ids))[:number]
            lengths = ends - text.starts[index : index + number]
            if len(lengths) == number and shortest <= lengths.min() and lengths.max() <= longest:
                return text.texts[index : index + number]
        return [_cut(sentence, longest) for sentence in text.texts[index : index + number]]

    def frequency(self, word: str, language: str) -> int:
        """Returns how often a word stands in the language's text."""
        if language not in self._counts:
            counts: Counter[str] = Counter()
            for sentence in self.corpus[language].texts:
                counts.update(words_of(sentence))
            self._counts[language] = counts
        return self._counts[language][word]


def _cut(sentence: str, longest: int) -> str:
    """The first words of a sentence, about `longest` pieces of them (two to three pieces a word)."""
    words = words_of(sentence)
    return joined(words[: max(longest * 2 // 5, 3)], sentence)


def is_spaced(text: str) -> bool:
    """Whether a text sets its words apart by spaces: Chinese and Japanese ones do not."""
    return not any("\u3040" <= character <= "\u9fff" for character in text)


def words_of(text: str) -> list[str]:
    """Returns the words of a text with their punctuation, or its characters where words are not set apart."""
    return text.split() if is_spaced(text) else [character for character in text if not character.isspace()]


def joined(words: list[str], like: str) -> str:
    """Returns words put together as in the text they are from."""
    return (" " if is_spaced(like) else "").join(words)


def bare(word: str) -> str:
    """Returns a word without the punctuation around it."""
    start, stop = 0, len(word)
    while start < stop and not word[start].isalnum():
        start += 1
    # vowel signs and viramas of Indic scripts are no letters, but no punctuation either
    while stop > start and not (word[stop - 1].isalnum() or ord(word[stop - 1]) in _MARKS):
        stop -= 1
    return word[start:stop]


_MARKS = frozenset([*range(0x0900, 0x0E00), *range(0x0610, 0x0660), 0x200C, 0x200D])

WordTask = Callable[[Sentences, str, int, np.random.Generator], "Exchange | None"]


class Instructions:
    """Rows of the tasks put in words.

    Args:
        tokenizer: Of the backbone.
        corpus: Training text per language.
        topics: Of the corpus' texts; None: there are no tasks on what a sentence is about.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, corpus: dict[str, TokenText], *, topics: Topics | None = None
    ) -> None:
        from lingport.pretrain.fact_tasks import FACT_TASKS
        from lingport.pretrain.topic_tasks import TopicTasks
        from lingport.pretrain.word_tasks import WORD_TASKS

        self.tasks: dict[str, WordTask] = {**WORD_TASKS, **FACT_TASKS, **(TopicTasks(topics).tasks if topics else {})}
        self.sentences = Sentences(corpus)
        backend = cast(Tokenizer, tokenizer.backend_tokenizer)
        self._encode = backend.encode  # a third of the time of calling the tokenizer

    def exchange(self, name: str, language: str, *, longest: int, rng: np.random.Generator) -> Exchange:
        """Returns one task in words.

        Args:
            name: The task.
            language: Of the sentence it is made of.
            longest: Pieces of the whole input, about.
            rng: Source of chance.

        Raises:
            UnknownNameError: No such task.
        """
        if name not in self.tasks:
            raise UnknownNameError(f"unknown pretraining task {name!r}", hint=nearest(name, self.tasks))
        for _ in range(TRIES):
            made = self.tasks[name](self.sentences, language, longest, rng)
            if made is not None:
                return made
        sentence = self.sentences.draw(language, longest=longest, rng=rng)
        return Exchange(f"copy: {sentence}", sentence)

    def row(self, name: str, language: str, *, longest: int, rng: np.random.Generator) -> Row:
        """Returns one task as token ids, at most twice `longest` of them; see `exchange`."""
        made = self.exchange(name, language, longest=longest, rng=rng)
        limit = 2 * longest
        source, target = (np.asarray(self._encode(text).ids, dtype=np.int64) for text in made)
        return Row(_limited(source, limit), _limited(target, limit))


def _limited(ids: np.ndarray, limit: int) -> np.ndarray:
    return ids if len(ids) <= limit else np.append(ids[: limit - 1], ids[-1])
