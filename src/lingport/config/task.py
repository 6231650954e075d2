"""What a task file may say: wording, labels, lengths, scores. A task is data, nothing in it is executed.

Also here: reading YAML so that every complaint names its line, and filling the fields of a wording.
Not here: what the forms of tasks do (`lingport.tasks`), and where the catalogue lies.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from lingport.errors import ConfigError, nearest

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]

_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


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
    max_input_tokens: int = Field(
        default=256, ge=8, description="Tokens of an input, end of sequence included."
    )
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


@dataclass(frozen=True)
class MarkedYaml:
    """A YAML document's plain values, with the place in the file of every key and item.

    Args:
        name: What errors call the document, usually its path.
        data: Dictionaries with string keys, lists and scalars.
        marks: Location in the data -> (line, column), both from 1.
    """

    name: str
    data: Any
    marks: dict[Location, tuple[int, int]] = field(default_factory=dict)

    def where(self, location: Location = ()) -> str:
        """Returns `file:line:column` of a location, or of the nearest one around it."""
        for length in range(len(location), -1, -1):
            if mark := self.marks.get(location[:length]):
                return f"{self.name}:{mark[0]}:{mark[1]}"
        return self.name


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of true and false, so that the labels Yes and No stay words, and dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if not pair[0].endswith((":bool", ":timestamp"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_yaml(text: str, name: str) -> MarkedYaml:
    """Returns the values and places of a YAML text; tags that would build objects are refused.

    Raises:
        ConfigError: It is not YAML, a key occurs twice, or something refers to itself.
    """
    marked = MarkedYaml(name, None)
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = _plain(loader, node, (), marked, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"not a valid YAML file: {reason}", where=where) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not a valid YAML file: {error}", where=name) from None
    finally:
        if loader is not None:
            loader.dispose()
    return MarkedYaml(name, data, marked.marks)


def _plain(loader: _Loader, node: yaml.Node, location: Location, marked: MarkedYaml, above: tuple) -> Any:
    marked.marks.setdefault(location, (node.start_mark.line + 1, node.start_mark.column + 1))
    if any(node is other for other in above):
        raise ConfigError("an alias refers to what it is part of", where=marked.where(location))
    above = (*above, node)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
        raise ConfigError(f"the tag {node.tag!r} is not allowed", where=marked.where(location))
    if isinstance(node, yaml.MappingNode):
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            place = (*location, key)
            again = key in data
            marked.marks[place] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if again:
                raise ConfigError(f"the key {key!r} occurs twice", where=marked.where(place))
            data[key] = _plain(loader, value_node, place, marked, above)
        return data
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*location, i), marked, above) for i, item in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def read_yaml(path: str | Path) -> MarkedYaml:
    """Returns the values and places of a YAML file.

    Raises:
        ConfigError: The file is missing, not UTF-8 or not YAML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path), hint="check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"not UTF-8 at byte {error.start}", where=str(path), hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return parse_yaml(text, str(path))


def validated(schema: type[M], source: MarkedYaml) -> M:
    """Returns the document as the schema's object.

    Raises:
        ConfigError: All that is wrong with it at once, each with its line.
    """
    if not isinstance(source.data, Mapping):
        found = "is empty" if source.data is None else "is not a mapping of keys to values"
        raise ConfigError(
            f"the file {found}", where=source.name, hint=f"keys: {', '.join(schema.model_fields)}"
        )
    try:
        return schema.model_validate(source.data)
    except ValidationError as error:
        raise problems_error(source, [_problem(schema, details) for details in error.errors()]) from None


def _problem(schema: type[BaseModel], details: Any) -> tuple[Location, str]:
    location: Location = tuple(details["loc"])
    last = str(location[-1]) if location else ""
    if details["type"] == "extra_forbidden":
        allowed = LanguageWording if len(location) > 2 else schema
        return location, f"unknown key {last!r}; {nearest(last, allowed.model_fields)}"
    if details["type"] == "missing":
        return location[:-1], f"the key {last!r} is missing: {_description(schema, last)}"
    key = ".".join(str(part) for part in location)
    reason = details["msg"].removeprefix("Value error, ")
    return location, f"{key}: {reason} (given: {details['input']!r})"


def _description(schema: type[BaseModel], key: str) -> str:
    known = schema.model_fields.get(key)
    return (known.description if known else None) or "it is needed"


def problems_error(source: MarkedYaml, problems: Iterable[tuple[Location, str]]) -> ConfigError:
    """Returns one error for all problems (location, message), in the order of the file."""
    problems = sorted(problems, key=lambda problem: source.marks.get(problem[0], (0, 0)))
    if len(problems) == 1:
        location, message = problems[0]
        return ConfigError(message, where=source.where(location))
    lines = [f"  {source.where(location)}: {message}" for location, message in problems]
    return ConfigError(f"{len(problems)} problems:\n" + "\n".join(lines), where=source.name)
