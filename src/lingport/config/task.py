"""What a task file may say: wording, labels, lengths, scores. A task is data, nothing in it is executed.

Also here: filling the fields of a wording. Not here: what the forms of tasks do (`lingport.tasks`), where the
catalogue lies, and how YAML is read (`load.py`).
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator


def wording_fields(wording: str) -> list[str]:
    """Returns the names of the `{name}` fields of a wording, in order; doubled braces stand for themselves.

    Raises:
        ValueError: A single brace, or more than a plain name between braces.
    """
    names = []
    try:
        for _, name, spec, conversion in string.Formatter().parse(wording):
            if name is None:
                continue
            if not name.isidentifier() or spec or conversion:
                raise ValueError(f"{{{name}}} is not a plain field name")
            names.append(name)
    except ValueError as error:
        raise ValueError(f"{error}; write {{name}} for a field and double a brace that is meant") from None
    return names


def fill_wording(wording: str, values: Mapping[str, str]) -> str:
    """Returns the wording with its fields replaced; braces within the values are left alone.

    Raises:
        KeyError: A field has no value.
    """
    parts = []
    for literal, name, _, _ in string.Formatter().parse(wording):
        parts.append(literal)
        if name is not None:
            parts.append(values[name])
    return "".join(parts)


def _as_label_words(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(label): _as_text(word) for label, word in value.items()}
    if isinstance(value, (list, tuple)):
        words = [_as_text(item) for item in value]
        if len(set(words)) < len(words):
            raise ValueError("the same label is given twice")
        return {word: word for word in words}
    return value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_wording(value: Any) -> Any:
    if isinstance(value, str):
        wording_fields(value)
    return value


Wording = Annotated[str, Field(min_length=1), BeforeValidator(_as_wording)]
LabelWords = Annotated[dict[str, str], BeforeValidator(_as_label_words)]


class LanguageWording(BaseModel):
    """What is worded differently for one language; None keeps the task's own wording."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Wording | None = None
    labels: LabelWords | None = Field(
        default=None, description="Label words of this language; labels that are left out keep theirs."
    )
    prompt_init: Wording | None = None


class TaskConfig(BaseModel):
    """One task, as its YAML says it; `form`, `input` and a classification's `labels` are needed, no more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", description="Name in results. Default: the file's name without .yaml.")
    version: int = Field(default=1, ge=1, description="Raise it when a change makes results incomparable.")
    form: str = Field(description="answer, spans or classify: what an example and an answer look like.")
    input: Wording = Field(description="The model's input; {name} stands for a field of the example.")
    fields: list[str] | None = Field(
        default=None, description="Fields that the wording may use. Default: the form's, or those of `input`."
    )
    labels: LabelWords | None = Field(
        default=None, description="Labels and their label words in order; a list means each is its own word."
    )
    aliases: dict[str, str] = Field(
        default_factory=dict, description="Other spellings of labels in data files: spelling -> label."
    )
    positive: str | None = Field(default=None, description="The label that the score f1 is about.")
    max_input_tokens: int = Field(default=256, ge=8, description="Tokens of an input, end of sequence included.")
    max_target_tokens: int = Field(default=30, ge=1, description="Tokens of an output, end included.")
    score: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        default_factory=list,
        description="Scores to show; the first selects checkpoints. Default: the form's.",
    )
    decoding: Literal["generate", "rank"] = Field(
        default="generate", description="generate: free text, then read; rank: the likeliest label word."
    )
    prompt_init: Wording | None = Field(
        default=None, description="Text a task prompt starts from; may use {Language} and {labels}."
    )
    cleaning: Annotated[list[Literal["remove_links"]], BeforeValidator(_as_list)] = Field(
        default_factory=list, description="What is taken out of the text fields before they are worded."
    )
    overflow: Literal["windows", "truncate"] | None = Field(
        default=None, description="What happens to inputs that are too long. Default: the form's."
    )
    stride_tokens: int = Field(default=64, ge=0, description="Tokens that two windows share.")
    wording: dict[str, LanguageWording] = Field(
        default_factory=dict, description="Language code -> what is worded differently in that language."
    )

    @field_validator("aliases", mode="before")
    @classmethod
    def _alias_text(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(spelling): _as_text(label) for spelling, label in value.items()}
        return value

    @field_validator("positive", mode="before")
    @classmethod
    def _positive_text(cls, value: Any) -> Any:
        return _as_text(value)
