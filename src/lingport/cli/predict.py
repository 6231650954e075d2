"""`lingport predict`: runs a composition of modules on texts, line by line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lingport.cli.options import (
    AllowOtherBackbone,
    BackboneName,
    Device,
    Dtype,
    LanguageModule,
    TaskModule,
    TaskName,
    example,
)
from lingport.cli.show import one_line
from lingport.config.names import is_hub_name
from lingport.errors import ConfigError, DataError

EXAMPLES = """
echo 'Bratislava is the capital of Slovakia.' | lingport predict --task ner --language en
lingport predict --task-module modules/ta-topic --language sk texts.txt --jsonl > topics.jsonl
lingport predict bundles/topic texts.txt --language sk
lingport predict user/topic texts.txt --language sk
"""
_STDIN = "-"
#: a path with one slash that ends so is a file that is missing, not a name on the hub
_TEXT_ENDINGS = {".txt", ".jsonl", ".json", ".csv", ".tsv", ".gz", ".xz", ".bz2"}


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("predict", short_help="Answer texts, line by line.", epilog=example(EXAMPLES))(predict)


def predict(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BUNDLE|INPUT|KEY=VALUE",
            help="A bundle (a folder, or user/name on the hub); a file of texts, plain or compressed, or - for "
            "standard input, which is the default; settings of the task: task.decoding=rank",
        ),
    ] = None,
    task: TaskName = None,
    task_module: TaskModule = None,
    language_module: LanguageModule = None,
    language: Annotated[str | None, typer.Option(help="Language of the texts. Default: the modules' own.")] = None,
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write input, output, answer and confidence of each as JSON.")
    ] = False,
    backbone: BackboneName = None,
    allow_other_backbone: AllowOtherBackbone = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts read and answered at once.")] = 64,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Answer texts: one text a line in, one output a line out.

    Tasks that need several fields (qa, nli), and files that end in .jsonl, are read as JSON, one object a line,
    with the task's fields as keys. Without a task module or a bundle the bare backbone answers.
    """
    from lingport.cli import single
    from lingport.cli.answering import open_answering
    from lingport.compose.model import ComposedModel
    from lingport.evaluate import predict as room

    bundle, source, overrides = _sorted_out(words or [])
    settings = single.settings_given(overrides)
    if unknown := sorted(set(settings) - {"task"}):
        raise ConfigError(f"unknown setting {unknown[0]!r}", hint="settings of the task begin with task.")
    if source != _STDIN and not Path(source).is_file():
        raise DataError("no such file", where=source, hint="give a file of texts, or - for standard input")
    asked = open_answering(
        bundle,
        task=task,
        task_module=task_module,
        language_module=language_module,
        language=language,
        settings=settings.get("task") or {},
        backbone=backbone,
        allow_other_backbone=allow_other_backbone,
        dtype=dtype,
        device=device,
    )
    model = ComposedModel(asked.backbone)
    name = "standard input" if source == _STDIN else source
    is_json = len(asked.task.fields) > 1 or ".jsonl" in Path(source).suffixes
    lines = _standard_input() if source == _STDIN else _file(Path(source))
    size = 1 if source == _STDIN and sys.stdin.isatty() else batch_size
    for batch in _batches(lines, size):
        read = [
            (number, text, _example(text, asked.task.fields, is_json, f"{name}:{number}")) for number, text in batch
        ]
        given = [each for _, _, each in read if each is not None]
        queries = [room.Query(asked.task, each, asked.language, asked.composition) for each in given]
        answers = iter(room.predict(model, queries, max_rows=batch_size))
        for _, text, each in read:
            typer.echo(_row(text, each, next(answers) if each is not None else None, as_jsonl=as_jsonl))
        sys.stdout.flush()


def _sorted_out(words: list[str]) -> tuple[str | None, str, list[str]]:
    """Returns the bundle, if one is given, the input, and the settings."""
    rest = list(words)
    is_bundle = bool(rest) and (
        Path(rest[0]).is_dir()
        or (is_hub_name(rest[0]) and not Path(rest[0]).exists() and Path(rest[0]).suffix not in _TEXT_ENDINGS)
    )
    bundle = rest.pop(0) if is_bundle else None
    is_input = bool(rest) and ("=" not in rest[0] or Path(rest[0]).exists())
    return bundle, rest.pop(0) if is_input else _STDIN, rest


def _row(text: str, fields: dict[str, Any] | None, said: Any, *, as_jsonl: bool) -> str:
    if not as_jsonl:
        return one_line(said.text) if said else ""
    shown = {key: value for key, value in (fields or {}).items() if key not in ("id", "where")}
    row = {
        "input": shown if len(shown) > 1 else text,
        "output": said and said.text,
        "answer": said and said.answer,
        "confidence": said and round(said.confidence, 4),
    }
    return json.dumps(row, ensure_ascii=False)


def _example(text: str, fields: list[str], is_json: bool, where: str) -> dict[str, Any] | None:
    """Returns the example of a line; None for an empty line, whose output is empty."""
    if not text.strip():
        return None
    if not is_json:
        return {"id": where, "where": where, fields[0]: text.strip()}
    needed = ", ".join(f'"{name}": ...' for name in fields)
    hint = f"one JSON object a line: {{{needed}}}"
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"not valid JSON: {error.msg}", where=f"{where}:{error.colno}", hint=hint) from error
    if not isinstance(record, dict):
        raise DataError("not an object", where=where, hint=hint)
    if missing := [name for name in fields if name not in record]:
        raise DataError(f"{', '.join(missing)} missing", where=where, hint=hint)
    return {"id": where, **record, "where": where}


def _standard_input() -> Iterator[tuple[int, str]]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield number, line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            where = f"standard input:{number}:{error.start + 1}"
            raise DataError("not UTF-8", where=where, hint="convert the text, for example with iconv") from error


def _file(path: Path) -> Iterator[tuple[int, str]]:
    from lingport.data.files import each_part, open_text

    for part in each_part(path):
        with open_text(part) as lines:
            for number, line in lines:
                yield number, line.rstrip("\r\n")


def _batches(lines: Iterable[tuple[int, str]], size: int) -> Iterator[list[tuple[int, str]]]:
    batch = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
