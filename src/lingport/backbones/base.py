"""Loading a backbone: model and tokenizer, frozen and fingerprinted.

Not here: where a family keeps its sites (`layout.py`), and anything that trains.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lingport.backbones.heap import keep_freed_memory
from lingport.backbones.layout import LAYOUTS, Layout
from lingport.errors import BackboneError, nearest

logger = logging.getLogger(__name__)

#: backbones that come with the package: name -> folder
EMBEDDED = {"nano": Path(__file__).parent.parent / "demo" / "nano"}

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# A tokenizer with fewer ordinary tokens was made from nothing.
_FEWEST_TOKENS = 10
# Facts about a checkpoint's file, not about what the model computes.
_NOT_ARCHITECTURE = (
    "_name_or_path",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "architectures",
    "use_cache",
)


class Backbone:
    """A frozen pretrained model with its tokenizer.

    Use `Backbone.load`; the constructor takes a model that exists already (tests, own models).

    Args:
        model: A sequence-to-sequence model of a known family.
        tokenizer: Its tokenizer.
        name: What it was loaded from.
        revision: Commit of the hub repository it was loaded from, if any.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, revision: str | None = None) -> None:
        self.model = model.requires_grad_(False).eval()
        self.tokenizer = tokenizer
        self.name = name
        self.revision = revision
        self.layout: Layout = LAYOUTS.get(model.config.model_type)(model)
        self.layout.compute_fused(True)
        if self.device.type == "cpu":
            keep_freed_memory()

    @classmethod
    def load(cls, name: str, *, dtype: str = "auto", device: str = "auto", revision: str | None = None) -> Backbone:
        """Returns the backbone of a folder, a hub repository, or the package (`nano`).

        Args:
            name: `nano`, a folder, or a hub name such as `bigscience/mt0-base`.
            dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where the processor computes in it, else float32.
            device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, ...
            revision: Branch, tag or commit of a hub repository.

        Raises:
            BackboneError: It does not exist, is of no known family, or must not run in this dtype.
        """
        from transformers import AutoModelForSeq2SeqLM

        where, layout = _find(name, revision)
        torch_device = _device(device)
        torch_dtype = _dtype(dtype, torch_device, layout)
        tokenizer = _tokenizer(name, where, revision)
        try:
            model, found = AutoModelForSeq2SeqLM.from_pretrained(
                where, revision=revision, dtype=torch_dtype, output_loading_info=True
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise BackboneError(
                f"cannot load the backbone {name!r}: {str(error).splitlines()[0]}",
                hint="the folder needs config.json, model.safetensors and the tokenizer's files",
            ) from error
        if found["missing_keys"]:  # transformers would start them at random and go on
            missing = sorted(found["missing_keys"])
            raise BackboneError(
                f"cannot load the backbone {name!r}: its files lack {len(missing)} weights, {missing[0]} among them",
                hint="copy or download it again, whole",
            )
        return cls(model.to(torch_device), tokenizer, name=name, revision=_commit(where, revision))

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.layout.input_embeddings.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the backbone computes in."""
        return self.layout.input_embeddings.weight.dtype

    @property
    def num_parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @cached_property
    def sentinel_ids(self) -> list[int]:
        """Ids of the sentinels of span corruption, first sentinel first."""
        return self.layout.sentinel_ids(self.tokenizer)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids that stand for no text: padding, end of sequence, unknown, sentinels."""
        try:
            sentinels = self.sentinel_ids
        except BackboneError:
            sentinels = []
        return frozenset(self.tokenizer.all_special_ids) | frozenset(sentinels)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of architecture and weights, the same in whatever dtype the backbone was loaded.

        Weights enter rounded to bfloat16, which loading in bfloat16 and loading in float32 agree on.
        """
        config = {key: value for key, value in self.model.config.to_dict().items() if key not in _NOT_ARCHITECTURE}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
        _hash_weights(digest, self.model, dtype=torch.bfloat16)
        return digest.hexdigest()[:32]

    @property
    def body_fingerprint(self) -> str:
        """What its modules know it by: the fingerprint, or, of a trimmed backbone, that of the whole one."""
        return getattr(self.model.config, "trimmed_from", None) or self.fingerprint

    @cached_property
    def shape_fingerprint(self) -> str:
        """Hash of the family and of the names and shapes of all weights: fine-tuned siblings have it in common."""
        shapes = {name: tuple(parameter.shape) for name, parameter in self.model.named_parameters()}
        said = json.dumps([self.model.config.model_type, sorted(shapes.items())])
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def dropout_rate(self, rate: float | None) -> float:
        """Returns the rate itself, or the backbone's own for None."""
        return self.layout.dropout if rate is None else rate

    def tokens_that_fit(self) -> int:
        """Returns how many tokens of a training step the memory that is free now holds, by an estimate."""
        return max(1, _free_bytes(self.device) // 2 // self.layout.bytes_per_token)

    @contextmanager
    def dropout(self, rate: float) -> Iterator[None]:
        """Drops activations at a rate within the block, as in training; 0 computes as at test time."""
        own, was_training = self.layout.dropout, self.model.training
        self.layout.set_dropout(rate)
        self.model.train(rate > 0)
        try:
            yield
        finally:
            self.layout.set_dropout(own)
            self.model.train(was_training)

    @contextmanager
    def gradient_checkpointing(self, on: bool) -> Iterator[None]:
        """Computes blocks again in the backward pass within the block, where `on`; modules must stay attached to it."""
        self.layout.recompute_blocks(on)
        try:
            yield
        finally:
            self.layout.recompute_blocks(False)

    @contextmanager
    def plain(self) -> Iterator[None]:
        """Computes with the model's own code within the block: the reference for what is computed faster."""
        self.layout.compute_fused(False)
        try:
            yield
        finally:
            self.layout.compute_fused(True)

    def weights_hash(self) -> str:
        """Returns a hash of every bit of the weights as they are now; used to prove that nothing changed them."""
        digest = hashlib.sha256()
        _hash_weights(digest, self.model, dtype=None)
        return digest.hexdigest()

    def embed(self, token_ids: list[int]) -> torch.Tensor:
        """Returns a float32 copy (N, D) of the input embeddings of N tokens."""
        index = torch.tensor(token_ids, dtype=torch.long, device=self.device)
        return self.layout.input_embeddings.weight[index].detach().float().clone()


@dataclass(frozen=True)
class Vocabulary:
    """A backbone's tokenizer and sentinels, without its weights: all that reading data needs.

    Attributes:
        tokenizer: Turns texts into token ids.
        layout: The backbone's family.
    """

    tokenizer: Any
    layout: type[Layout]

    @classmethod
    def load(cls, name: str, *, revision: str | None = None) -> Vocabulary:
        """Returns the vocabulary of a folder, a hub repository, or the package (`nano`).

        Raises:
            BackboneError: It does not exist, or is of no known family.
        """
        where, layout = _find(name, revision)
        return cls(_tokenizer(name, where, revision), layout)

    @property
    def sentinel_ids(self) -> list[int]:
        """Ids of the sentinels of span corruption, first sentinel first; see `Layout.sentinel_ids`."""
        return self.layout.sentinel_ids(self.tokenizer)


def _find(name: str, revision: str | None) -> tuple[str, type[Layout]]:
    """Returns where a backbone is loaded from, and its family."""
    from transformers import AutoConfig

    where = str(EMBEDDED.get(name, name))
    if (name.startswith((".", "/", "~")) or name.count("/") > 1) and not Path(where).is_dir():
        raise BackboneError(f"there is no folder {name!r}", hint="check the path, or give a hub name: user/model")
    try:
        config = AutoConfig.from_pretrained(where, revision=revision)
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"cannot load the backbone {name!r}: {str(error).splitlines()[0]}",
            hint="give 'nano', a folder that holds config.json, or a hub name such as bigscience/mt0-base "
            "(a hub name needs the network once)",
        ) from error
    if config.model_type not in LAYOUTS:
        raise BackboneError(
            f"{name!r} is a {config.model_type!r} model, a family that is not supported",
            hint=nearest(config.model_type, LAYOUTS),
        )
    return where, LAYOUTS.get(config.model_type)


def _tokenizer(name: str, where: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    hint = "the folder needs the tokenizer's files (tokenizer.json, or spiece.model) too"
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision)
    except (OSError, ValueError) as error:
        message = f"cannot load the backbone {name!r}: {str(error).splitlines()[0]}"
        raise BackboneError(message, hint=hint) from error
    if len(tokenizer) - len(tokenizer.all_special_ids) < _FEWEST_TOKENS:
        # transformers makes an empty tokenizer where the files are not there
        raise BackboneError(f"cannot load the backbone {name!r}: its tokenizer knows no text", hint=hint)
    return tokenizer


def _hash_weights(digest: Any, model: Any, *, dtype: torch.dtype | None) -> None:
    for name, parameter in sorted(model.named_parameters()):
        tensor = parameter.detach().cpu()
        tensor = (tensor if dtype is None else tensor.to(dtype)).contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())


def _commit(where: str, revision: str | None) -> str | None:
    """Returns the commit that a hub name was loaded at; the given revision for a folder."""
    # transformers 5 no longer says it; the hub's cache keeps each commit in a folder of its name.
    from huggingface_hub import try_to_load_from_cache

    if Path(where).exists():
        return revision
    file = try_to_load_from_cache(where, "config.json", revision=revision)
    return Path(file).parent.name if isinstance(file, str) else revision


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BackboneError(f"unknown device {device!r}", hint="auto, cpu, cuda, cuda:0, ...") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise BackboneError("this machine offers no CUDA device", hint="use device=cpu or device=auto")
    return chosen


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration) as error:
        raise BackboneError(
            "how much memory is free is not known on this machine", hint="give tokens_at_once as a number"
        ) from error


def _dtype(dtype: str, device: torch.device, layout: type[Layout]) -> torch.dtype:
    if dtype == "auto":
        return best_dtype(device)
    if dtype not in _DTYPES:
        raise BackboneError(f"unknown dtype {dtype!r}", hint=nearest(dtype, ["auto", *_DTYPES]))
    if dtype in layout.refused_dtypes:
        raise BackboneError(
            f"dtype {dtype!r} is refused: {layout.refused_dtypes[dtype]}", hint="use bfloat16 or float32"
        )
    return _DTYPES[dtype]


def best_dtype(device: torch.device) -> torch.dtype:
    """Returns bfloat16 where a device has products of it, else float32: emulated ones take many times as long."""
    return torch.bfloat16 if _computes_bfloat16(device) else torch.float32


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu: Any = torch.cpu
    return cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
