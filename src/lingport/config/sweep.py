"""Sweeps: a recipe at each of several values of its settings.

Not here: which jobs the points share, and what modules are called (`lingport.grid.plan`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lingport.config.load import put
from lingport.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

#: keys of a recipe whose settings may be swept; others are lists already, or concern a run as a whole
SWEPT = ("fusion", "text", "language_training", "task_training", "few_shot", "tasks", "mixtures")


def points(sweep: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Returns every combination of the values, the first key's slowest; without a sweep one, which is empty."""
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def at(recipe: M, settings: Mapping[str, Any]) -> M:
    """Returns a recipe with some settings replaced and without its sweep, checked as a whole.

    Args:
        recipe: Any settings object with a `sweep`.
        settings: Dotted key, as in an override, -> value.

    Raises:
        ConfigError: A key leads nowhere, or a value is not allowed there.
    """
    data = recipe.model_dump(mode="json")
    try:
        for key, value in settings.items():
            put(data, key, value, name=f"sweep.{key}")
        return type(recipe).model_validate(data | {"sweep": {}})
    except ValidationError as error:
        details = error.errors()[0]
        place = ".".join(str(part) for part in details["loc"])
        raise ConfigError(
            f"sweep: {place or 'recipe'} at {dict(settings)}: {details['msg'].removeprefix('Value error, ')}",
            hint="a value of a sweep must be one that the recipe itself could say",
        ) from None


def value_at(recipe: BaseModel, key: str) -> Any:
    """Returns what a recipe says under a dotted key, as JSON would hold it; None where it says nothing."""
    place: Any = recipe.model_dump(mode="json")
    for part in key.split("."):
        if isinstance(place, list):
            place = place[int(part)] if part.isdigit() and int(part) < len(place) else None
        else:
            place = place.get(part) if isinstance(place, dict) else None
    return place
