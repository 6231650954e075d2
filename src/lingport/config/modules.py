"""What may be said of a module: the settings of each kind, and the configurations that combine kinds.

Not here: what the settings do (`lingport.modules`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PromptSettings(Settings):
    """A soft prompt."""

    num_virtual_tokens: int = Field(50, ge=1, le=4096, description="Rows P of the prompt, fixed rows included.")
    init: Literal["text", "vocab", "classes", "random"] = Field("text", description="How the rows start.")
    init_text: str | None = Field(None, description="Text for init=text; None: the wording of the paper.")
    init_keep_eos: bool = Field(False, description="Keep the end-of-sequence token, as the published code does.")
    init_words: tuple[str, ...] = Field((), description="Label words for init=classes.")
    init_std: float | None = Field(
        None, gt=0, description="Standard deviation for init=random; None: that of the backbone's embeddings."
    )
    fixed_text: str | None = Field(None, description="Text whose embeddings are put first and never trained.")

    @model_validator(mode="after")
    def _complete(self) -> PromptSettings:
        if self.init != "classes" and self.init_words:
            raise ValueError("init_words belongs to init=classes")
        return self


class AdapterSettings(Settings):
    """A bottleneck adapter after each block's feed-forward sublayer."""

    reduction: float = Field(16, ge=0.1, description="D / R; the bottleneck width is R = D // reduction.")
    init_std: float = Field(0.02, gt=0, description="Standard deviation of the weights at the start.")


class FullSettings(Settings):
    """Every weight of the backbone, as the upper reference."""


class ModuleSettings(Settings):
    """Settings per kind; what is not said stays at the paper's values."""

    prompt: PromptSettings = PromptSettings()  # pyright: ignore[reportCallIssue]
    adapter: AdapterSettings = AdapterSettings()  # pyright: ignore[reportCallIssue]
    full: FullSettings = FullSettings()


@dataclass(frozen=True)
class Configuration:
    """A named shape of composition (method, section 1).

    Attributes:
        name: Its name in recipes and tables.
        language: Kind of the language module, or None.
        task: Kind of the task module, or None.
    """

    name: str
    language: str | None
    task: str | None


CONFIGURATIONS = {
    configuration.name: configuration
    for configuration in (
        Configuration("none", None, None),
        Configuration("ta", None, "adapter"),
        Configuration("tp", None, "prompt"),
        Configuration("la+ta", "adapter", "adapter"),
        Configuration("la+tp", "adapter", "prompt"),
        Configuration("lp+ta", "prompt", "adapter"),
        Configuration("lp+tp", "prompt", "prompt"),
        Configuration("full", None, "full"),
    )
}
#: how a kind is abbreviated in the names of modules: la-sk, tp-ner
KIND_LETTERS = {"adapter": "a", "prompt": "p", "full": "f"}
