"""`lingport trim`: a smaller backbone with the part of the vocabulary that some texts use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingport.cli.options import BackboneName, Json, example
from lingport.cli.show import answer, say, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lingport.backbones.base import Backbone
    from lingport.config.data import TextSource

EXAMPLES = """
lingport trim --text demo --language en --language sk --out backbones/nano-en-sk
lingport trim --backbone google/mt5-small --text 'texts/*.txt' --min-count 2 --out backbones/mt5-small-mine
"""
#: rows that exactness is measured on
NUM_ROWS = 16
#: one text of so many says what unseen text would lose, and at most so many of them do
HELD_OUT_EVERY = 20
MAX_HELD_OUT = 2000


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("trim", short_help="Make a backbone smaller: drop unused tokens.", epilog=example(EXAMPLES))(trim)


def trim(
    text: Annotated[
        list[str],
        typer.Option(
            help="Raw text of all languages that will be used, that of the tasks included: .txt or .jsonl, plain or "
            "compressed. May be repeated, may be a pattern in quotes; `demo` is the corpus in the package."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make for the backbone.")],
    backbone: BackboneName = "nano",
    language: Annotated[
        list[str] | None, typer.Option(help="Languages, where the text has a part for each: `demo`, {language}.")
    ] = None,
    min_count: Annotated[int, typer.Option(help="Fewest occurrences of a token that is kept.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Keep the tokens that texts use, and write a smaller backbone that is used like any other: --backbone FOLDER.

    Kept besides: what the tasks of the catalogue say, special tokens, and single characters. Modules of the whole
    backbone act in the trimmed one, and the other way round. The loss differs by the probability of the dropped
    tokens alone, which is measured on some of the text and printed.
    """
    from lingport.backbones.base import Backbone
    from lingport.backbones.trim import compare, count_tokens, kept_tokens
    from lingport.backbones.trim import trim as write_trimmed
    from lingport.cli import single
    from lingport.config.data import TextSource

    place = {"format": "demo"} if text == ["demo"] else {"paths": text}
    source = single.checked(TextSource, place).resolve()
    whole = single.open_backbone(backbone, dtype="float32", device="cpu")
    say("counting tokens ...")
    words = count_tokens(whole.tokenizer, _words_of_tasks())
    seen, held_out = Counter(dict.fromkeys(words, min_count)), []  # kept however rare
    for number, each in enumerate(_texts(source, language)):
        ids = whole.tokenizer(each, add_special_tokens=False).input_ids
        if number % HELD_OUT_EVERY or len(held_out) == MAX_HELD_OUT:
            seen.update(ids)
        else:
            held_out.append(ids)
    unseen = [token for ids in held_out for token in ids]
    without = set(kept_tokens(whole, seen, min_count=min_count))
    tokens = write_trimmed(whole, kept_tokens(whole, seen + Counter(unseen), min_count=min_count), out)
    trimmed = Backbone.load(str(out), dtype="float32", device="cpu")
    exactness = compare(whole, trimmed, tokens, _rows(whole, [token for token in unseen if token in tokens]))
    lost = sum(token not in without for token in unseen) / len(unseen)
    found = {
        "out": str(out),
        "tokens": {"whole": len(whole.tokenizer), "trimmed": len(tokens.kept)},
        "weights": {"whole": whole.num_parameters, "trimmed": trimmed.num_parameters},
        "unseen_tokens_dropped": lost,
        "exactness": vars(exactness),
    }
    if as_json:
        answer(found)
        return
    table(
        ["", "whole", "trimmed"],
        [[name, found[name]["whole"], found[name]["trimmed"]] for name in ("tokens", "weights")],
        title=f"{out}",
    )
    say(f"Of text like this that was not counted, {lost:.2%} of the tokens would be spelt with shorter pieces.")
    say(
        f"On {exactness.num_tokens:,} target tokens of text made of kept ones: loss {exactness.whole:.4f} before, "
        f"{exactness.trimmed:.4f} now; the mass of the dropped tokens makes {exactness.dropped:.4f} of it, anything "
        f"else at most {exactness.error:.1e} at one token."
    )


def _texts(source: TextSource, languages: list[str] | None) -> Iterator[str]:
    from lingport.data.text import read_text

    for language in languages or [None]:
        yield from read_text(source, language=language)


def _words_of_tasks() -> Iterator[str]:
    from lingport.tasks.catalogue import load_task, task_names

    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for each in (*value.keys(), *value.values()):
                yield from strings(each)
        elif isinstance(value, (list, tuple)):
            for each in value:
                yield from strings(each)

    for name in task_names():
        yield from strings(load_task(name).config.model_dump(mode="json"))


def _rows(backbone: Backbone, ids: list[int]) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Returns rows of span corruption: input ids and label ids."""
    import numpy as np

    from lingport.config.language import ObjectiveSettings
    from lingport.data.objectives.base import new_objective

    objective = new_objective(
        ObjectiveSettings.model_validate({"max_length": 64}),
        sentinel_ids=backbone.sentinel_ids,
        end_id=backbone.tokenizer.eos_token_id,
    )
    length = objective.raw_length
    chunks = [ids[start : start + length] for start in range(0, len(ids), length)][:NUM_ROWS]
    made = [objective.row(np.resize(chunk, length), "trim", number) for number, chunk in enumerate(chunks)]
    return [(row.input_ids, row.label_ids) for row in made]
