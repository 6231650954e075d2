"""The published prompts of Soft Language Prompts (arXiv 2407.02317): PEFT's keys, some more, and a pickled file.

Written by `kinit-sk/adapter-prompt-evaluation` (`src/prompt_tuning`); 2P rows, of which the first P are the prompt.
The paper's adapters are AdapterHub's (`adapterhub.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lingport.backbones.base import Backbone
from lingport.formats import peft
from lingport.formats.foreign import CONFIG
from lingport.modules.base import TransferModule
from lingport.modules.files import read_json

NAME = "paper"
BACKBONE_KEY = peft.BACKBONE_KEY
#: keys that PEFT does not have
_OWN_KEYS = {"fixed_size", "fusion", "partial_embedding", "partial_prompt_tuning_init_text", "task_prompt"}


class PaperKeys(peft.PromptKeys):
    """The keys of the published code's `PromptTuningConfig`."""

    format: ClassVar[str] = NAME

    # `cat` is what a composition does; `avg` is said in the composition (fusion="mean"), not in a module.
    fusion: Literal["none", "cat"] = "none"
    task_prompt: bool = False  # nothing in the published code reads it
    partial_embedding: bool = False
    fixed_size: Annotated[int, Field(ge=0, strict=True)] = 0
    partial_prompt_tuning_init_text: str | None = None

    @property
    def fixed(self) -> tuple[int, str | None]:
        """How many of the first rows are never trained, and the text that they are."""
        return (self.fixed_size, self.partial_prompt_tuning_init_text) if self.partial_embedding else (0, None)


def recognises(folder: Path) -> bool:
    """Returns whether a folder looks like one of the paper's: a prompt with keys that PEFT does not have."""
    return peft.recognises(folder) and bool(_OWN_KEYS & set(read_json(folder / CONFIG)))


def read(folder: Path, backbone: Backbone, *, allow_other_backbone: bool = False) -> TransferModule:
    """Returns the prompt of a folder, frozen, on the backbone's device.

    Raises:
        ModuleError: The files are broken, or ask for what is not computed here; the message names the key.
        WrongBackboneError: It was made for another backbone.
    """
    keys = PaperKeys.read(read_json(folder / CONFIG), where=str(folder / CONFIG))
    return peft.read_prompt(folder, keys, backbone, allowed=allow_other_backbone)
