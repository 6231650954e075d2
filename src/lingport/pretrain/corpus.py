"""The raw text of a recipe as token ids, one long array per language, training and held-out text apart.

Texts come from `lingport.data.text`; what is made of them is up to `denoise.py` and `instructions.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingport.data.text import read_text
from lingport.pretrain.recipe import PretrainRecipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenText:
    """The texts of one language: `ids` (N,) int32 end to end, text i at `starts[i]:starts[i + 1]`."""

    ids: np.ndarray
    starts: np.ndarray
    texts: list[str]

    def chunk(self, length: int, *, rng: np.random.Generator) -> np.ndarray:
        """Returns `length` ids from the start of a random text on, over the ends of texts if need be."""
        latest = max(len(self.ids) - length, 0)
        last = int(np.searchsorted(self.starts, latest, side="right"))
        start = int(self.starts[rng.integers(max(min(last, len(self.texts)), 1))])
        return self.ids[start : start + length]


def read_texts(recipe: PretrainRecipe, *, split: str) -> dict[str, list[str]]:
    """Returns the texts of one side (`train` or `validation`) per language.

    Raises:
        DataError: A text file is missing or malformed.
    """
    texts = {}
    for language, settings in recipe.languages.items():
        source = settings.text.model_copy(update={"split": split, "validation": recipe.validation.share})
        texts[language] = list(read_text(source, language=language))
    return texts


def vocabulary_texts(recipe: PretrainRecipe, texts: dict[str, list[str]]) -> list[str]:
    """Returns the texts that the vocabulary is trained on: an equal number of characters per language, by weight."""
    rng = np.random.default_rng(recipe.seed)
    chosen = []
    for language, of_language in texts.items():
        room = recipe.vocabulary.characters * recipe.languages[language].weight
        for index in rng.permutation(len(of_language)):
            chosen.append(of_language[index])
            room -= len(of_language[index])
            if room < 0:
                break
    return chosen


def encode_texts(
    tokenizer: PreTrainedTokenizerBase, texts: dict[str, list[str]], *, batch: int = 5000
) -> dict[str, TokenText]:
    """Returns every language's texts as ids, without special tokens."""
    encoded = {}
    for language, of_language in texts.items():
        parts: list[list[int]] = []
        for start in range(0, len(of_language), batch):
            parts += tokenizer(of_language[start : start + batch], add_special_tokens=False).input_ids
        starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        ids = np.fromiter((token for part in parts for token in part), dtype=np.int32)
        encoded[language] = TokenText(ids, starts, of_language)
        logger.info("%s: %s texts, %s pieces", language, len(of_language), len(ids))
    return encoded


def language_shares(recipe: PretrainRecipe, corpus: dict[str, TokenText]) -> np.ndarray:
    """Returns the share (L,) of every language, in the recipe's order: pieces to the power alpha, by weight."""
    sizes = [len(corpus[name].ids) ** recipe.language_alpha * recipe.languages[name].weight for name in corpus]
    return np.asarray(sizes) / sum(sizes)
