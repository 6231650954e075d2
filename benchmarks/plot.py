"""Draws the records of `lingport bench --json` as bars: how much longer each side takes for the same step.

python -m benchmarks.plot OUT.png RECORDS.json [RECORDS.json ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

#: part of a side's name, with its dtype -> what the legend says, colour
SIDES = {
    "lingport": ("lingport", "#1f6f78"),
    "plain path": ("the same, by the model's own code", "#8fb8ad"),
    ", {dtype}": ("adapters / peft, as fast as they can", "#e0a458"),
    "paper's settings": ("adapters / peft, the paper's settings", "#b5534c"),
}


def main(out: str, *files: str) -> None:
    """Draws."""
    records = [record for file in files for record in json.loads(Path(file).read_text(encoding="utf-8"))]
    works = list(dict.fromkeys((record["shape"], record["work"]) for record in records))
    figure, axes = pyplot.subplots(figsize=(8, 0.75 * len(works) + 1.2))
    height = 0.8 / len(SIDES)
    for place, (part, (label, colour)) in enumerate(SIDES.items()):
        own = {(r["shape"], r["work"]): r["ratio_to_peer"] for r in records if part.format(**r) in r["side"]}
        rows = [index + place * height for index, work in enumerate(works) if work in own]
        bars = axes.barh(rows, [own[work] for work in works if work in own], height, label=label, color=colour)
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks(
        [index + 1.5 * height for index in range(len(works))],
        [f"{work}\n{shape}" for shape, work in works],
        fontsize=8,
    )
    axes.invert_yaxis()
    axes.set_xlabel("time of a step, lingport = 1 (median over pairs; less is better)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(out, dpi=130)


if __name__ == "__main__":
    main(*sys.argv[1:])
