"""Soft prompt: P trained rows before the input embeddings.

Lester et al. 2021 (arXiv 2104.08691); here as in Soft Language Prompts (arXiv 2407.02317, section 3).
Shapes: P virtual tokens, D model width.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from lingport.backbones.base import Backbone
from lingport.backbones.layout import Layout
from lingport.config.modules import PromptSettings
from lingport.errors import ModuleError
from lingport.modules.base import Binding, PrefixBinding, TransferModule, seeded
from lingport.registry import Registry

INITIALISATIONS: Registry[Any] = Registry(
    "prompt initialisation",
    {name: f"lingport.modules.soft_prompt:_init_{name}" for name in ("text", "vocab", "classes", "random")},
)


class SoftPrompt(TransferModule):
    """`[E ; embed(x)]`: the rows E (P, D) are trained, the encoder and the cross-attention see them.

    A part may be fixed (`fixed_text`): those rows come first and are saved, but not trained.

    Args:
        settings: Settings of the prompt.
        prompt: Trained rows (P - F, D).
        fixed: Fixed rows (F, D); F may be 0.
    """

    kind: ClassVar[str] = "prompt"
    settings_type: ClassVar[type[Any]] = PromptSettings
    settings: PromptSettings
    fixed: Tensor

    def __init__(self, settings: PromptSettings, *, prompt: Tensor, fixed: Tensor) -> None:
        super().__init__(settings)
        self.prompt = nn.Parameter(prompt)
        self.register_buffer("fixed", fixed)

    @classmethod
    def build(cls, settings: PromptSettings, backbone: Backbone, *, seed: int = 0) -> Self:
        """Returns a prompt initialised as the settings say; see `TransferModule.build`."""
        fixed_ids = _token_ids(backbone, settings.fixed_text) if settings.fixed_text else []
        num_trained = settings.num_virtual_tokens - len(fixed_ids)
        if num_trained < 1:
            raise ModuleError(
                f"fixed_text has {len(fixed_ids)} tokens, which leaves none of num_virtual_tokens="
                f"{settings.num_virtual_tokens} to train",
                hint="shorten fixed_text or raise num_virtual_tokens",
            )
        rows = INITIALISATIONS.get(settings.init)(settings, backbone, num_trained, seed)
        return cls(settings, prompt=rows, fixed=backbone.embed(fixed_ids))

    @classmethod
    def empty(cls, settings: PromptSettings, tensors: dict[str, Tensor]) -> Self:
        """Returns a prompt of the tensors' shapes; see `TransferModule.empty`."""
        if "prompt" not in tensors or tensors["prompt"].ndim != 2:
            raise ModuleError("a soft prompt needs the tensor 'prompt' of shape (P, D)")
        trained = torch.empty_like(tensors["prompt"])
        fixed = tensors.get("fixed", trained[:0])
        if fixed.ndim != 2 or fixed.shape[1] != trained.shape[1]:
            raise ModuleError(f"the tensor 'fixed' has shape {tuple(fixed.shape)}, not (F, {trained.shape[1]})")
        return cls(settings, prompt=trained, fixed=torch.empty_like(fixed))

    def rows(self) -> Tensor:
        """Returns all rows (P, D), fixed ones first."""
        return torch.cat([self.fixed, self.prompt]) if len(self.fixed) else self.prompt

    def bind(self, layout: Layout) -> list[Binding]:
        """Returns the binding to the encoder's input; see `TransferModule.bind`."""
        if self.prompt.shape[1] != layout.width:
            raise ModuleError(
                f"the prompt is {self.prompt.shape[1]} wide, the backbone {layout.width}",
                hint="load it with the backbone that it was trained on",
            )
        return [PrefixBinding(self.rows, len(self.fixed) + len(self.prompt))]


def _token_ids(backbone: Backbone, text: str, *, keep_eos: bool = False) -> list[int]:
    ids = backbone.tokenizer(text, add_special_tokens=False).input_ids
    if not ids:
        raise ModuleError("a prompt cannot start from an empty text", hint="give a text with at least one word")
    return [*ids, backbone.tokenizer.eos_token_id] if keep_eos else ids


def _init_text(settings: PromptSettings, backbone: Backbone, num_rows: int, _seed: int) -> Tensor:
    if settings.init_text is None:
        raise ModuleError(
            "init=text needs init_text", hint="give a sentence, or init=vocab to start from random tokens"
        )
    ids = _token_ids(backbone, settings.init_text, keep_eos=settings.init_keep_eos)
    return backbone.embed([ids[row % len(ids)] for row in range(num_rows)])


def _init_vocab(_settings: PromptSettings, backbone: Backbone, num_rows: int, seed: int) -> Tensor:
    ordinary = [token for token in range(len(backbone.tokenizer)) if token not in backbone.special_ids]
    picks = torch.randint(len(ordinary), (num_rows,), generator=seeded(seed)).tolist()
    return backbone.embed([ordinary[pick] for pick in picks])


def _init_classes(settings: PromptSettings, backbone: Backbone, num_rows: int, seed: int) -> Tensor:
    # As in Lester et al., section 3.2: label words first, the rest sampled from the vocabulary.
    if not settings.init_words:
        raise ModuleError("init=classes needs init_words", hint="a task gives its label words; or list them")
    ids = [token for word in settings.init_words for token in _token_ids(backbone, word)][:num_rows]
    rows = backbone.embed(ids)
    if len(ids) == num_rows:
        return rows
    return torch.cat([rows, _init_vocab(settings, backbone, num_rows - len(ids), seed)])


def _init_random(settings: PromptSettings, backbone: Backbone, num_rows: int, seed: int) -> Tensor:
    std = settings.init_std or backbone.layout.input_embeddings.weight.float().std()
    return torch.randn(num_rows, backbone.layout.width, generator=seeded(seed)).to(backbone.device) * std
