"""`lingport train-language`: one language module from raw text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingport.cli.options import Language, example
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
lingport train-language --language sk --text demo --out modules/lp-sk \
    --kind prompt --steps 60 batch_size=16 objective.max_length=48
lingport train-language --language sk --text 'texts/*.txt' --kind adapter --out modules/la-sk batch_size=16
lingport train-language --language sk --text 'texts/*.txt' --out modules/lp-sk --processes 2 --track tensorboard
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("train-language", short_help="Train a language module on raw text.", epilog=example(EXAMPLES))(
        train_language
    )


@training_verb
def train_language(
    common: TrainingOptions,
    language: Language,
    text: Annotated[
        list[str],
        typer.Option(
            help="Raw text: .txt or .jsonl, plain or compressed, a sentence or document a line. May be repeated, "
            "may be a pattern in quotes; `demo` is the corpus in the package."
        ),
    ],
    kind: Annotated[str, typer.Option(help="prompt or adapter.")] = "prompt",
) -> None:
    """Train a language module on raw text, by span corruption or another objective.

    What is not said is as in the paper. A training that was stopped goes on from its last checkpoint when the
    same command is given again.
    """
    train_module(prepare, tell, common, language=language, text=text, kind=kind)


def prepare(common: TrainingOptions, *, device: str, language: str, text: list[str], kind: str) -> Training:
    """Returns the training of a language module; see `train_module`."""
    from lingport.cli import single
    from lingport.config.data import TextSource
    from lingport.config.language import LanguageTraining, ObjectiveSettings
    from lingport.config.training import NOT_RESULT
    from lingport.data.described import described
    from lingport.data.languages import language as find_language
    from lingport.grid.fingerprint import content_id, source_fingerprint
    from lingport.train.language import HeldOutLoss, held_out_loss, language_data, language_learner

    defaults = LanguageTraining()  # pyright: ignore[reportCallIssue]
    chosen, training = chosen_settings(
        LanguageTraining,
        common,
        kind=kind,
        objective=(ObjectiveSettings, defaults.objective),
        num_texts=(int | None, defaults.num_texts),
        validation_chunks=(int, defaults.validation_chunks),
        text=(dict[str, Any], {}),
    )
    find_language(language)  # a wrong code is told before anything is loaded
    place = {"format": "demo"} if text == ["demo"] else {"paths": text}
    source = single.checked(TextSource, {**place, **chosen.text}).resolve()
    backbone = single.open_backbone(common.backbone, dtype=common.dtype, device=device)
    identity = content_id(
        {
            "backbone": backbone.fingerprint,
            "dtype": str(backbone.dtype),
            "kind": kind,
            "language": language,
            "seed": common.seed,
            "settings": chosen.model_dump(mode="json", exclude=NOT_RESULT),
            "text": source_fingerprint(source, language),
        }
    )

    def begin() -> tuple[Learner, Facts]:
        data = language_data(
            backbone,
            source,
            language,
            objective=chosen.objective,
            num_validation_chunks=chosen.validation_chunks,
            num_texts=chosen.num_texts,
            seed=common.seed,
        )
        say(f"{len(data.chunks):,} chunks of text")
        learner = language_learner(
            backbone,
            data,
            kind=kind,
            module=chosen.module,
            training=training,
            seed=common.seed,
            name=common.out.name,
            checkpoint=single.checkpoint_beside(common.out),
            identity=identity,
        )

        def facts(result: TrainResult, model: ComposedModel) -> dict[str, Any]:
            before = held_out_loss(model, None, data)
            final = result.scores or HeldOutLoss(learner.module, data)(model)
            return {
                "initial": {"validation_loss": before},
                "final": final,
                "data": {"chunks": len(data.chunks), "validation_chunks": len(data.validation)},
                "sources": [described(source, language=language)],
                "objective": chosen.objective.model_dump(mode="json"),
            }

        return learner, facts

    return Training(backbone, identity, begin)


def tell(out: Path, *, as_json: bool) -> None:
    """Says what a language module's training gave."""
    from lingport.modules.store import read_manifest

    manifest = read_manifest(out)
    training = manifest["provenance"]["training"]
    before, after = training["initial"]["validation_loss"], training["final"]["validation_loss"]
    if as_json:
        answer(
            {
                "module": str(out),
                "kind": manifest["kind"],
                "language": manifest["provenance"]["language"],
                "num_trained": manifest["num_trained"],
                "steps": training["steps"],
                "validation_loss_before": before,
                "validation_loss": after,
                **cost_of(out, training),
            }
        )
        return
    typer.echo(f"held-out loss {before:.3f} without the module, {after:.3f} with it")
    typer.echo(cost_line(out, training))
    typer.echo(f"saved: {out}")
