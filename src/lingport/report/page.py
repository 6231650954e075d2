"""A report as one HTML page that needs nothing else. Not here: what is in it (`contents.py`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from importlib.resources import files

import yaml
from jinja2 import Environment
from markupsafe import Markup

from lingport import __version__
from lingport.report.contents import Folded, Grid, Pair, Part, Section
from lingport.report.plots import Plot
from lingport.report.read import Row
from lingport.report.shades import ink_on
from lingport.report.svg import with_own_ids
from lingport.report.table import ABOVE, BELOW, FAILED, Table

#: longer tables are folded until the reader opens them
FOLD_ABOVE_ROWS = 24
_SORTS = {str: "text", Table: "table", Plot: "plot", Grid: "grid", Pair: "pair", Folded: "folded"}


def html_page(recipe: Row, sentences: Sequence[str], sections: Sequence[Section]) -> str:
    """Returns the page.

    Args:
        recipe: The run's, resolved.
        sentences: The first is about the run, the others about what is best and what names mean.
        sections: What it says.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("lingport.report") / "page.html.j2").read_text(encoding="utf-8"))
    numbers = itertools.count(1)

    def picture(svg: str) -> Markup:
        return Markup(with_own_ids(svg, f"p{next(numbers)}"))

    def sort(part: Part) -> str:
        return _SORTS[type(part)]

    return template.render(
        run=recipe,
        sentences=sentences,
        sections=sections,
        settings=yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False),
        version=__version__,
        fold_above=FOLD_ABOVE_ROWS,
        picture=picture,
        sort=sort,
        ink_on=ink_on,
        arrows={ABOVE: "above", BELOW: "below"},
        failed=FAILED,
    )
