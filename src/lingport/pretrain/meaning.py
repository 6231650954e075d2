"""What a text is about, as a part of the encoder's output: a loss that a backbone is pretrained with besides its tasks.

The mean of the encoder's states over a text, seen along some fixed directions, is to point where the vectors of the
text's words point (`word_vectors.py`). So texts about like things lie near each other in every language, where modules
above a frozen backbone can find it. Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

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
MEAN_TEXTS = 4000  # that what is usual in a language is taken from
FITTED_TEXTS = 250_000
FITTED_TOKENS = 20_000  # of texts drawn at once
RIDGE = 0.3
ROUNDS = 60  # of conjugate gradients


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
        self.names = {language: [word for of in things for word in of.get(language, ())] for language in corpus}
        self.usual = {language: self._usual(language) for language in corpus}
        dimensions = next(iter(vectors.values())).vectors.shape[1]
        drawn = torch.randn(width, dimensions, generator=torch.Generator().manual_seed(seed))
        self.directions = torch.linalg.qr(drawn).Q  # (width, D), orthonormal

    def _usual(self, language: str) -> np.ndarray:
        texts = self.corpus[language].texts
        every = texts[:: max(len(texts) // MEAN_TEXTS, 1)]
        return self._of(language, every).mean(0)

    def _of(self, language: str, texts: list[str]) -> np.ndarray:
        vectors = self.vectors[language]
        return vectors.of_texts([vectors.rows(text) for text in texts])

    def draw(self, rng: np.random.Generator, *, num_tokens: int) -> tuple[list[str], Tensor]:
        """Returns about `num_tokens` of like long texts and their vectors (B, D); those without are left out."""
        num_words = int(rng.choice(NUM_WORDS))
        is_name = rng.random() < NAME_SHARE
        number = max(int(num_tokens / PIECES_OF_A_WORD / (2 if is_name else num_words)), 1)
        texts, wanted = [], []
        for language, count in zip(self.languages, rng.multinomial(number, self.shares), strict=True):
            if is_name:
                own = [str(name) for name in rng.choice(self.names[language], count)] if self.names[language] else []
            else:
                own = [self._part(language, num_words, rng) for _ in range(count)]
            found = self._of(language, own)
            known = np.flatnonzero(found.any(1))
            texts += [own[index] for index in known]
            wanted.append(found[known] - self.usual[language])
        return texts, torch.from_numpy(np.concatenate(wanted))

    def _part(self, language: str, num_words: int, rng: np.random.Generator) -> str:
        """Some words of a text that follow each other."""
        texts = self.corpus[language].texts
        text = texts[int(rng.integers(len(texts)))]
        words = words_of(text)
        start = int(rng.integers(max(len(words) - num_words, 0) + 1))
        return joined(words[start : start + num_words], text)

    def loss(self, model: Any, rng: np.random.Generator, *, num_tokens: int) -> Tensor:
        """Returns 1 - the cosine between what an mT5 model's encoder says of drawn texts and their vectors, a mean."""
        texts, wanted = self.draw(rng, num_tokens=num_tokens)
        ids = [torch.tensor(of) for of in self.tokenizer(texts).input_ids]
        input_ids = pad_sequence(ids, batch_first=True, padding_value=PAD_ID)
        mask = (input_ids != PAD_ID).float()
        states = encode(model, input_ids, mask)
        means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        said = means.float() @ self.directions
        # what all texts have in common says nothing, and T5's layers have no bias to take it away with
        return (1 - F.cosine_similarity(said - said.mean(0), wanted, dim=1)).mean()

    def piece_meanings(self, rng: np.random.Generator, *, num_texts: int) -> np.ndarray:
        """Returns what pieces (V, D) say so that their mean over a text comes close to its vector: ridge regression."""
        texts: list[str] = []
        wanted: list[np.ndarray] = []
        while len(texts) < num_texts:
            drawn, vectors = self.draw(rng, num_tokens=FITTED_TOKENS)
            texts += drawn
            wanted.append(unit(vectors.numpy()))
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
