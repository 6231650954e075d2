"""`lingport train-language`: one language module from raw text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lingport.cli.options import Device, Dtype, Json, Language, Out, Seed, Steps, TrainingOverrides, example
from lingport.cli.show import answer, say

EXAMPLES = r"""
lingport train-language --language sk --text demo --out modules/lp-sk \
    --kind prompt --steps 60 batch_size=16 objective.max_length=48
lingport train-language --language sk --text 'texts/*.txt' --kind adapter --out modules/la-sk batch_size=16
"""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("train-language", short_help="Train a language module on raw text.", epilog=example(EXAMPLES))(
        train_language
    )


def train_language(
    language: Language,
    text: Annotated[
        list[str],
        typer.Option(
            help="Raw text: .txt or .jsonl, plain or compressed, a sentence or document a line. May be repeated, "
            "may be a pattern in quotes; `demo` is the corpus in the package."
        ),
    ],
    out: Out,
    overrides: TrainingOverrides = None,
    kind: Annotated[str, typer.Option(help="prompt or adapter.")] = "prompt",
    backbone: Annotated[str, typer.Option(help="nano, a folder, or a hub name.")] = "nano",
    steps: Steps = None,
    seed: Seed = 1,
    dtype: Dtype = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a language module on raw text, by span corruption.

    What is not said is as in the paper. A training that was stopped goes on from its last checkpoint when the
    same command is given again.
    """
    from pydantic import create_model

    from lingport.cli import single
    from lingport.compose.model import ComposedModel
    from lingport.config.data import TextSource
    from lingport.config.schema import LanguageTraining, SpanCorruptionSettings
    from lingport.data.languages import language as find_language
    from lingport.grid.fingerprint import content_id, source_fingerprint
    from lingport.train.language import HeldOutLoss, held_out_loss, language_data, language_learner
    from lingport.train.learner import remember_training

    training_type, module_type = single.kind_types(LanguageTraining, kind)
    defaults = LanguageTraining()  # pyright: ignore[reportCallIssue]
    schema = create_model(
        "LanguageSettings",
        __base__=training_type,
        module=(module_type, module_type()),
        objective=(SpanCorruptionSettings, defaults.objective),
        validation_chunks=(int, defaults.validation_chunks),
        text=(dict[str, Any], {}),
    )
    settings = single.settings_given([*([f"steps={steps}"] if steps is not None else []), *(overrides or [])])
    chosen: Any = single.checked(schema, settings)
    training = training_type.model_validate({key: getattr(chosen, key) for key in training_type.model_fields})
    find_language(language)  # a wrong code is told before anything is loaded
    place = {"format": "demo"} if text == ["demo"] else {"paths": text}
    source = single.checked(TextSource, {**place, **chosen.text}).resolve()

    loaded = single.open_backbone(backbone, dtype=dtype, device=device)
    identity = content_id(
        {
            "backbone": loaded.fingerprint,
            "dtype": str(loaded.dtype),
            "kind": kind,
            "language": language,
            "seed": seed,
            "settings": chosen.model_dump(mode="json", exclude={"checkpoint_every"}),
            "text": source_fingerprint(source, language),
        }
    )
    if not single.is_trained(out, identity):
        data = language_data(
            loaded,
            source,
            language,
            objective=chosen.objective,
            num_validation_chunks=chosen.validation_chunks,
        )
        learner = language_learner(
            loaded,
            data,
            kind=kind,
            module=chosen.module,
            training=training,
            seed=seed,
            name=out.name,
            checkpoint=single.checkpoint_beside(out),
            identity=identity,
        )
        model = ComposedModel(loaded)
        before = held_out_loss(model, None, data)
        say(f"{len(data.chunks):,} chunks of text; {learner.module.num_trained:,} numbers are trained")
        result, cost = single.train_one(model, learner)
        final = result.scores or HeldOutLoss(learner.module, data)(model)
        remember_training(
            learner, result, initial={"validation_loss": before}, final=final, seconds=round(cost.seconds, 1)
        )
        single.keep(learner.module, out, learner)
    else:
        say(f"{out} is trained already, with these settings and data")
    _tell(out, as_json=as_json)


def _tell(out: Path, *, as_json: bool) -> None:
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
            }
        )
        return
    typer.echo(f"held-out loss {before:.3f} without the module, {after:.3f} with it")
    typer.echo(f"saved: {out}")
