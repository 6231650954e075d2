"""Word vectors in one space, and topics, on made-up text of known themes in two made-up languages."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from lingport.errors import ConfigError
from lingport.pretrain.corpus import TokenText
from lingport.pretrain.instructions import Sentences
from lingport.pretrain.topic_tasks import TopicTasks
from lingport.pretrain.topics import TOPIC_TASKS, UNSURE, Topics, find_topics
from lingport.pretrain.word_vectors import WordVectors, drawn_together, shared_vectors, stems

LETTERS = np.random.default_rng(0)
THEMES = {
    theme: ["".join(LETTERS.choice(list("abdegiklmnoprstuv"), 5)) for _ in range(40)]
    for theme in ("sea", "court", "farm")
}
NUM_TOPICS = 6
FILLERS = ["the", "with", "was", "near", "very", "often"]


def foreign(word: str) -> str:
    """The other language's word: its letters turned around, so that no two words look alike."""
    return f"q{word[::-1]}"


def themed(number: int, *, seed: int, other: bool = False) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    texts, themes = [], []
    for _ in range(number):
        theme = list(THEMES)[rng.integers(3)]
        words = [*rng.choice(THEMES[theme], 6, replace=False), *rng.choice(FILLERS, 3)]
        words = [foreign(word) if other else str(word) for word in rng.permutation(words)]
        texts.append(" ".join(words))
        themes.append(theme)
    return texts, themes


def test_stems_lose_their_endings_and_chinese_is_taken_in_pairs():
    assert stems("Mestami, mestách, 42 a!") == ["mesta", "mestá", "a"]
    assert stems("konferenciami") == stems("konferenciách")
    assert stems("\u6211\u7231\u4f60") == ["\u6211\u7231", "\u7231\u4f60"]


def things_of(words_of_a_theme: int) -> list[dict[str, list[str]]]:
    """Words of every theme, as things that are named in both languages."""
    return [{"en": [word], "xx": [foreign(word)]} for words in THEMES.values() for word in words[:words_of_a_theme]]


def test_words_of_two_languages_lie_near_their_theme_by_some_names():
    texts = {"en": themed(1500, seed=2)[0], "xx": themed(1500, seed=1, other=True)[0]}

    def theme_found(things) -> float:
        """The share of words, not among the names, that lie nearest to their theme's words of the other language."""
        found = shared_vectors(texts, things, dimensions=16)
        own, pivot = found["xx"], found["en"]
        np.testing.assert_allclose(np.linalg.norm(own.vectors, axis=1), 1.0, atol=1e-5)
        centres = {
            theme: pivot.vectors[[pivot.ids[stems(word)[0]] for word in words]].mean(0)
            for theme, words in THEMES.items()
        }
        right = []
        for theme, words in THEMES.items():
            for word in words[10:]:
                near = own.vectors[own.ids[stems(foreign(word))[0]]]
                right.append(theme == max(centres, key=lambda other: float(centres[other] @ near)))
        return float(np.mean(right))

    assert theme_found(things_of(10)) > 0.95
    apart = [{language: words} for thing in things_of(10) for language, words in thing.items()]
    assert theme_found(apart) < 0.8  # names that say nothing of the other language


def test_a_name_has_a_vector_however_rare_it_is_and_none_that_stands_in_no_text():
    texts = {"en": themed(600, seed=2)[0], "xx": [*themed(600, seed=1, other=True)[0], "gorfol wixet"]}
    things = [*things_of(10), {"en": THEMES["sea"][:10], "xx": ["gorfol", "sumkat", "of several words"]}]
    found = shared_vectors(texts, things, dimensions=16)
    new = found["xx"].vectors[found["xx"].ids["gorfo"]]
    near = {theme: new @ found["en"].vectors[found["en"].ids[stems(words[0])[0]]] for theme, words in THEMES.items()}
    assert max(near, key=lambda theme: float(near[theme])) == "sea"
    assert not {"sever", "of several words", "sumka", "wixet"} & found["xx"].ids.keys()


def test_words_that_name_the_same_are_drawn_together():
    vectors = {"en": np.eye(3, dtype=np.float32)[:2], "xx": np.eye(3, dtype=np.float32)[1:]}
    # of three things one is named in both languages, one by an English word alone, one by none
    naming = {"en": sparse.csr_array([[1, 0, 0], [0, 1, 0]]), "xx": sparse.csr_array([[0, 0, 0], [1, 0, 0]])}
    found = drawn_together(vectors, naming)
    assert found["en"][0] @ found["xx"][1] > 0.5
    np.testing.assert_array_equal(found["en"][1], vectors["en"][1])  # nobody else names what it names
    np.testing.assert_array_equal(found["xx"][0], vectors["xx"][0])  # it names nothing
    for of in found.values():
        np.testing.assert_allclose(np.linalg.norm(of, axis=1), 1.0, rtol=1e-6)


def topics_of_two(texts: dict[str, list[str]]) -> Topics:
    return find_topics(texts, vectors_of(texts), num_topics=NUM_TOPICS, num_common_words=len(FILLERS))


def vectors_of(texts: dict[str, list[str]]) -> dict[str, WordVectors]:
    return shared_vectors(texts, things_of(10), dimensions=16)


@pytest.fixture(scope="module")
def found() -> tuple[dict[str, list[str]], dict[str, list[str]], Topics]:
    (english, themes), (other, other_themes) = themed(900, seed=3), themed(600, seed=4, other=True)
    # a word that both languages write alike for each theme, as names are
    english = [f"{text} {theme}land" for text, theme in zip(english, themes, strict=True)]
    other = [f"{text} {theme}land" for text, theme in zip(other, other_themes, strict=True)]
    texts = {"en": english, "xx": other}
    return (
        texts,
        {"en": themes, "xx": other_themes},
        topics_of_two(texts),
    )


@pytest.mark.parametrize("language", ["en", "xx"])
def test_a_topic_holds_sentences_of_one_theme_in_both_languages(found, language):
    _, themes, topics = found
    theme_of = {
        topic: Counter(themes["en"][index] for index in members).most_common(1)[0][0]
        for topic, members in enumerate(topics.members["en"])
        if len(members)
    }
    assert set(theme_of.values()) == set(THEMES)
    of = topics.of[language]
    known = np.flatnonzero(of != UNSURE)
    right = np.mean([themes[language][index] == theme_of.get(of[index]) for index in known])
    assert right > 0.95
    assert 0.3 < len(known) / len(of) < 0.6  # the half that is nearest


def test_topics_are_named_by_words_of_their_theme(found):
    _, themes, topics = found
    named = 0
    for members, names in zip(topics.members["en"], topics.names, strict=True):
        if len(members) > 20:
            theme = Counter(themes["en"][index] for index in members).most_common(1)[0][0]
            assert names[0] in {*THEMES[theme], f"{theme}land"}
            named += 1
    assert named >= len(THEMES)


def test_topics_are_the_same_again_and_after_saving(found, tmp_path):
    texts, _, topics = found
    assert Topics.load(tmp_path / "topics") is None
    topics.save(tmp_path / "topics")
    kept, again = (
        Topics.load(tmp_path / "topics"),
        topics_of_two(texts),
    )
    assert kept is not None
    for other in (kept, again):
        assert other.names == topics.names
        assert all((other.of[language] == topics.of[language]).all() for language in texts)


def test_a_group_named_by_common_words_is_no_topic(found):
    texts, _, topics = found
    common = len(FILLERS) + 3 * len(THEMES["sea"])  # all the words that there are
    again = find_topics(texts, vectors_of(texts), num_topics=NUM_TOPICS, num_common_words=common + 3)
    assert topics.names and again.names == []


def test_without_english_there_are_no_names(found):
    with pytest.raises(ConfigError, match="English"):
        find_topics({"xx": found[0]["xx"]}, {})


def test_tasks_ask_for_what_the_topics_say(found):
    texts, _, topics = found
    corpus = {
        language: TokenText(np.zeros(len(of), np.int32), np.arange(len(of)), of) for language, of in texts.items()
    }
    made, sentences = TopicTasks(topics), Sentences(corpus)
    assert set(made.tasks) == TOPIC_TASKS
    rng = np.random.default_rng(0)
    answers = set()
    for name, task in made.tasks.items():
        for _ in range(30):
            exchange = task(sentences, "xx", 60, rng)
            if exchange is None:
                continue
            if name == "topic_words":
                assert exchange.target in {", ".join(names) for names in topics.names}
            elif name == "which_topic":
                assert exchange.target in exchange.input
            else:
                answers.add(exchange.target)
                asked = exchange.input.removeprefix("first: ").removeprefix("about the same? ")
                first, second = asked.replace(" second: ", " | ").replace(" Are they about the same?", "").split(" | ")
                if exchange.target == "Yes":  # two topics may share a theme, but one topic has one
                    assert theme_of(first) == theme_of(second)
    assert answers == {"Yes", "No"}


def theme_of(text: str) -> str:
    return next(word for word in text.split() if word.endswith("land"))
