"""How much of what English sentences are about carries over to other languages, by a linear probe on SIB-200.

    python -m benchmarks.topic_probe ../shared/data/topic/sib-200 --recipe recipes/nano.yaml
    python -m benchmarks.topic_probe ../shared/data/topic/sib-200 --backbone nano

With a recipe of pretraining: of the word vectors that its `meaning` teaches. With a backbone: of the mean of its
encoder's states. A logistic regression on English training sentences, looked at on English validation sentences and on
the training and validation sentences of other languages; test sentences are not read. The mean of each language's
sentences is taken away first, as no label is needed for that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from lingport.backbones.base import Backbone
from lingport.config.data import ExampleSource
from lingport.data.batch import Row, collate, tokenize
from lingport.data.languages import language
from lingport.data.readers import read_examples
from lingport.pretrain.corpus import read_texts
from lingport.pretrain.recipe import read_recipe
from lingport.pretrain.things import known_things
from lingport.pretrain.word_vectors import shared_vectors

Embed = Callable[[list[str], str], np.ndarray]
AT_ONCE = 64


def word_vectors(recipe_file: str) -> Embed:
    """Returns what gives texts of a language as vectors (T, D) of a recipe's shared space."""
    recipe = read_recipe(recipe_file)
    texts = read_texts(recipe, split="train")
    things = known_things(recipe.languages, annotations=recipe.annotations, dictionaries=recipe.dictionaries)
    found = shared_vectors(texts, things, dimensions=recipe.model.d_model // 2, seed=recipe.seed)
    return lambda of_texts, code: found[code].of_texts([found[code].rows(text) for text in of_texts])


def encoder_means(name: str) -> Embed:
    """Returns what gives texts as the mean (T, D) of a backbone's encoder states."""
    backbone = Backbone.load(name, dtype="float32", device="cpu")
    tokenizer, encoder = backbone.tokenizer, backbone.model.get_encoder()

    @torch.no_grad()
    def embed(texts: list[str], _code: str) -> np.ndarray:
        found = []
        for start in range(0, len(texts), AT_ONCE):
            rows = [Row(tokenize(tokenizer, text)[0]) for text in texts[start : start + AT_ONCE]]
            batch = collate(rows, pad_id=tokenizer.pad_token_id)
            states = encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
            mask = batch.attention_mask[..., None]
            found.append((states * mask).sum(1) / mask.sum(1))
        return torch.cat(found).numpy()

    return embed


def sentences(folder: Path, code: str, *parts: str) -> tuple[list[str], list[str]]:
    """Returns the sentences of a language, and what they are about."""
    texts, labels = [], []
    for part in parts:
        path = folder / language(code).flores / f"{part}.tsv"
        source = ExampleSource.model_validate(
            {"format": "table", "path": str(path), "quoting": True, "columns": {"text": "text", "label": "category"}}
        )
        for example in read_examples(source, language=code):
            texts.append(str(example["text"]))
            labels.append(str(example["label"]))
    return texts, labels


def main() -> None:
    """Probes, and prints the percentage of right answers in each language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder sib-200")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--recipe", help="of pretraining: its word vectors are probed")
    what.add_argument("--backbone", help="its encoder is probed")
    parser.add_argument("--languages", nargs="+", default=["de", "es", "ru", "sl", "bg", "el", "ro", "ar", "sw", "ur"])
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"skipped: there is no {arguments.data}")
    embed = word_vectors(arguments.recipe) if arguments.recipe else encoder_means(arguments.backbone)
    texts, labels = sentences(arguments.data, "en", "train")
    train = embed(texts, "en")
    usual, size = train.mean(0), train.std()
    probe = LogisticRegression(max_iter=2000).fit((train - usual) / size, labels)
    shares = {}
    for code in arguments.languages:
        texts, labels = sentences(arguments.data, code, "train", "dev")
        own = embed(texts, code)
        shares[code] = probe.score((own - own.mean(0)) / size, labels)
    texts, labels = sentences(arguments.data, "en", "dev")
    print(f"en {probe.score((embed(texts, 'en') - usual) / size, labels):.1%}")
    print(", ".join(f"{code} {share:.1%}" for code, share in shares.items()))
    print(f"mean of the others {np.mean(list(shares.values())):.1%}")


if __name__ == "__main__":
    main()
