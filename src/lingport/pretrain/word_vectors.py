"""Word vectors of many languages in one space, from raw text and from things whose names are known in several.

A word is told by the things that are named near it. Counts and linear algebra only, a minute or two for sixteen
languages. What the vectors are for is `topics.py`'s and `meaning.py`'s business; things are `things.py`'s.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import regex
from anyascii import anyascii
from scipy import sparse

from lingport.pretrain.cooccurrence import Sparse, centred, information, neighbour_counts, reduced, unit
from lingport.pretrain.things import Thing

_WORD = regex.compile(r"[\p{L}\p{M}]+")  # with the marks that are the vowels of Indic scripts
_NOT_LATIN = regex.compile(r"[^a-z]")
WINDOW = 10  # words to either side that count as near
MOST_WORDS = 20_000  # of a language
RAREST = 3  # occurrences
COGNATE_LETTERS = 5  # shorter words look alike by accident
NAMED = 2.0  # weight of the things that a word itself names, over that of those named near it
DRAWN = 2.0  # weight of the vectors of the things that a word names, over that of its own
ROUNDS = 2  # of drawing words to their things
FREQUENT = 3e-4  # share of all words at which a word counts half in the vector of a text


def stems(text: str) -> list[str]:
    """Returns the words of a text in lower case without their endings, or pairs of characters of Chinese text.

    The ending is crude: the last three letters of a word of eight or more, less of shorter ones, so that the
    cases of a Slavic noun count as one word.
    """
    found = []
    for word in _WORD.findall(text.lower()):
        if "\u3040" <= word[0] <= "\u9fff":
            found += [word[place : place + 2] for place in range(max(len(word) - 1, 1))]
        else:
            found.append(word[: max(5, len(word) - 3)])
    return found


@dataclass(frozen=True)
class WordVectors:
    """Words of one language: `ids` word -> row, `vectors` (N, D) float32 of length 1, `counts` (N,)."""

    ids: dict[str, int]
    vectors: np.ndarray
    counts: np.ndarray

    def rows(self, text: str) -> list[int]:
        """Returns the rows of the known words of a text."""
        return [self.ids[word] for word in stems(text) if word in self.ids]

    @cached_property
    def weights(self) -> np.ndarray:
        """How much each word (N,) counts in a text, up to 1: frequent ones less."""
        return FREQUENT / (FREQUENT + self.counts / self.counts.sum())

    def of_texts(self, rows: list[list[int]]) -> np.ndarray:
        """Returns one vector (T, D) per text, of length 1 or 0: the mean of its words', frequent ones counting less.

        Source: Arora, Liang and Ma (2017), A simple but tough-to-beat baseline for sentence embeddings, equation 3.

        Args:
            rows: The texts' known words, as `rows` gives them.
        """
        found = np.zeros((len(rows), self.vectors.shape[1]), np.float32)
        for index, words in enumerate(rows):
            found[index] = self.weights[words] @ self.vectors[words]
        return unit(found)


def shared_vectors(
    texts: Mapping[str, list[str]], things: Sequence[Thing], *, dimensions: int, seed: int = 0
) -> dict[str, WordVectors]:
    """Returns the words of every language as vectors in one space; no text need be a translation of another.

    A word's coordinates are at first the things of all languages: the information that it gives of what is named
    near it, and what it names itself. One singular value decomposition over the words of all languages makes them
    few. Words that look alike in Latin letters name a thing too. At last words that name one thing are drawn together.
    Source: ours.

    Args:
        texts: Language -> its sentences.
        things: Language -> words for it; of phrases, only those that are one word count.
        dimensions: D.
        seed: Of the decomposition.
    """
    named = [_single_words(thing) for thing in things]
    known = {}
    for language, of_language in texts.items():
        known[language] = _Counted.of(of_language, {word for thing in named for word in thing.get(language, ())})
    named += _cognates(known)
    parts, naming = [], {}
    for language, words in known.items():
        naming[language] = names = _names(words, [thing.get(language, ()) for thing in named])
        near = neighbour_counts(words.rows, words.owner, len(words.ids), window=WINDOW) @ _shares(names)
        parts.append(_unit_rows(information(near)) + NAMED * _unit_rows(names))
    every = reduced(sparse.vstack(parts).tocsr(), dimensions, seed=seed)
    vectors, first = {}, 0
    for language, words in known.items():
        vectors[language] = centred(every[first : first + len(words.ids)])
        first += len(words.ids)
    drawn = drawn_together(vectors, naming)
    return {language: WordVectors(words.ids, drawn[language], words.counts) for language, words in known.items()}


def drawn_together(vectors: Mapping[str, np.ndarray], naming: Mapping[str, Sparse]) -> dict[str, np.ndarray]:
    """Returns word vectors nearer to those of the words of other languages that name the same things.

    Source: retrofitting of Faruqui et al. (2015), Retrofitting Word Vectors to Semantic Lexicons, with things in place
    of pairs of words.

    Args:
        vectors: Language -> (N, D), of length 1.
        naming: Language -> 1 where a word names a thing (N, C).
    """
    drawn = dict(vectors)
    known = np.sum([names.sum(0) > 0 for names in naming.values()], axis=0) > 1  # (C,) in two languages or more
    for _ in range(ROUNDS):
        things = unit(np.sum([_shares(names.T) @ drawn[language] for language, names in naming.items()], axis=0))
        for language, names in naming.items():
            drawn[language] = unit(vectors[language] + DRAWN * (_shares(names[:, known]) @ things[known]))
    return drawn


def _shares(names: Sparse) -> Sparse:
    """Rows made of sum 1; rows of zeros stay."""
    return sparse.diags_array(1 / np.maximum(names.sum(1), 1)) @ names


@dataclass(frozen=True)
class _Counted:
    """Running text of one language: `ids` word -> row, `counts` (N,), the `rows` of all places and their texts."""

    ids: dict[str, int]
    counts: np.ndarray
    rows: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, texts: list[str], names: set[str]) -> _Counted:
        """The words of texts that are frequent, and those that are names."""
        split = [stems(text) for text in texts]
        counts = Counter(word for words in split for word in words)
        known = [(word, count) for word, count in counts.most_common(MOST_WORDS) if count >= RAREST]
        known += [(word, counts[word]) for word in sorted((names & counts.keys()) - {word for word, _ in known})]
        ids = {word: row for row, (word, _) in enumerate(known)}
        rows = np.fromiter((ids.get(word, -1) for words in split for word in words), np.int32)
        owner = np.repeat(np.arange(len(split), dtype=np.int32), [len(words) for words in split])
        return cls(ids, np.asarray([count for _, count in known], np.float32), rows[rows >= 0], owner[rows >= 0])


def _single_words(thing: Thing) -> dict[str, set[str]]:
    """The stems of the words for a thing; all pairs of characters of a Chinese one."""
    found = {}
    for language, words in thing.items():
        split = [stems(word) for word in words]
        found[language] = {stem for of_word in split if len(of_word) == 1 or _is_han(of_word) for stem in of_word}
    return found


def _is_han(words: Sequence[str]) -> bool:
    return bool(words) and all("\u3040" <= word[0] <= "\u9fff" for word in words)


def _cognates(known: Mapping[str, _Counted]) -> list[dict[str, set[str]]]:
    """Things that words of two languages or more name in like letters."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for language, words in known.items():
        for word in words.ids:
            latin = "" if _is_han([word]) else latin_letters(word)
            if len(latin) >= COGNATE_LETTERS:
                found[latin][language].add(word)
    return [thing for thing in found.values() if len(thing) > 1]


def _names(words: _Counted, named: Sequence[set[str] | tuple[()]]) -> Sparse:
    """1 where a word (N,) names a thing (C,)."""
    pairs = [(words.ids[word], thing) for thing, own in enumerate(named) for word in own if word in words.ids]
    rows, columns = np.asarray(pairs, np.int32).reshape(-1, 2).T
    return sparse.csr_array((np.ones(len(pairs), np.float32), (rows, columns)), shape=(len(words.ids), len(named)))


def _unit_rows(matrix: Sparse) -> Sparse:
    sizes = np.sqrt(matrix.multiply(matrix).sum(1))
    return sparse.diags_array(1 / np.maximum(sizes, 1e-9).astype(np.float32)) @ matrix


def latin_letters(word: str) -> str:
    """Returns a word as its sounds are written in the letters a to z, about."""
    return _NOT_LATIN.sub("", anyascii(word).lower())
