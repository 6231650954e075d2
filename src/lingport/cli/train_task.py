"""`lingport train-task`: one task module from labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lingport.cli.options import DataFormat, LanguageModule, example
from lingport.cli.show import answer, say
from lingport.cli.training import (
    Training,
    TrainingOptions,
    chosen_settings,
    cost_line,
    cost_of,
    train_module,
    training_verb,
)

if TYPE_CHECKING:
    from lingport.cli.training import Facts
    from lingport.compose.model import ComposedModel
    from lingport.train.learner import Learner, TrainResult

EXAMPLES = r"""
lingport train-task --task topic --source en --format demo --out modules/ta-topic \
    --steps 50 evaluate_every=25 learning_rate=2e-3 task.labels=[language,currency,geography,time,code]
lingport train-task --task tasks/mine.yaml --source en --train train.csv --validation dev.csv --out modules/ta-mine
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("train-task", short_help="Train a task module on labelled data.", epilog=example(EXAMPLES))(train_task)


@training_verb
def train_task(
    common: TrainingOptions,
    task: Annotated[str, typer.Option(help="Name in the catalogue (ner, qa, nli, claims, topic) or a YAML file.")],
    source: Annotated[str, typer.Option(help="Language of the labelled data: en, de, ...")],
    train: Annotated[str | None, typer.Option(help="File of examples to train on.")] = None,
    validation: Annotated[str | None, typer.Option(help="File of examples that choose the best state.")] = None,
    data_format: DataFormat = None,
    kind: Annotated[str, typer.Option(help="adapter, prompt or full.")] = "adapter",
    language_module: LanguageModule = None,
) -> None:
    """Train a task module on labelled data of a source language, above its language module if one is given.

    What is not said is as in the paper. A training that was stopped goes on from its last checkpoint when the
    same command is given again.
    """
    files = {"train": train, "validation": validation}
    train_module(
        prepare,
        tell,
        common,
        task=task,
        source=source,
        files=files,
        data_format=data_format,
        kind=kind,
        language_module=language_module,
    )


def prepare(
    common: TrainingOptions,
    *,
    device: str,
    task: str,
    source: str,
    files: dict[str, str | None],
    data_format: str | None,
    kind: str,
    language_module: Path | None,
) -> Training:
    """Returns the training of a task module; see `train_module`."""
    from lingport.cli import single
    from lingport.config.schema import EvaluationSettings
    from lingport.config.training import NOT_RESULT, TaskTraining
    from lingport.data.described import described
    from lingport.data.languages import language as find_language
    from lingport.data.readers import read_examples
    from lingport.formats.load import load_module
    from lingport.grid.fingerprint import content_id, source_fingerprint
    from lingport.modules.ancestry import reference
    from lingport.tasks.catalogue import load_task
    from lingport.train.task import TaskData, task_learner, task_rows

    chosen, training = chosen_settings(
        TaskTraining,
        common,
        kind=kind,
        task=(dict[str, Any], {}),
        data=(dict[str, Any], {}),
        fusion=(Literal["concat", "mean"], "concat"),
    )
    find_language(source)  # a wrong code is told before anything is loaded
    definition = load_task(task, overrides=chosen.task or None)
    sources = {
        split: single.example_source(place, data_format, chosen.data, split=split) for split, place in files.items()
    }
    backbone = single.open_backbone(
        common.backbone, dtype=common.dtype, device=device, modules=[language_module] if language_module else []
    )
    above = load_module(language_module, backbone) if language_module else None
    facts_above = reference(above, name=language_module.name) if language_module and above else None
    identity = content_id(
        {
            "backbone": backbone.fingerprint,
            "dtype": str(backbone.dtype),
            "kind": kind,
            "source": source,
            "seed": common.seed,
            "task": definition.config.model_dump(mode="json"),
            "settings": chosen.model_dump(mode="json", exclude={*NOT_RESULT, "task", "data"}),
            "data": [source_fingerprint(where, source) for where in sources.values()],
            "above": facts_above and facts_above["weights"],
        }
    )

    def begin() -> tuple[Learner, Facts]:
        examples = {
            split: list(read_examples(where, language=source, task=definition.name)) for split, where in sources.items()
        }
        examples["validation"] = examples["validation"][: training.validation_limit]
        rows = {split: task_rows(backbone, definition, found, source) for split, found in examples.items()}
        say(f"{len(examples['train']):,} examples to train on, {len(examples['validation']):,} to choose by")
        learner = task_learner(
            backbone,
            [TaskData(definition, source, rows["train"], rows["validation"], examples["validation"], above)],
            kind=kind,
            module=chosen.module,
            training=training,
            fusion=chosen.fusion,
            seed=common.seed,
            name=common.out.name,
            limits=EvaluationSettings(),  # pyright: ignore[reportCallIssue]
            checkpoint=single.checkpoint_beside(common.out),
            identity=identity,
        )
        learner.module.provenance.above = facts_above

        def facts(result: TrainResult, _model: ComposedModel) -> dict[str, Any]:
            return {
                "final": {**result.scores, "best_step": result.best_step},
                "data": rows["train"].counts,
                "sources": [described(sources["train"], language=source)],
                "task": definition.config.model_dump(mode="json", exclude_defaults=True),
            }

        return learner, facts

    return Training(backbone, identity, begin)


def tell(out: Path, *, as_json: bool) -> None:
    """Says what a task module's training gave."""
    from lingport.cli import single
    from lingport.modules.store import read_manifest

    manifest = read_manifest(out)
    provenance = manifest["provenance"]
    training, main_score = provenance["training"], single.open_task(None, out, {}).main_score
    final = training["final"]
    if as_json:
        answer(
            {
                "module": str(out),
                "kind": manifest["kind"],
                "task": provenance["task"],
                "language": provenance["language"],
                "num_trained": manifest["num_trained"],
                "steps": training["steps"],
                "best_step": final["best_step"],
                "main_score": main_score,
                "validation": {key: value for key, value in final.items() if key != "best_step"},
                **cost_of(out, training),
            }
        )
        return
    value = final.get(main_score)
    told = f"validation {main_score} {value:.3f}" if value is not None else "not validated"
    typer.echo(f"{told}, state of step {final['best_step']:,} of {training['steps']:,}")
    typer.echo(cost_line(out, training))
    typer.echo(f"saved: {out}")
