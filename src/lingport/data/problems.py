"""Collects what is wrong with a data file, so that several mistakes are told at once.

Not here: finding the mistakes, which each reader does for its format.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lingport.errors import DataError

NUM_SHOWN = 5
LONGEST_VALUE = 60


def shorten(value: object) -> str:
    """Returns a value as it is quoted in a message: on one line, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 4]}...{text[-1]}"


@dataclass
class Problems:
    """The problems of one file (or one published split).

    Attributes:
        source: The file, named when several problems are told.
        found: The first problems as errors; the rest is only counted.
        num_found: How many there are in all.
    """

    source: str
    found: list[DataError] = field(default_factory=list)
    num_found: int = 0

    def add(self, message: str, *, where: str, hint: str | None = None) -> None:
        """Notes a problem."""
        self.num_found += 1
        if self.num_found <= NUM_SHOWN:
            self.found.append(DataError(message, where=where, hint=hint))

    def raise_if_any(self) -> None:
        """Raises what was noted.

        Raises:
            DataError: The problem, or a list of the first five and the number of the others.
        """
        if self.num_found == 1:
            raise self.found[0]
        if self.found:
            rest = self.num_found - len(self.found)
            listed = "\n".join(f"  {error}".replace("\n", "\n  ") for error in self.found)
            more = f"\n  and {rest} more" if rest else ""
            raise DataError(f"{self.num_found} problems\n{listed}{more}", where=self.source)
