"""Figures as SVG text to stand in a page: no outside references, no dates, the page's own text colour.

Drawn without matplotlib's global state; the same data give the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stand-ins that `svg_text` replaces by what the page defines, so that one picture reads on light and dark.
INK, LINE = "#010203", "#030201"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "lingport",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}


@contextmanager
def drawing() -> Iterator[None]:
    """The style that all plots share, for as long as they are drawn."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Text stays text in the file and the reader's fonts draw it: matplotlib's own need not have the letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def svg_text(figure: Figure, alt: str, *, is_cropped: bool = True) -> str:
    """Returns a figure as an `<svg>` element that is at most as wide as it was drawn.

    Args:
        figure: What is drawn.
        alt: What a reader who does not see it is told.
        is_cropped: Cut to what is drawn; else the figure's own size, which lines up plots side by side.
    """
    stream = io.StringIO()
    FigureCanvasSVG(figure)
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    box = {"bbox_inches": "tight", "pad_inches": 0.03} if is_cropped else {}
    figure.savefig(stream, format="svg", transparent=True, metadata=metadata, **box)
    whole = stream.getvalue()
    start = whole.index("<svg")
    end = whole.index(">", start)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', whole)
    assert size is not None
    body = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", whole[end + 1 :], flags=re.DOTALL)
    body = body.replace(INK, "currentColor").replace(LINE, "var(--line, #8886)").replace("xlink:href", "href")
    body = re.sub(r"\n\s*\n+", "\n", body)
    width = float(size[1]) * 4 / 3  # points to CSS pixels
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size[0][9:-1]}" role="img" '
        f'aria-label="{escape(alt)}" style="--drawn:{width:.0f}px;max-width:{width:.0f}px">'
    )
    return f"{head}{body}".strip()


def with_own_ids(svg: str, prefix: str) -> str:
    """Returns the picture with its ids made distinct, since ids must not repeat within a page."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = svg.replace("url(#", f"url(#{prefix}-")
    return re.sub(r'\bhref="#', f'href="#{prefix}-', svg)
