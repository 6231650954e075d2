"""`lingport evaluate`: scores of one composition of modules on test data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lingport.cli.options import (
    AllowOtherBackbone,
    BackboneName,
    DataFormat,
    Device,
    Dtype,
    Json,
    LanguageModule,
    TaskModule,
    TaskName,
    example,
)
from lingport.cli.show import answer, percent, say, table

EXAMPLES = """
lingport evaluate --task-module modules/ta-topic --language sk --format demo data.limit=100
lingport evaluate --task ner --language sk --test sk.conllu --task-module runs/x/modules/ta-ner-en-s1
lingport evaluate bundles/topic --language sk --test sk.csv
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("evaluate", short_help="Score modules on test data.", epilog=example(EXAMPLES))(evaluate)


def evaluate(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BUNDLE|KEY=VALUE",
            help="A bundle (a folder, or user/name on the hub); settings of the task (task.decoding=rank), the data "
            "(data.limit=100), and speed (evaluation.max_rows=16).",
        ),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of the test data. Default: the module's.")] = None,
    test: Annotated[str | None, typer.Option(help="File of examples.")] = None,
    data_format: DataFormat = None,
    task: TaskName = None,
    task_module: TaskModule = None,
    language_module: LanguageModule = None,
    predictions: Annotated[Path | None, typer.Option(help="Write every output to this JSONL file.")] = None,
    backbone: BackboneName = None,
    allow_other_backbone: AllowOtherBackbone = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score a task module on test data, with the language module of the data's language if there is one.

    A bundle brings both along. With neither module nor bundle the bare backbone is scored (the configuration `none`).
    """
    from pydantic import create_model

    from lingport.cli import single
    from lingport.cli.answering import open_answering
    from lingport.cli.progress import Progress
    from lingport.compose.model import ComposedModel
    from lingport.config.modules import Settings
    from lingport.config.schema import EvaluationSettings
    from lingport.data.readers import read_examples
    from lingport.evaluate.predict import Query, predict
    from lingport.evaluate.result import prediction_rows
    from lingport.evaluate.score import score

    schema = create_model(
        "EvaluateSettings",
        __base__=Settings,
        task=(dict[str, Any], {}),
        data=(dict[str, Any], {}),
        evaluation=(EvaluationSettings, EvaluationSettings()),  # pyright: ignore[reportCallIssue]
    )
    overrides = list(words or [])
    bundle = overrides.pop(0) if overrides and "=" not in overrides[0] else None
    chosen: Any = single.checked(schema, single.settings_given(overrides))
    source = single.example_source(test, data_format, chosen.data, split="test")
    asked = open_answering(
        bundle,
        task=task,
        task_module=task_module,
        language_module=language_module,
        language=language,
        settings=chosen.task,
        backbone=backbone,
        allow_other_backbone=allow_other_backbone,
        dtype=dtype,
        device=device,
    )
    definition, code = asked.task, asked.language
    examples = list(read_examples(source, language=code, task=definition.name))
    with Progress() as progress:
        outputs = predict(
            ComposedModel(asked.backbone),
            [Query(definition, each, code, asked.composition) for each in examples],
            max_rows=chosen.evaluation.max_rows,
            max_tokens=chosen.evaluation.max_tokens,
            on_progress=lambda done, total: progress.step(f"{definition.name} in {code}", done, total),
        )
    scored = score(definition, examples, outputs, language=code)
    if predictions is not None:
        rows = prediction_rows(definition, examples, outputs)
        predictions.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        predictions.write_text(text, encoding="utf-8")
        say(f"outputs: {predictions}")
    if as_json:
        answer(
            {
                "task": definition.name,
                "language": code,
                "main_score": scored.main_score,
                "scores": scored.scores,
                "counts": scored.counts,
                "majority": scored.majority,
            }
        )
        return
    table(("score", ""), [(name, percent(value)) for name, value in scored.scores.items()])
    counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in scored.counts.items())
    typer.echo(f"\n{counts}")
    if scored.majority is not None:
        typer.echo(f"always answering the most frequent label: accuracy {percent(scored.majority)}")
