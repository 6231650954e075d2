"""Writes the lengths of real task rows that `lingport bench` draws its batches from.

    python -m benchmarks.token_lengths ../shared/data > src/lingport/bench/lengths.json

Pieces of the nano backbone's vocabulary of 16,000, inputs cut at 256 and targets at 50; mT5's vocabulary of 250,112
makes fewer of them.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from lingport.backbones.base import Vocabulary
from lingport.config.data import ExampleSource
from lingport.data.batch import tokenize
from lingport.data.readers import read_examples
from lingport.tasks.catalogue import load_task

SOURCES = {
    "ner": {"format": "columns", "path": "ner/wikiann/en/train.conllu.xz"},
    "topic": {
        "format": "table",
        "path": "topic/sib-200/eng_Latn/train.tsv",
        "quoting": True,
        "columns": {"text": "text", "label": "category"},
    },
    "qa": {"format": "squad", "path": "qa/xquad/xquad.en.json"},
}
ROWS, LONGEST, LONGEST_TARGET = 512, 256, 50


def main(data: Path) -> None:
    """Prints task -> list of [source pieces, target pieces]."""
    tokenizer = Vocabulary.load("nano").tokenizer
    found = {}
    for name, settings in SOURCES.items():
        source = ExampleSource.model_validate({**settings, "path": str(data / settings["path"])})
        examples = read_examples(source, language="en")
        task = load_task(name)
        rows = []
        for example in random.Random(0).sample(examples, min(ROWS, len(examples))):
            rendered = task.render(example, "en")
            ids, _ = tokenize(tokenizer, rendered.input, LONGEST)
            rows.append([len(ids), len(tokenize(tokenizer, rendered.target, LONGEST_TARGET)[0])])
        found[name] = rows
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
