"""Tasks in words about what sentences are about; their topics were found in raw text (`topics.py`)."""

from __future__ import annotations

import numpy as np

from lingport.pretrain.instructions import TRIES, Exchange, Sentences, WordTask
from lingport.pretrain.topics import UNSURE, Topics
from lingport.pretrain.word_tasks import pick, yes_no

_MOST_CHOICES = 7


class TopicTasks:
    """Makes tasks of topics.

    Args:
        topics: Of the same texts that the sentences are drawn from.
    """

    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self.languages = [language for language, of in topics.of.items() if (of != UNSURE).any()]

    @property
    def tasks(self) -> dict[str, WordTask]:
        """The tasks by name."""
        return {"topic_words": self.topic_words, "which_topic": self.which_topic, "same_topic": self.same_topic}

    def _draw(self, sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> tuple[int, str]:
        of = self.topics.of[language]
        known = np.flatnonzero(of != UNSURE)
        number = int(known[rng.integers(len(known))])
        return int(of[number]), sentences.corpus[language].texts[number]

    def _about(
        self, sentences: Sentences, topic: int, language: str, longest: int, rng: np.random.Generator
    ) -> str | None:
        """A sentence of a topic in a language, short enough, or None."""
        members = self.topics.members[language][topic]
        for _ in range(TRIES if len(members) else 0):
            text = sentences.corpus[language].texts[int(members[rng.integers(len(members))])]
            if len(text) <= 3 * longest:  # two to three characters a piece
                return text
        return None

    def _joined(self, sentences: Sentences, language: str, longest: int, rng: np.random.Generator) -> tuple[int, str]:
        """One or two sentences of one topic."""
        topic, text = self._draw(sentences, language, longest, rng)
        room = longest - len(text) // 3
        if room > 10 and rng.random() < 0.5:
            second = self._about(sentences, topic, language, room, rng)
            text = f"{text} {second}" if second else text
        return topic, text

    def topic_words(
        self, sentences: Sentences, language: str, longest: int, rng: np.random.Generator
    ) -> Exchange | None:
        """Say in English words what one or two sentences of any language are about."""
        if language not in self.languages:
            return None
        topic, text = self._joined(sentences, language, longest, rng)
        prompt = pick(rng, "what is it about? {}", "about: {}", "{} What is this about?", "subject: {}")
        return Exchange(prompt.format(text), ", ".join(self.topics.names[topic]))

    def which_topic(
        self, sentences: Sentences, language: str, longest: int, rng: np.random.Generator
    ) -> Exchange | None:
        """Choose what a sentence is about from the words of some topics."""
        if language not in self.languages:
            return None
        topic, text = self._joined(sentences, language, longest, rng)
        others = [number for number in range(len(self.topics.names)) if number != topic]
        chosen = rng.choice(others, size=int(rng.integers(1, min(_MOST_CHOICES, len(others) + 1))), replace=False)
        words = [self.topics.names[number][0] for number in (topic, *chosen)]
        if len(set(words)) < len(words):
            return None
        listed = ", ".join(words[place] for place in rng.permutation(len(words)))
        prompt = pick(rng, "{t} Which of these is it about: {w}?", "choose from {w}: {t}", "{w} | {t}")
        return Exchange(prompt.format(t=text, w=listed), words[0])

    def same_topic(
        self, sentences: Sentences, language: str, longest: int, rng: np.random.Generator
    ) -> Exchange | None:
        """Say whether two sentences, often of two languages, are about like things."""
        if language not in self.languages:
            return None
        topic, first = self._draw(sentences, language, longest, rng)
        other = language if rng.random() < 0.3 else self.languages[int(rng.integers(len(self.languages)))]
        answer = rng.random() < 0.5
        second_topic = topic if answer else int(rng.integers(len(self.topics.names)))
        second = self._about(sentences, second_topic, other, longest, rng)
        if second is None or second == first or (second_topic == topic) != answer or len(first) > 3 * longest:
            return None
        prompt = pick(rng, "about the same? {a} | {b}", "first: {a} second: {b} Are they about the same?")
        return Exchange(prompt.format(a=first, b=second), yes_no(rng, answer))
