"""What a recipe may say about language modules: their objective, where they start, how each kind is trained.

Not here: what the objectives do (`lingport.data.objectives`), and merging modules (`lingport.modules.merge`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from lingport.config.modules import ModuleSettings, Settings
from lingport.config.training import LanguageAdapterTraining, LanguagePromptTraining, TrainingSettings


class ObjectiveSettings(Settings):
    """What language modules learn from raw text. All objectives cut it into the same chunks: equal token budgets."""

    name: Literal["span_corruption", "prefix_lm", "denoisers"] = Field(
        "span_corruption",
        description="span_corruption: T5's; prefix_lm: the rest of a text; denoisers: UL2's mixture.",
    )
    max_length: int = Field(256, ge=8, description="Tokens of an input, end-of-sequence included.")
    noise_density: float = Field(0.15, gt=0, lt=1, description="span_corruption: share of tokens that are masked.")
    mean_span_length: float = Field(3.0, ge=1, description="span_corruption: mean length of a masked span in tokens.")


class Start(Settings):
    """Where a language module starts: a weighted sum of other languages' modules, and task vectors on top of it.

    A language code stands for that language's module, a list of codes for the mean of theirs.
    """

    weights: dict[str, float] = Field(
        {}, description="Language -> weight of its module in the sum. Empty: the module's usual beginning."
    )
    vectors: dict[str, float] = Field(
        {}, description="Language -> factor of what its module learnt (end minus beginning); negative takes it away."
    )
    steps: int | None = Field(
        None, ge=0, description="Steps of training from here; 0: the sum itself; null: as many as other languages."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"weights": {value: 1.0}}
        if isinstance(value, list):
            return {"weights": {str(language): 1.0 / len(value) for language in value}}
        return value

    @model_validator(mode="after")
    def _names_a_language(self) -> Start:
        if not self.languages:
            raise ValueError("a starting point names at least one language, in `weights` or `vectors`")
        return self

    @property
    def languages(self) -> list[str]:
        """The languages whose modules are needed for it."""
        return list(dict.fromkeys([*self.weights, *self.vectors]))


class LanguageTraining(Settings):
    """Training of language modules, per kind."""

    adapter: LanguageAdapterTraining = Field(default_factory=LanguageAdapterTraining)  # pyright: ignore
    prompt: LanguagePromptTraining = Field(default_factory=LanguagePromptTraining)  # pyright: ignore
    modules: ModuleSettings = ModuleSettings()
    objective: ObjectiveSettings = ObjectiveSettings()  # pyright: ignore[reportCallIssue]
    num_texts: int | None = Field(
        None,
        ge=1,
        description="Training texts of each language, a sample that the seed draws; a larger number holds the smaller "
        "sample. Null: all.",
    )
    validation_chunks: int = Field(64, ge=1, description="Held-out chunks that the loss is measured on.")
    start: dict[str, Start] = Field(
        {}, description="Language -> whose modules its own starts from; other languages start anew."
    )

    @model_validator(mode="after")
    def _starts_end(self) -> LanguageTraining:
        for language in self.start:
            self.before(language)
        return self

    def of(self, kind: str) -> TrainingSettings:
        """Returns the settings of a kind."""
        return getattr(self, kind)

    def before(self, language: str) -> list[str]:
        """Returns the languages whose modules must be there before a language's, each after its own.

        Raises:
            ValueError: A module would start from itself.
        """
        found: list[str] = []

        def visit(code: str, path: tuple[str, ...]) -> None:
            if code in path:
                raise ValueError(f"start: the module of {code!r} would start from itself: {' <- '.join([*path, code])}")
            for ancestor in self.start[code].languages if code in self.start else []:
                visit(ancestor, (*path, code))
                if ancestor not in found:
                    found.append(ancestor)

        visit(language, ())
        return found
