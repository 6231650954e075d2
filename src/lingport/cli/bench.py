"""`lingport bench`: how fast training is on this machine, and against other libraries."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from lingport.cli.options import example
from lingport.cli.show import say, table

EXAMPLES = """
lingport bench --quick
lingport bench --shape mt5-base --json bench.json
lingport bench --work ner --kind adapter --pairs 3 --threads 1
lingport bench --shape mt5-base --work language --rows 32 --compiled
"""
WORKS = ("language", "ner", "topic", "qa")
DTYPES = ("auto", "bfloat16", "float32")
QUICK_PAIRS = 2


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("bench", short_help="Measure the speed of training on this machine.", epilog=example(EXAMPLES))(bench)


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Only ours against our plain path, in two to three minutes.")
    ] = False,
    shape: Annotated[
        str,
        typer.Option(
            help="mt5-small, mt5-base (mT0's too), or either with -trimmed, of random weights; nothing is downloaded."
        ),
    ] = "mt5-small",
    work: Annotated[
        list[str] | None,
        typer.Option(help="language (span corruption, 256 tokens), or rows of real lengths: ner, topic, qa. All."),
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="adapter, prompt. Both.")] = None,
    num_rows: Annotated[
        int | None, typer.Option("--rows", help="Rows of a step. Default: 8 (language, qa) or 32.", min=2)
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Measure the other library through torch.compile too, where that works.")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="bfloat16, float32, or auto: bfloat16 where the machine computes in it.")
    ] = "auto",
    pairs: Annotated[int, typer.Option(help="Steps of each side that count.", min=1)] = 5,
    threads: Annotated[int | None, typer.Option(help="Threads of each side. Default: as torch chooses.", min=1)] = None,
    file: Annotated[Path | None, typer.Option("--json", help="Write the records to this file.")] = None,
) -> None:
    """Train modules in a backbone of random weights, each side in turn on the same rows, and print the ratios.

    On a GPU where there is one. Other libraries get an environment of their own, made on first use (a gigabyte each).
    """
    import torch

    from lingport.backbones.base import best_dtype
    from lingport.backbones.shapes import SHAPES
    from lingport.bench.measure import COMPILED, MODULES, PEERS, PLAIN, RECOMPUTED, Work, measure
    from lingport.errors import ConfigError, TrainingError, nearest

    works = work or (["language"] if quick else list(WORKS))
    kinds = kind or list(MODULES)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for given, known, name in (
        (works, WORKS, "--work"),
        (kinds, MODULES, "--kind"),
        ([shape], SHAPES, "--shape"),
        ([dtype], DTYPES, "--dtype"),
    ):
        for each in given:
            if each not in known:
                raise ConfigError(f"unknown {name} {each!r}", hint=nearest(each, known))
    if dtype == "auto":
        dtype = str(best_dtype(torch.device(device))).removeprefix("torch.")
    records: list[dict[str, Any]] = []
    for each in works:
        for of_kind in kinds:
            recomputed = (RECOMPUTED,) if each == "language" else ()
            sides = (PLAIN,) if quick else (PLAIN, *recomputed, *PEERS[of_kind])
            rows = num_rows or (8 if each in ("language", "qa") else 32)
            names = ", ".join(side.computing_in(dtype).name for side in sides)
            say(f"{each} {of_kind}, {shape}, {rows} rows, {dtype}: {names} ...")
            run = partial(
                measure,
                Work(each, of_kind, rows),
                shape=shape,
                pairs=QUICK_PAIRS if quick else pairs,
                threads=threads or torch.get_num_threads(),
                device=device,
                dtype=dtype,
            )
            records += run(sides)
            if compiled:
                try:
                    records += run([COMPILED[of_kind]])[1:]
                except TrainingError as error:
                    say(f"{COMPILED[of_kind].computing_in(dtype).name}: not measured, {error}")
            if file is not None:  # after each piece of work: a run that is stopped keeps what it has
                file.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
    _show(records)


def _show(records: list[dict[str, Any]]) -> None:
    rows = [
        [
            record["work"],
            record["side"],
            record["dtype"],
            f"{record['rate']:,.{0 if record['rate'] >= 10 else 2}f} {record['rate_unit']}",
            f"{record['seconds']:.2f}",
            f"{record['ratio_to_peer']:.2f}",
            f"{record['limit_fraction']:.2f}",
            f"{record['rate_fraction']:.2f}",
            f"{record['peak_bytes_above_weights'] / 2**20:,.0f}",
        ]
        for record in records
    ]
    head = [
        "work",
        "side",
        "dtype",
        "rate",
        "s/step",
        "times ours",
        "of the limit",
        "of the machine's rate",
        "MiB above weights",
    ]
    table(head, rows, title="Training steps")
    say(
        "times ours: seconds of this side over ours, the median over pairs of steps. Of the limit: time of the step's "
        "matrix products alone (forward and backward, in our dtype) over the step's. Of the machine's rate: their "
        "operations per second of the step, over those of a large square product, "
        f"{records[0]['matmul_rate'] / 1e12:.3g} TFLOP/s."
    )
