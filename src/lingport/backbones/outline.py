"""A backbone in outline: architecture and tokenizer without weights, from what is on this machine alone.

For plans and sizes. Nothing is fetched. Not here: loading a backbone to compute with (`base.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lingport.backbones.base import EMBEDDED, Backbone
from lingport.backbones.layout import LAYOUTS
from lingport.errors import BackboneError

#: sizes of the mT5 family as published: d_model, d_ff, layers of each stack, heads (d_kv is 64)
_MT5_SIZES = {
    "small": (512, 1024, 8, 6),
    "base": (768, 2048, 12, 12),
    "large": (1024, 2816, 24, 16),
    "xl": (2048, 5120, 24, 32),
    "xxl": (4096, 10240, 24, 64),
}
_MT5_NAMES = {f"{maker}-{size}": size for maker in ("google/mt5", "bigscience/mt0") for size in _MT5_SIZES}
_MT5_VOCABULARY = 250112


class Outline(Backbone):
    """The shapes of a backbone. Modules can be built for it and counted, but not run.

    Args:
        model: A model on the meta device.
        tokenizer: Its tokenizer; None where it is not on this machine.
        name: What it is called.
    """

    fingerprint: str = ""  # pyright: ignore[reportIncompatibleVariableOverride] - there are no weights to hash
    shape_fingerprint: str = ""  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, model: Any, tokenizer: Any, *, name: str) -> None:
        super().__init__(model, tokenizer or _Unread(model.config.vocab_size), name=name)
        self.has_tokenizer = tokenizer is not None

    @classmethod
    def find(cls, name: str, *, revision: str | None = None) -> Outline:
        """Returns the outline of a backbone.

        Args:
            name: As in a recipe.
            revision: Branch, tag or commit of a hub repository.

        Raises:
            BackboneError: Its configuration is neither on this machine nor among the sizes known here, or it is of no
                known family.
        """
        from transformers import AutoModelForSeq2SeqLM

        where = str(EMBEDDED.get(name, name))
        config = _local_config(where, revision) or _known_config(name)
        if config is None:
            raise BackboneError(
                f"the backbone {name!r} is not on this machine",
                hint="its sizes are known once it is here; the first run fetches it, if the hub has it",
            )
        if config.model_type not in LAYOUTS:
            raise BackboneError(f"{name!r} is a {config.model_type!r} model, a family that is not supported")
        with torch.device("meta"):
            model = AutoModelForSeq2SeqLM.from_config(config)
            if _has_own_head(where, revision, name):
                head = model.get_output_embeddings()
                head.weight = torch.nn.Parameter(torch.empty_like(head.weight))
        return cls(model, _local_tokenizer(where, revision), name=name)


@dataclass
class _Unread:
    """Stands in for a tokenizer that is not there: as many tokens as words, which meets no size but `fixed_text`'s."""

    vocab_size: int
    eos_token_id: int = 1
    all_special_ids: list[int] = field(default_factory=lambda: [0, 1, 2])
    name_or_path: str = ""

    def __call__(self, text: str, **_: Any) -> Any:
        @dataclass
        class Encoded:
            input_ids: list[int]

        return Encoded([3] * len(text.split()))

    def __len__(self) -> int:
        return self.vocab_size

    def get_vocab(self) -> dict[str, int]:
        return {}


def _local_config(where: str, revision: str | None) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(where, revision=revision, local_files_only=True)
    except (OSError, ValueError):
        return None


def _has_own_head(where: str, revision: str | None, name: str) -> bool:
    """Returns whether the head's weights are not the embeddings'.

    MT5Config of transformers 5 (configuration_mt5.py) says that they are one, whatever the file says; the model is
    loaded as the file says.
    """
    from huggingface_hub import try_to_load_from_cache

    folder = Path(where)
    file = (
        folder / "config.json" if folder.is_dir() else try_to_load_from_cache(where, "config.json", revision=revision)
    )
    if isinstance(file, (str, Path)):
        return json.loads(Path(file).read_text(encoding="utf-8")).get("tie_word_embeddings") is False
    return name in _MT5_NAMES


def _known_config(name: str) -> Any:
    from transformers import MT5Config

    if name not in _MT5_NAMES:
        return None
    width, width_ff, num_layers, num_heads = _MT5_SIZES[_MT5_NAMES[name]]
    return MT5Config(
        vocab_size=_MT5_VOCABULARY,
        d_model=width,
        d_kv=64,
        d_ff=width_ff,
        num_layers=num_layers,
        num_decoder_layers=num_layers,
        num_heads=num_heads,
        feed_forward_proj="gated-gelu",
    )


def _local_tokenizer(where: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    files = ("tokenizer.json", "spiece.model", "tokenizer_config.json")
    if Path(where).is_dir() and not any((Path(where) / file).is_file() for file in files):
        return None  # transformers would make an empty one
    try:
        return AutoTokenizer.from_pretrained(where, revision=revision, local_files_only=True)
    except (OSError, ValueError):
        return None
