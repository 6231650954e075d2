"""The critical-difference diagram: average ranks on a line, groups that are not told apart joined by bars.

Source: Demsar (2006), figure 1.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from lingport.evaluate.ranking import Ranking
from lingport.report.axes import lines_of
from lingport.report.svg import INK, LINE, drawing, svg_text

_WIDTH = 4.7  # inches
_ROW = 0.24
_ABOVE = 0.75  # inches above the axis, for its numbers and the critical difference
_BAR = 0.13  # inches between two bars


def rank_plot(labels: list[str], ranking: Ranking) -> str | None:
    """Returns the diagram, the best rank at the left; None for fewer than two configurations."""
    if len(labels) < 2:
        return None
    order = sorted(range(len(labels)), key=lambda place: ranking.ranks[place])
    left = order[: (len(order) + 1) // 2]
    right = order[len(left) :]
    bars = ranking.cliques()
    below = 0.15 + _BAR * len(bars) + _ROW * len(left) + 0.1
    lines = lines_of(labels)
    with drawing():
        figure = Figure(figsize=(_WIDTH, _ABOVE + below))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        # One unit is one rank across and one inch down.
        span = max(1, len(labels) - 1)
        margin = span * 0.34
        axes.set_xlim(1 - margin, len(labels) + margin)
        axes.set_ylim(-below, _ABOVE)
        axes.plot([1, len(labels)], [0, 0], color=INK, linewidth=0.8)
        for tick in range(1, len(labels) + 1):
            axes.plot([tick, tick], [0, 0.06], color=INK, linewidth=0.8)
            axes.text(tick, 0.1, str(tick), ha="center", va="bottom", color=INK, fontsize=9)
        if ranking.critical_difference is not None:
            axes.plot([1, 1 + ranking.critical_difference], [0.42, 0.42], color=INK, linewidth=1.4)
            text = f"critical difference {ranking.critical_difference:.2f}"
            axes.text(1, 0.48, text, ha="left", va="bottom", color=INK, fontsize=9)
        for depth, (best, worst) in enumerate(bars):
            y = -0.15 - _BAR * depth
            axes.plot([best - 0.04, worst + 0.04], [y, y], color=INK, linewidth=3, solid_capstyle="round")
        first = 0.15 + _BAR * len(bars) + _ROW / 2
        # The outermost names stand highest on either side, so that no two connecting lines cross.
        for places, edge, align, step in (
            (left, 1 - margin * 0.06, "right", 1),
            (right[::-1], len(labels) + margin * 0.06, "left", -1),
        ):
            for depth, place in enumerate(places):
                y, x = -(first + _ROW * depth), ranking.ranks[place]
                axes.plot([x, x, edge], [0, y, y], color=LINE, linewidth=0.9)
                axes.plot([x], [0], lines[labels[place]].marker, color=lines[labels[place]].colour, markersize=5)
                text = f"{labels[place]}  {x:.2f}" if step > 0 else f"{x:.2f}  {labels[place]}"
                axes.text(edge - step * margin * 0.04, y, text, ha=align, va="center_baseline", color=INK, fontsize=9)
        told = ", ".join(f"{labels[place]} {ranking.ranks[place]:.2f}" for place in order)
        return svg_text(figure, f"Average ranks on {ranking.num_sets} test sets, the best first: {told}.")
