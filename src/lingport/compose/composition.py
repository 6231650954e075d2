"""What is combined: a language module and a task module, in this order.

Not here: how they act in a model (`model.py`, `active.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lingport.errors import CompositionError
from lingport.modules.base import TransferModule


@dataclass(frozen=True)
class Composition:
    """The modules that act on a row: language first, then task. Empty: the backbone as it is.

    Attributes:
        language: Module of the language of the row's text.
        task: Module of the task.
        fusion: What two prompts give: `concat` is `[E_lang ; E_task ; embed(x)]`, `mean` their mean (equal
            lengths only). Without two prompts it changes nothing.
    """

    language: TransferModule | None = None
    task: TransferModule | None = None
    fusion: Literal["concat", "mean"] = "concat"

    def __post_init__(self) -> None:
        if self.fusion not in ("concat", "mean"):
            raise CompositionError(f"unknown fusion {self.fusion!r}", hint="concat or mean")

    @property
    def modules(self) -> tuple[TransferModule, ...]:
        """The modules in the order in which they act."""
        return tuple(module for module in (self.language, self.task) if module is not None)

    def with_language(self, language: TransferModule | None) -> Composition:
        """Returns the same composition with another language module: the zero-shot transfer itself."""
        return replace(self, language=language)
