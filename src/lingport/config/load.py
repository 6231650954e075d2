"""Reading YAML so that every complaint names its line, and `key=value` overrides on top of it.

All that is wrong is told at once. Nothing in a YAML file is executed. Not here: what the keys mean.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lingport.errors import ConfigError, nearest

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


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
        raise ConfigError(f"not UTF-8 at byte {error.start}", where=str(path), hint="save it as UTF-8") from None
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
        raise ConfigError(f"the file {found}", where=source.name, hint=f"keys: {', '.join(schema.model_fields)}")
    try:
        return schema.model_validate(source.data)
    except ValidationError as error:
        raise problems_error(source, [_problem(schema, details) for details in error.errors()]) from None


def _problem(schema: type[BaseModel], details: Any) -> tuple[Location, str]:
    location = tuple(details["loc"])
    around = _model_at(schema, location[:-1])
    fields = around.model_fields if around else {}
    if details["type"] == "extra_forbidden":
        return location, f"unknown key {location[-1]!r}; {nearest(str(location[-1]), fields)}"
    if details["type"] == "missing":
        known = fields.get(str(location[-1]))
        said = (known.description if known else None) or "it is needed"
        return location[:-1], f"the key {location[-1]!r} is missing: {said}"
    key = ".".join(str(part) for part in location)
    reason = details["msg"].removeprefix("Value error, ")
    given = f" (given: {details['input']!r})" if isinstance(details["input"], (str, int, float)) else ""
    return location, f"{key}: {reason}{given}" if key else f"{reason}{given}"


def _model_at(schema: Any, location: Location) -> type[BaseModel] | None:
    """Returns the model that a location lies in, walking through optional values, lists and dictionaries."""
    for part in location:
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            known = schema.model_fields.get(str(part))
            schema = known.annotation if known else None
        else:
            schema = typing.get_args(schema)[-1] if typing.get_origin(schema) in (list, dict) else None
        if typing.get_origin(schema) in (typing.Union, types.UnionType):
            schema = next((each for each in typing.get_args(schema) if each is not type(None)), None)
    return schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None


def problems_error(source: MarkedYaml, problems: Iterable[tuple[Location, str]]) -> ConfigError:
    """Returns one error for all problems (location, message), in the order of the file."""
    problems = sorted(problems, key=lambda problem: source.marks.get(problem[0], (0, 0)))
    if len(problems) == 1:
        location, message = problems[0]
        return ConfigError(message, where=source.where(location))
    lines = [f"  {source.where(location)}: {message}" for location, message in problems]
    return ConfigError(f"{len(problems)} problems:\n" + "\n".join(lines), where=source.name)


def with_overrides(source: MarkedYaml, overrides: Sequence[str]) -> MarkedYaml:
    """Returns the document with `key=value` settings put over it.

    Args:
        source: The document.
        overrides: `a.b=1` sets a nested key, `a.0.b=1` one of a list's items; values are read as YAML.

    Raises:
        ConfigError: An override has no `=`, leads through a value, or is not YAML.
    """
    document = MarkedYaml(source.name, _copy(source.data if source.data is not None else {}), dict(source.marks))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"the override {override!r} is not key=value",
                where=override,
                hint="for example seeds=[1,2,3]",
            )
        put(document.data, key, parse_yaml(text, f"override {key}").data if text else None, name=f"override {override}")
    return document


def put(data: Any, key: str, value: Any, *, name: str) -> None:
    """Sets a value deep in nested dictionaries and lists; mappings that are missing on the way are made.

    Args:
        data: What is changed.
        key: `a.b` for a nested key, `a.0.b` for one of a list's items.
        value: What to put there.
        name: What errors call this setting.

    Raises:
        ConfigError: The key leads through a value, or to an item that a list does not have.
    """
    *path, last = key.split(".")
    place = data
    for part in path:
        place = _step_into(place, part, name)
    if isinstance(place, list):
        place[_index(place, last, name)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise ConfigError("leads through a value that is no mapping", where=name)


def _step_into(place: Any, part: str, name: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, part, name)]
    if not isinstance(place, dict):
        raise ConfigError("leads through a value that is no mapping", where=name)
    if not isinstance(place.get(part), (dict, list)):
        place[part] = {}
    return place[part]


def _index(place: list[Any], part: str, name: str) -> int:
    if not part.isdigit() or int(part) >= len(place):
        raise ConfigError(f"{part!r} is no item of a list of {len(place)}", where=name, hint="count from 0")
    return int(part)


def _copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data
