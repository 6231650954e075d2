"""Which files belong to a configuration and split: by the card, else by their names."""

from __future__ import annotations

import pytest

from lingport.data.hub_files import files_of_split
from lingport.errors import DataError

CARD = """---
license: cc-by-4.0
configs:
- config_name: sk
  data_files:
  - split: train
    path: sk/train-*
  - split: test
    path: [sk/test-*, extra/test.parquet]
- config_name: default
  data_files:
  - {split: train, path: all.jsonl}
---
# A card
"""
CARD_FILES = ["README.md", "sk/train-0.parquet", "sk/test-0.parquet", "extra/test.parquet", "all.jsonl"]


def find(files, split, *, config=None, card=""):
    return files_of_split(files, card, config=config, split=split, where="hub:x")


def test_the_card_decides():
    assert find(CARD_FILES, "test", config="sk", card=CARD) == ["extra/test.parquet", "sk/test-0.parquet"]
    assert find(CARD_FILES, "train", card=CARD) == ["all.jsonl"]
    with pytest.raises(DataError, match="no configuration 'cs'"):
        find(CARD_FILES, "test", config="cs", card=CARD)
    with pytest.raises(DataError, match="no split 'dev'") as error:
        find(CARD_FILES, "dev", config="sk", card=CARD)
    assert "test, train" in (error.value.hint or "")
    with pytest.raises(DataError, match="no such files"):
        find(["sk/test-0.parquet"], "train", config="sk", card=CARD)
    with pytest.raises(DataError, match="several configurations"):
        find(CARD_FILES, "test", card=CARD.replace("config_name: default", "config_name: cs"))


def test_a_card_that_cannot_be_read_is_no_obstacle():
    for card in ("no head", "---\n: : :\n---\n", "---\nconfigs: none\n---\n"):
        assert find(["train.parquet", "README.md"], "train", card=card) == ["train.parquet"]


@pytest.mark.parametrize(
    ("files", "config", "split", "expected"),
    [
        # the hub's own conversion
        (["sk/train/0000.parquet", "sk/test/0000.parquet", "de/test/0000.parquet"], "sk", "test", [1]),
        (["sk/train/0001.parquet", "sk/train/0000.parquet", "sk/test/0000.parquet"], "sk", "train", [1, 0]),
        (["default/train/0000.parquet", "default/validation/0000.parquet"], None, "validation", [1]),
        # a folder of its own for each configuration, or none
        (["mlqa.de/train-00000-of-00001.parquet", "mlqa.de.en/train-0.parquet"], "mlqa.de", "train", [0]),
        (
            ["translate-train.de/validation/0.parquet", "translate-train.de/train/0.parquet"],
            "translate-train.de",
            "train",
            [1],
        ),
        (["data/train-00000-of-00001-e848b7.parquet"], None, "train", [0]),
        (["test.csv", "train.csv", "validation.csv"], "default", "validation", [2]),
        (["train_v1.0.json.gz", "dev_v1.0.json.gz"], None, "validation", [1]),
        # words within words are no splits; of two formats the better one
        (["pretrained.parquet", "train.parquet"], None, "train", [1]),
        (["train.csv", "train.parquet"], None, "train", [1]),
    ],
)
def test_names_decide_where_no_card_does(files, config, split, expected):
    assert find(files, split, config=config) == [files[index] for index in expected]


def test_what_cannot_be_told_is_refused():
    with pytest.raises(DataError, match="without its code") as error:
        find(["squad.py", "README.md"], "train")
    assert "refs/convert/parquet" in (error.value.hint or "")
    with pytest.raises(DataError, match="several configurations") as error:
        find(["sk/train/0.parquet", "de/train/0.parquet"], "train")
    assert "de, sk" in (error.value.hint or "")
