"""`lingport train-task`: one task module from labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lingport.cli.options import (
    DataFormat,
    Device,
    Dtype,
    Json,
    LanguageModule,
    Out,
    Seed,
    Steps,
    TrainingOverrides,
    example,
)
from lingport.cli.show import answer, say

EXAMPLES = r"""
lingport train-task --task topic --source en --format demo --out modules/ta-topic \
    --steps 50 evaluate_every=25 learning_rate=2e-3 task.labels=[language,currency,geography,time,code]
lingport train-task --task tasks/mine.yaml --source en --train train.csv --validation dev.csv --out modules/ta-mine
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("train-task", short_help="Train a task module on labelled data.", epilog=example(EXAMPLES))(train_task)


def train_task(
    task: Annotated[str, typer.Option(help="Name in the catalogue (ner, qa, nli, claims, topic) or a YAML file.")],
    source: Annotated[str, typer.Option(help="Language of the labelled data: en, de, ...")],
    out: Out,
    overrides: TrainingOverrides = None,
    train: Annotated[str | None, typer.Option(help="File of examples to train on.")] = None,
    validation: Annotated[str | None, typer.Option(help="File of examples that choose the best state.")] = None,
    data_format: DataFormat = None,
    kind: Annotated[str, typer.Option(help="adapter, prompt or full.")] = "adapter",
    language_module: LanguageModule = None,
    backbone: Annotated[str | None, typer.Option(help="nano, a folder, or a hub name. Default: nano.")] = None,
    steps: Steps = None,
    seed: Seed = 1,
    dtype: Dtype = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a task module on labelled data of a source language, above its language module if one is given.

    What is not said is as in the paper. A training that was stopped goes on from its last checkpoint when the
    same command is given again.
    """
    from pydantic import create_model

    from lingport.cli import single
    from lingport.compose.model import ComposedModel
    from lingport.config.schema import EvaluationSettings, TaskTraining
    from lingport.data.languages import language as find_language
    from lingport.data.readers import read_examples
    from lingport.grid.fingerprint import content_id, source_fingerprint
    from lingport.modules.store import load_module, weights_hash
    from lingport.tasks.catalogue import load_task
    from lingport.train.learner import remember_training
    from lingport.train.task import TaskData, task_learner, task_rows

    training_type, module_type = single.kind_types(TaskTraining, kind)
    schema = create_model(
        "TaskSettings",
        __base__=training_type,
        module=(module_type, module_type()),
        task=(dict[str, Any], {}),
        data=(dict[str, Any], {}),
        fusion=(Literal["concat", "mean"], "concat"),
    )
    settings = single.settings_given([*([f"steps={steps}"] if steps is not None else []), *(overrides or [])])
    chosen: Any = single.checked(schema, settings)
    training = training_type.model_validate({key: getattr(chosen, key) for key in training_type.model_fields})
    find_language(source)  # a wrong code is told before anything is loaded
    definition = load_task(task, overrides=chosen.task or None)
    given = {"train": train, "validation": validation}
    sources = {
        split: single.example_source(place, data_format, chosen.data, split=split) for split, place in given.items()
    }
    examples = {
        split: list(read_examples(where, language=source, task=definition.name)) for split, where in sources.items()
    }
    examples["validation"] = examples["validation"][: training.validation_limit]

    loaded = single.open_backbone(backbone, dtype=dtype, device=device, modules=[language_module])
    above = load_module(language_module, loaded) if language_module else None
    facts_above = {"name": language_module.name, "weights": weights_hash(above)} if language_module and above else None
    identity = content_id(
        {
            "backbone": loaded.fingerprint,
            "dtype": str(loaded.dtype),
            "kind": kind,
            "source": source,
            "seed": seed,
            "task": definition.config.model_dump(mode="json"),
            "settings": chosen.model_dump(mode="json", exclude={"checkpoint_every", "task", "data"}),
            "data": [source_fingerprint(where, source) for where in sources.values()],
            "above": facts_above and facts_above["weights"],
        }
    )
    if not single.is_trained(out, identity):
        rows = {split: task_rows(loaded, definition, found, source) for split, found in examples.items()}
        learner = task_learner(
            loaded,
            definition,
            TaskData(source, rows["train"], rows["validation"], examples["validation"]),
            kind=kind,
            module=chosen.module,
            training=training,
            above=above,
            fusion=chosen.fusion,
            seed=seed,
            name=out.name,
            limits=EvaluationSettings(),  # pyright: ignore[reportCallIssue]
            checkpoint=single.checkpoint_beside(out),
            identity=identity,
        )
        learner.module.provenance.above = facts_above
        say(
            f"{len(examples['train']):,} examples to train on, {len(examples['validation']):,} to choose by; "
            f"{learner.module.num_trained:,} numbers are trained"
        )
        result, cost = single.train_one(ComposedModel(loaded), learner)
        remember_training(
            learner,
            result,
            final={**result.scores, "best_step": result.best_step},
            data=rows["train"].counts,
            task=definition.config.model_dump(mode="json", exclude_defaults=True),
            seconds=round(cost.seconds, 1),
        )
        single.keep(learner.module, out, learner)
    else:
        say(f"{out} is trained already, with these settings and data")
    _tell(out, definition.main_score, as_json=as_json)


def _tell(out: Path, main_score: str, *, as_json: bool) -> None:
    from lingport.modules.store import read_manifest

    manifest = read_manifest(out)
    provenance = manifest["provenance"]
    final = provenance["training"]["final"]
    if as_json:
        answer(
            {
                "module": str(out),
                "kind": manifest["kind"],
                "task": provenance["task"],
                "language": provenance["language"],
                "num_trained": manifest["num_trained"],
                "steps": provenance["training"]["steps"],
                "best_step": final["best_step"],
                "main_score": main_score,
                "validation": {key: value for key, value in final.items() if key != "best_step"},
            }
        )
        return
    value = final.get(main_score)
    told = f"validation {main_score} {value:.3f}" if value is not None else "not validated"
    typer.echo(f"{told}, state of step {final['best_step']:,} of {provenance['training']['steps']:,}")
    typer.echo(f"saved: {out}")
