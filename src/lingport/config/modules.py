"""What may be said of a module: the settings of each kind, and the configurations that combine kinds.

Not here: what the settings do (`lingport.modules`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


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
    """A bottleneck adapter; by default the paper's, after each block's feed-forward sublayer."""

    reduction: float = Field(16, ge=0.1, description="D / R; the bottleneck width is R = D // reduction.")
    layer_reductions: dict[int, Annotated[float, Field(ge=0.1)]] = Field(
        {}, description="Layers with a reduction of their own: blocks numbered from 0, the encoder's first."
    )
    leave_out: tuple[int, ...] = Field((), description="Layers without an adapter, numbered in the same way.")
    places: tuple[Literal["self_attention", "cross_attention", "feed_forward"], ...] = Field(
        ("feed_forward",), min_length=1, description="Sublayers with an adapter."
    )
    reads: Literal["output", "branch", "input"] = Field(
        "output",
        description="What the bottleneck reads: the sublayer's output after its residual addition (AdapterHub's "
        "seq_bn), its branch before that addition (double_seq_bn), or its input (par_bn).",
    )
    non_linearity: Literal[
        "relu", "gelu", "gelu_new", "silu", "tanh", "sigmoid", "leaky_relu", "relu6", "mish", "quick_gelu", "linear"
    ] = Field("relu", description="Between the two projections; gelu_new is the tanh approximation.")
    scaling: Annotated[float, Field(allow_inf_nan=False)] | Literal["learned", "channel"] = Field(
        1.0, description="Factor of what is added; learned: one trained number per site, channel: D of them."
    )
    coupling_reduction: float | None = Field(
        None,
        ge=0.1,
        description="An invertible coupling (NICE) on the encoder's input embeddings, with this reduction; null: none.",
    )
    init_std: float = Field(0.02, gt=0, description="Standard deviation of the weights at the start.")

    @field_validator("places")
    @classmethod
    def _in_order(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(place for place in ("self_attention", "cross_attention", "feed_forward") if place in places)

    @field_validator("leave_out")
    @classmethod
    def _sorted(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(layers)))


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
