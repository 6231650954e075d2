"""Soft prompts of PEFT's prompt tuning, and what the paper's published prompts have in common with them.

A folder holds `adapter_config.json` and `adapter_model.safetensors` or `adapter_model.bin` with `prompt_embeddings`:
P rows, or `num_transformer_submodules` times P, of which PEFT puts the first P before a sequence-to-sequence model's
input (`peft/peft_model.py` of 0.21, `PeftModelForSeq2SeqLM.forward`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from lingport.backbones.base import Backbone
from lingport.config.modules import PromptSettings
from lingport.errors import ModuleError
from lingport.formats.foreign import CONFIG, ForeignKeys, Origin, assemble, read_weights, write_folder
from lingport.modules.base import TransferModule
from lingport.modules.files import Shapes, check_shapes, read_json
from lingport.modules.soft_prompt import SoftPrompt

NAME = "peft"
BACKBONE_KEY = "base_model_name_or_path"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
TENSOR = "prompt_embeddings"
VERSION = "0.21.2"
#: how their rows begin -> our name of it
_INITS = {"TEXT": "text", "SAMPLE_VOCAB": "vocab", "SAMPLED": "vocab", "CLASS": "classes", "RANDOM": "random"}


class PromptKeys(ForeignKeys):
    """The keys of `PromptTuningConfig`, each with the values that are computed here."""

    format: ClassVar[str] = NAME

    peft_type: Literal["PROMPT_TUNING"]
    num_virtual_tokens: Annotated[int, Field(ge=1, le=4096, strict=True)]
    task_type: Literal["SEQ_2_SEQ_LM"] | None = None
    num_transformer_submodules: Literal[1, 2] | None = None
    token_dim: int | None = None
    base_model_name_or_path: str | None = None
    modules_to_save: None = None
    auto_mapping: None = None
    # How the rows began, and facts on the backbone that the tensors' shapes say, too.
    prompt_tuning_init: str | None = None
    prompt_tuning_init_text: str | None = None
    tokenizer_name_or_path: str | None = None
    tokenizer_kwargs: Any = None
    num_attention_heads: int | None = None
    num_layers: int | None = None
    revision: str | None = None
    peft_version: str | None = None
    inference_mode: bool | None = None

    @property
    def fixed(self) -> tuple[int, str | None]:
        """How many of the first rows are never trained, and the text that they are."""
        return 0, None

    def settings(self) -> PromptSettings:
        """Returns our settings."""
        init = _INITS.get(self.prompt_tuning_init or "", "random")
        said = {"num_virtual_tokens": self.num_virtual_tokens, "init": init, "fixed_text": self.fixed[1]}
        if init == "text":
            said |= {"init_text": self.prompt_tuning_init_text, "init_keep_eos": True}
        return PromptSettings.model_validate(said)


def recognises(folder: Path) -> bool:
    """Returns whether a folder looks like one of PEFT's."""
    return any((folder / name).is_file() for name in WEIGHTS)


def read(folder: Path, backbone: Backbone, *, allow_other_backbone: bool = False) -> TransferModule:
    """Returns the prompt of a folder, frozen, on the backbone's device.

    Raises:
        ModuleError: The files are broken, or ask for what is not computed here; the message names the key.
        WrongBackboneError: It was made for another backbone.
    """
    keys = PromptKeys.read(read_json(folder / CONFIG), where=str(folder / CONFIG))
    return read_prompt(folder, keys, backbone, allowed=allow_other_backbone)


def read_prompt(folder: Path, keys: PromptKeys, backbone: Backbone, *, allowed: bool) -> TransferModule:
    """Returns the prompt of a folder whose settings are read already."""
    facts = {"revision": keys.revision, "init": keys.prompt_tuning_init, "init_text": keys.prompt_tuning_init_text}
    origin = Origin(keys.format, keys.base_model_name_or_path, None, keys.token_dim, facts)
    origin.check(backbone, where=str(folder / CONFIG), allowed=allowed)
    weights = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    num_rows, width = keys.num_virtual_tokens, backbone.layout.width
    num_parts = keys.num_transformer_submodules or 2

    def check(shapes: Shapes) -> None:
        whole = num_rows * num_parts if shapes.get(TENSOR) != (num_rows, width) else num_rows
        check_shapes(shapes, {TENSOR: (whole, width)}, where=str(weights))

    num_fixed, _ = keys.fixed
    if num_fixed >= num_rows:
        told = f"fixed_size={num_fixed} leaves none of num_virtual_tokens={num_rows} to train"
        raise ModuleError(told, where=str(folder / CONFIG))
    rows_pd = read_weights(weights, check)[TENSOR][:num_rows]
    return assemble(
        SoftPrompt,
        keys.settings(),
        {"prompt": rows_pd[num_fixed:].clone(), "fixed": rows_pd[:num_fixed].clone()},
        backbone,
        origin=origin,
        weights=weights,
        decided={"num_virtual_tokens"},
        allowed=allowed,
    )


def write(module: TransferModule, folder: Path, backbone: Backbone, *, name: str) -> None:
    """Makes a folder that `peft` 0.21 loads: `PeftModel.from_pretrained(model, folder)`.

    The format has no place for a name. Fixed rows are said in the keys of the paper's published code, which PEFT
    leaves alone with a warning.

    Raises:
        ModuleError: The module is no soft prompt, or something lies there already.
    """
    if not isinstance(module, SoftPrompt):
        raise ModuleError(f"PEFT's format is for prompts, this is a {module.kind}", hint="adapters: --to adapterhub")
    model = backbone.model
    rows_pd = module.rows()
    keys = PromptKeys(
        peft_type="PROMPT_TUNING",
        num_virtual_tokens=len(rows_pd),
        task_type="SEQ_2_SEQ_LM",
        num_transformer_submodules=1,
        token_dim=backbone.layout.width,
        base_model_name_or_path=module.provenance.backbone or backbone.name,
        num_attention_heads=model.config.num_heads,
        num_layers=model.config.num_layers,
        peft_version=VERSION,
        inference_mode=True,
        prompt_tuning_init="RANDOM",
    )
    config = keys.model_dump()
    if len(module.fixed):
        config |= {"partial_embedding": True, "fixed_size": len(module.fixed)}
        config |= {"partial_prompt_tuning_init_text": module.settings.fixed_text}
    write_folder(module, folder, config=config, tensors={TENSOR: rows_pd}, weights=WEIGHTS[0])
