"""Colours behind the numbers of a table: light to dark for scores, red to blue about zero for differences."""

from __future__ import annotations

from collections.abc import Sequence

Colour = tuple[float, float, float]
# Ends of ColorBrewer's Blues and RdBu with their middles, told apart by colour-blind readers.
_SCORES = ("#f4f8fc", "#9ecae1", "#2171b5", "#08306b")
_DIFFERENCES = ("#b2182b", "#f4a582", "#f7f7f7", "#92c5de", "#2166ac")


def score_shade(value: float, *, top: float) -> str:
    """Returns the colour of a score as `#rrggbb`; `top` is the darkest."""
    return _between(_SCORES, value / top if top > 0 else 0.0)


def difference_shade(value: float, *, top: float) -> str:
    """Returns the colour of a difference as `#rrggbb`; red is -`top` or less, blue is `top` or more."""
    return _between(_DIFFERENCES, 0.5 + value / (2 * top) if top > 0 else 0.5)


def ink_on(shade: str) -> str:
    """Returns black or white, whichever reads better on a colour (sRGB luminance, WCAG 2)."""
    red, green, blue = (_linear(part) for part in _rgb(shade))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#fff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000"


def _between(colours: Sequence[str], share: float) -> str:
    place = min(1.0, max(0.0, share)) * (len(colours) - 1)
    first = min(int(place), len(colours) - 2)
    low, high = _rgb(colours[first]), _rgb(colours[first + 1])
    mixed = (round(255 * (a + (b - a) * (place - first))) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _rgb(shade: str) -> Colour:
    red, green, blue = (int(shade[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
