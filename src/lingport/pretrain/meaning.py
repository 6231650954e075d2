"""What a text is about, as a part of the encoder's output: a loss that a backbone is pretrained with besides its tasks.

The mean of the encoder's states over a text, seen along some fixed directions, is to point where the vectors of the
text's words point (`word_vectors.py`), and the mean over a word's pieces where the word's vector points. So texts about
like things lie near each other in every language, where modules above a frozen backbone can find it. Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchEncoding, PreTrainedTokenizerBase

from lingport.pretrain.cooccurrence import Sparse, unit
from lingport.pretrain.corpus import TokenText
from lingport.pretrain.forward import encode
from lingport.pretrain.instructions import joined, words_of
from lingport.pretrain.things import Thing
from lingport.pretrain.vocabulary import PAD_ID
from lingport.pretrain.word_vectors import WordVectors

NAME_SHARE = 0.25  # of the steps: names of things, not parts of texts
NUM_WORDS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # of a step's texts
PIECES_OF_A_WORD = 2.5
PARTS = 4  # that a step's texts are encoded in, by length: one long name would pad hundreds of short ones
MEAN_TEXTS = 4000  # that what is usual in a language is taken from
FITTED_TEXTS = 250_000
FITTED_TOKENS = 20_000  # of texts drawn at once
TURNS = 100  # draws by which the directions are chosen
RIDGE = 0.3
ROUNDS = 60  # of conjugate gradients


@dataclass(frozen=True)
class Drawn:
    """Texts, their languages, and their vectors `wanted` (B, D)."""

    texts: list[str]
    languages: list[str]
    wanted: np.ndarray


class Meanings:
    """Short texts of all languages, with the vectors that their encoding is to show.

    Args:
        vectors: Language -> words, in one space of D dimensions.
        corpus: Language -> training text.
        shares: (L,) how often each language of the corpus is drawn.
        things: Their names are texts too.
        tokenizer: Of the backbone.
        width: Of the backbone, more than D.
        seed: Of the directions.
    """

    def __init__(
        self,
        vectors: Mapping[str, WordVectors],
        corpus: Mapping[str, TokenText],
        shares: np.ndarray,
        things: Sequence[Thing],
        tokenizer: PreTrainedTokenizerBase,
        *,
        width: int,
        seed: int,
    ) -> None:
        self.vectors, self.corpus, self.shares, self.tokenizer = vectors, corpus, shares, tokenizer
        self.languages = list(corpus)
        self.names = {
            language: [word for of in things for word in of.get(language, ()) if vectors[language].rows(word)]
            for language in corpus
        }
        self.usual = {language: self._usual(language) for language in corpus}
        dimensions = next(iter(vectors.values())).vectors.shape[1]
        drawn = torch.randn(width, dimensions, generator=torch.Generator().manual_seed(seed))
        self.directions = torch.linalg.qr(drawn).Q  # (width, D), orthonormal; until `turn_towards`

    def _usual(self, language: str) -> np.ndarray:
        texts = self.corpus[language].texts
        every = texts[:: max(len(texts) // MEAN_TEXTS, 1)]
        return self._of(language, every).mean(0)

    def _of(self, language: str, texts: list[str]) -> np.ndarray:
        vectors = self.vectors[language]
        return vectors.of_texts([vectors.rows(text) for text in texts])

    def draw(self, rng: np.random.Generator, *, num_tokens: int) -> Drawn:
        """Returns about `num_tokens` of like long texts; those of which no word is known are left out."""
        num_words = int(rng.choice(NUM_WORDS))
        is_name = rng.random() < NAME_SHARE
        number = max(int(num_tokens / PIECES_OF_A_WORD / (2 if is_name else num_words)), 1)
        texts, languages, wanted = [], [], []
        for language, count in zip(self.languages, rng.multinomial(number, self.shares), strict=True):
            if is_name:
                names = self.names[language]
                own = [names[place] for place in rng.integers(len(names), size=count)] if names else []
            else:
                own = [self._part(language, num_words, rng) for _ in range(count)]
            found = self._of(language, own)
            known = np.flatnonzero(found.any(1))
            texts += [own[index] for index in known]
            languages += [language] * len(known)
            wanted.append(found[known] - self.usual[language])
        return Drawn(texts, languages, np.concatenate(wanted))

    def _part(self, language: str, num_words: int, rng: np.random.Generator) -> str:
        """Some words of a text that follow each other."""
        texts = self.corpus[language].texts
        text = texts[int(rng.integers(len(texts)))]
        words = words_of(text)
        start = int(rng.integers(max(len(words) - num_words, 0) + 1))
        return joined(words[start : start + num_words], text)

    @torch.no_grad()
    def turn_towards(self, model: Any, rng: np.random.Generator, *, num_tokens: int) -> None:
        """Takes the directions along which an mT5 model's encoder says most of it as it is: orthogonal Procrustes.

        A model that was taught such vectors before need not learn the turned axes of new ones.
        Source: Schönemann (1966), A Generalized Solution of the Orthogonal Procrustes Problem.
        """
        match = torch.zeros(self.directions.shape)
        for _ in range(TURNS):
            drawn = self.draw(rng, num_tokens=num_tokens)
            if len(drawn.texts) > 1:
                states, _, owner = self._states(model, drawn)
                said = _means(states, owner, len(drawn.texts))
                match += F.normalize(said - said.mean(0)).T @ F.normalize(torch.from_numpy(drawn.wanted))
        left, _, right = torch.linalg.svd(match, full_matrices=False)
        self.directions = left @ right

    def _states(self, model: Any, drawn: Drawn) -> tuple[Tensor, BatchEncoding, Tensor]:
        """What the encoder says of all pieces (N, width) of drawn texts, their encoding, and whose each piece is."""
        encoding = self.tokenizer(drawn.texts)
        ids = [torch.tensor(of) for of in encoding.input_ids]
        states, owner = [], []
        for rows in np.array_split(np.argsort([len(of) for of in ids], kind="stable"), min(PARTS, len(ids))):
            input_ids = pad_sequence([ids[row] for row in rows], batch_first=True, padding_value=PAD_ID)
            mask = input_ids != PAD_ID
            states.append(encode(model, input_ids, mask.float())[mask].float())
            owner.append(torch.repeat_interleave(torch.from_numpy(rows), mask.sum(1)))
        owned = torch.cat(owner)
        places = torch.argsort(owned, stable=True)
        return torch.cat(states)[places], encoding, owned[places]

    def loss(self, model: Any, rng: np.random.Generator, *, num_tokens: int) -> Tensor:
        """Returns 1 - the cosine between what an mT5 model's encoder says and what it is to say.

        The mean of two means: over drawn texts, and over their words, where frequent ones count less. 0 if no word of
        what was drawn is known.
        """
        drawn = self.draw(rng, num_tokens=num_tokens)
        if not drawn.texts:
            return torch.zeros(())
        states, encoding, owner = self._states(model, drawn)
        said = states @ self.directions
        of_texts = _distances(_means(said, owner, len(drawn.texts)), torch.from_numpy(drawn.wanted)).mean()
        word_of, wanted, weights = self._words(drawn, encoding)
        if not len(wanted):
            return of_texts
        known = word_of >= 0
        of_words = _distances(_means(said[known], word_of[known], len(wanted)), wanted)
        return (of_texts + (weights * of_words).sum() / weights.sum()) / 2

    def _words(self, drawn: Drawn, encoding: BatchEncoding) -> tuple[Tensor, Tensor, Tensor]:
        """The known words of texts: of each piece (N,) the word or -1; the words' vectors (W, D) and weights (W,)."""
        word_of: list[int] = []
        wanted: list[np.ndarray] = []
        weights: list[float] = []
        for row, (text, language) in enumerate(zip(drawn.texts, drawn.languages, strict=True)):
            places = encoding.word_ids(row)
            numbers = dict.fromkeys(places, -1)
            for place in numbers.keys() - {None}:
                span = encoding.word_to_chars(row, place)
                vector, weight = self._word(language, text[span.start : span.end])
                if weight:
                    numbers[place] = len(wanted)
                    wanted.append(vector)
                    weights.append(weight)
            word_of += [numbers[place] for place in places]
        return torch.tensor(word_of), torch.from_numpy(np.asarray(wanted)), torch.tensor(weights)

    @lru_cache(maxsize=500_000)  # noqa: B019 (one object lives as long as a run)
    def _word(self, language: str, word: str) -> tuple[np.ndarray, float]:
        """The vector of a word and how much it counts; 0: it is not known."""
        vectors = self.vectors[language]
        rows = vectors.rows(word)
        return vectors.of_texts([rows])[0], float(vectors.weights[rows].max(initial=0))

    def piece_meanings(self, rng: np.random.Generator, *, num_texts: int) -> np.ndarray:
        """Returns what pieces (V, D) say so that their mean over a text comes close to its vector: ridge regression."""
        texts: list[str] = []
        wanted: list[np.ndarray] = []
        while len(texts) < num_texts:
            drawn = self.draw(rng, num_tokens=FITTED_TOKENS)
            texts += drawn.texts
            wanted.append(unit(drawn.wanted))
        shares = self._piece_shares(texts)
        return _ridge(shares, np.concatenate(wanted))

    def _piece_shares(self, texts: list[str]) -> Sparse:
        """The share (T, V) that each piece is of each text."""
        ids = self.tokenizer(texts, add_special_tokens=False).input_ids
        lengths = [max(len(of), 1) for of in ids]
        rows = np.repeat(np.arange(len(ids)), [len(of) for of in ids])
        columns = np.fromiter((piece for of in ids for piece in of), np.int64)
        values = np.repeat(1 / np.asarray(lengths, np.float32), [len(of) for of in ids])
        return sparse.csr_array((values, (rows, columns)), shape=(len(texts), len(self.tokenizer)))

    @torch.no_grad()
    def add_to_embeddings(self, model: Any, rng: np.random.Generator, *, num_texts: int = FITTED_TEXTS) -> None:
        """Adds what each piece says to its embedding, along the directions and as large as the embeddings are.

        Training finds the same, only many times slower: most of what a text is about is said by its pieces alone.
        """
        embeddings = model.shared.weight
        said = torch.from_numpy(self.piece_meanings(rng, num_texts=num_texts)) @ self.directions.T
        embeddings += said * (embeddings.pow(2).mean() / said.pow(2).mean()).sqrt()


def _means(states: Tensor, owner: Tensor, number: int) -> Tensor:
    """The mean (number, D) of the states (N, D) that belong to each owner."""
    total = states.new_zeros(number, states.shape[1]).index_add(0, owner, states)
    return total / torch.bincount(owner, minlength=number)[:, None]


def _distances(said: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine (N,) of what is said about its mean: what all have in common says nothing, and T5 has no biases."""
    return 1 - F.cosine_similarity(said - said.mean(0), wanted, dim=1)


def _ridge(inputs: Sparse, targets: np.ndarray) -> np.ndarray:
    """The weights (V, D) that make inputs (T, V) targets (T, D) with a penalty on their squares."""
    square, right = (inputs.T @ inputs).tocsr(), inputs.T @ targets
    weights = np.zeros_like(right)
    rest = right.copy()
    towards, size = rest.copy(), (rest**2).sum(0)
    for _ in range(ROUNDS):
        made = square @ towards + RIDGE * towards
        length = size / np.maximum((towards * made).sum(0), 1e-12)
        weights += length * towards
        rest -= length * made
        before, size = size, (rest**2).sum(0)
        towards = rest + size / np.maximum(before, 1e-12) * towards
    return weights.astype(np.float32)
