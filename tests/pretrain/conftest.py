"""A recipe small enough to run in a second, on text written here."""

from __future__ import annotations

from typing import Any

import pytest

WORDS = [
    "the", "a", "cat", "dog", "bird", "tree", "house", "river", "runs", "sees",
    "loves", "finds", "under", "over", "near", "small", "old", "blue", "Anna", "Brno",
]  # fmt: skip


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("text") / "en.txt"
    lines = [
        " ".join(WORDS[(3 * row + step * (row % 7 + 1)) % len(WORDS)] for step in range(4 + row % 9)) + f" {row}."
        for row in range(400)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def tiny_recipe(tiny_text) -> dict[str, Any]:
    mixture = {"corrupt": 1.0, "copy": 1.0, "mark": 1.0, "copy_random": 1.0}
    return {
        "languages": {"en": {"text": tiny_text}},
        "vocabulary": {"size": 420, "characters": 100_000, "required": ["$$"]},
        "model": {
            "d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 4,
        },
        "stages": [
            {"name": "one", "steps": 2, "batch_tokens": 256, "candidates": 64,
             "curriculum": [{"at": 0, "mixture": mixture, "length": 8}]},
            {"name": "two", "steps": 2, "batch_tokens": 256, "candidates": 0,
             "curriculum": [{"at": 0, "mixture": {"corrupt": 1.0, "marked_words": 1.0}, "length": 16}]},
        ],
        "validation": {"share": 0.1, "length": 16, "rows": 10},
        "threads": 1,
    }  # fmt: skip
