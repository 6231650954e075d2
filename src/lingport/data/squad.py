"""SQuAD JSON, versions 1 and 2: articles, paragraphs, questions, answers.

Not here: the check of answers against their context (`answers.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lingport.data.answers import answer_fields
from lingport.data.files import Part
from lingport.data.intake import Example, Intake
from lingport.data.json_records import load_json
from lingport.data.problems import shorten
from lingport.data.records import identity
from lingport.errors import nearest


def read_squad(part: Part, intake: Intake) -> Iterator[Example]:
    """Yields the questions of a SQuAD file, in its order; problems are noted with their key path.

    A question with `is_impossible: true` has no answers (`plausible_answers` are not read).
    """
    root = load_json(part)
    for article_path, article in _items(root, "data", str(part) + ": ", intake):
        for paragraph_path, paragraph in _items(article, "paragraphs", f"{article_path}.", intake):
            for path, question in _items(paragraph, "qas", f"{paragraph_path}.", intake):
                fields = _question(question, paragraph, intake, path)
                if fields is not None:
                    yield {**identity(question, path.removeprefix(f"{part}: ")), "where": path, **fields}


def _items(value: Any, key: str, path: str, intake: Intake) -> Iterator[tuple[str, Any]]:
    listed = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(listed, list):
        for index, item in enumerate(listed):
            yield f"{path}{key}[{index}]", item
        return
    if not isinstance(value, Mapping):
        message = f"expected an object with `{key}`, found {shorten(value)}"
    elif key in value:
        message = f"`{key}` is no list but {shorten(listed)}"
    else:
        message = f"`{key}` is missing; {nearest(key, value)}"
    hint = "SQuAD's layout is data[] -> paragraphs[] -> context, qas[] -> question, answers[]"
    intake.problems.add(message, where=f"{path}{key}", hint=hint)


def _question(question: Any, paragraph: Mapping[str, Any], intake: Intake, path: str) -> Example | None:
    if not isinstance(question, Mapping):
        intake.problems.add(f"expected an object with `question`, found {shorten(question)}", where=path)
        return None
    answers = question.get("answers")
    if question.get("is_impossible") is True:
        if answers:
            hint = "a question is impossible, or it has answers: correct one of them"
            intake.problems.add("is_impossible is true, yet there are answers", where=path, hint=hint)
            return None
        answers = []
    elif answers == [] and question.get("is_impossible") is False:
        intake.problems.add("is_impossible is false, yet there is no answer", where=f"{path}.answers")
        return None
    record = {"question": question.get("question"), "context": paragraph.get("context"), "answers": answers}
    return answer_fields(record, intake, path)
