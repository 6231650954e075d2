"""What a reader works with: the settings, the language, and where problems and skipped records are noted.

Not here: any file format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lingport.config.data import ExampleSource
from lingport.data.languages import language as find_language
from lingport.data.problems import Problems, shorten
from lingport.errors import nearest

Example = dict[str, Any]

COLUMNS_HINT = "set `columns` to say which column holds which field"


@dataclass
class Intake:
    """The reading of one source.

    Attributes:
        source: The settings, paths resolved.
        language: Code of the language.
        problems: Where mistakes are noted.
        task: Name of the task; only the demo corpus asks for it.
        skipped: Why records were left out, with how many.
    """

    source: ExampleSource
    language: str
    problems: Problems
    task: str | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def joiner(self) -> str:
        """What stands between the tokens of a sentence: what the settings say, else what the language has."""
        return find_language(self.language).joiner if self.source.joiner is None else self.source.joiner

    def text(self, record: Mapping[str, Any], name: str, where: str) -> str | None:
        """Returns a field that must be a text; None if it is not, which is noted."""
        value = record.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
        if name not in record:
            self.problems.add(f"`{name}` is missing; {nearest(name, record)}", where=where, hint=COLUMNS_HINT)
        elif value is not None and not isinstance(value, str):
            self.problems.add(f"`{name}` is no text but {shorten(value)}", where=where, hint=COLUMNS_HINT)
        elif self.source.skip_empty:
            self.skipped[f"{name} is empty"] += 1
        else:
            hint = "fill it, or set skip_empty: true to leave such records out"
            self.problems.add(f"`{name}` is empty", where=where, hint=hint)
        return None
