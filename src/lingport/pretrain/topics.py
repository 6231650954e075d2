"""Topics of sentences, found in raw text alone: which sentences of all languages are about like things.

English sentences are put in groups by their vectors, groups are named by their most telling words, and the
sentences of other languages join the nearest group. Nobody labelled anything. The tasks made of them are in
`topic_tasks.py`, vectors in `word_vectors.py`.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.cluster import MiniBatchKMeans

from lingport.errors import ConfigError
from lingport.pretrain.corpus import TokenText
from lingport.pretrain.recipe import PretrainRecipe
from lingport.pretrain.word_vectors import WordVectors, stems

logger = logging.getLogger(__name__)

TOPIC_TASKS = {"topic_words", "which_topic", "same_topic"}  # the tasks of `topic_tasks.py`
PIVOT = "en"
NUM_TOPICS = 96
WORDS_OF_A_NAME = 3
FEWEST_WORDS = 5  # known words that a sentence needs to have a topic
SURE_SHARE = 0.5  # of a language's sentences: those nearest to their topic
NUM_COMMON_WORDS = 400  # of English: such words name no topic
RAREST_NAME = 20  # occurrences of a word that names a topic
UNSURE = -1
_NAMES_FILE, _TOPICS_FILE = "names.json", "topics.safetensors"


@dataclass(frozen=True)
class Topics:
    """`names`: topic -> its most telling English words; `of`: language -> topic (T,) of every text, or `UNSURE`."""

    names: list[list[str]]
    of: dict[str, np.ndarray]

    @cached_property
    def members(self) -> dict[str, list[np.ndarray]]:
        """Language -> topic -> numbers of its texts."""
        topics = range(len(self.names))
        return {language: [np.flatnonzero(of == topic) for topic in topics] for language, of in self.of.items()}

    def save(self, folder: Path) -> None:
        """Writes the topics into a folder, the names last."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.of, folder / _TOPICS_FILE)
        staging = folder / f".{_NAMES_FILE}"
        staging.write_text(json.dumps(self.names, indent=0) + "\n", "utf-8")
        staging.rename(folder / _NAMES_FILE)

    @classmethod
    def load(cls, folder: Path) -> Topics | None:
        """Returns the topics that a folder holds, or None."""
        if not (folder / _NAMES_FILE).exists():
            return None
        return cls(json.loads((folder / _NAMES_FILE).read_text("utf-8")), load_file(folder / _TOPICS_FILE))


def topics_of(
    recipe: PretrainRecipe, corpus: dict[str, TokenText], vectors: Callable[[], dict[str, WordVectors]], folder: Path
) -> Topics | None:
    """Returns the topics that a recipe's stages ask for, found once and kept in a folder; None if none does."""
    asked = {name for stage in recipe.stages for point in stage.curriculum for name in point.mixture}
    if not asked & TOPIC_TASKS:
        return None
    topics = Topics.load(folder)
    if topics is None:
        topics = find_topics({language: text.texts for language, text in corpus.items()}, vectors(), seed=recipe.seed)
        topics.save(folder)
    return topics


def find_topics(
    texts: dict[str, list[str]],
    vectors: dict[str, WordVectors],
    *,
    seed: int = 0,
    num_topics: int = NUM_TOPICS,
    num_common_words: int = NUM_COMMON_WORDS,
) -> Topics:
    """Returns the topics of every language's sentences. Source: ours.

    Args:
        texts: Language -> its sentences; English must be among them.
        vectors: Of their words, in one space.
        seed: Of the grouping.
        num_topics: Groups; those that are not about anything are left out.
        num_common_words: The most frequent English words, which name no topic.

    Raises:
        ConfigError: There is no English text.
    """
    if PIVOT not in texts:
        raise ConfigError("topics are named in English, and no English text is given", hint=f"add languages.{PIVOT}")
    pivot = vectors[PIVOT]
    words = [pivot.rows(text) for text in texts[PIVOT]]
    enough = np.asarray([len(known) >= FEWEST_WORDS for known in words])
    sentences = pivot.of_texts(words)
    grouping = MiniBatchKMeans(num_topics, batch_size=4096, n_init=3, random_state=seed)  # pyright: ignore[reportArgumentType]
    groups = grouping.fit_predict(sentences[enough] - sentences.mean(0))
    centres = grouping.cluster_centers_ / np.linalg.norm(grouping.cluster_centers_, axis=1, keepdims=True)
    names = _names(np.asarray(texts[PIVOT], object)[enough], groups, num_topics)
    common = _common_words(texts[PIVOT], num_common_words)
    matter = [topic for topic, name in enumerate(names) if _is_matter(name, common)]
    number = np.full(num_topics + 1, UNSURE, np.int16)  # the last: of texts without a topic
    number[matter] = np.arange(len(matter))
    of = {}
    for language, of_language in texts.items():
        of[language] = number[_nearest(vectors[language], of_language, centres.astype(np.float32))]
        logger.info("%s: %s of %s texts have a topic", language, int((of[language] >= 0).sum()), len(of_language))
    return Topics([names[topic] for topic in matter], of)


def _common_words(texts: list[str], number: int) -> set[str]:
    counts = Counter(word for text in texts for word in text.lower().split() if word.isalpha())
    return {word for word, _ in counts.most_common(number)}


def _is_matter(name: list[str], common: set[str]) -> bool:
    """Whether a group is about something: named by common words, it is one of style ("said", "what", "never")."""
    return sum(word in common for word in name) < 2


def _nearest(vectors: WordVectors, texts: list[str], centres: np.ndarray) -> np.ndarray:
    """The nearest topic (T,) int16 of the texts that are near enough to one; a language's texts lie around its mean."""
    words = [vectors.rows(text) for text in texts]
    found = vectors.of_texts(words)
    near = (found - found.mean(0)) @ centres.T
    best, nearness = near.argmax(1), near.max(1)
    enough = np.asarray([len(known) >= FEWEST_WORDS for known in words])
    if not enough.any():
        return np.full(len(texts), UNSURE, np.int16)
    sure = enough & (nearness > np.quantile(nearness[enough], 1 - SURE_SHARE))
    return np.where(sure, best, UNSURE).astype(np.int16)


def _names(texts: np.ndarray, groups: np.ndarray, num_topics: int) -> list[list[str]]:
    """The words of each group that are most over-represented in it, one form of each word."""
    surfaces: Counter[tuple[str, str]] = Counter()
    overall: Counter[str] = Counter()
    within: list[Counter[str]] = [Counter() for _ in range(num_topics)]
    for text, group in zip(texts, groups, strict=True):
        words = [word for word in text.lower().split() if word.isalpha()]
        pairs = {(stems(word)[0], word) for word in words if len(word) > 3}
        surfaces.update(pairs)
        overall.update({stem for stem, _ in pairs})
        within[group].update({stem for stem, _ in pairs})
    form: dict[str, str] = {}
    for (stem, word), _ in surfaces.most_common():
        form.setdefault(stem, word)
    names = []
    for group, counts in enumerate(within):
        share = max(int((groups == group).sum()), 1) / len(groups)
        telling = sorted(
            (stem for stem in counts if overall[stem] >= RAREST_NAME),
            key=lambda stem: (-counts[stem] * np.log(counts[stem] / overall[stem] / share), stem),
        )
        names.append([form[stem] for stem in telling[:WORDS_OF_A_NAME]] or ["other"])
    return names
