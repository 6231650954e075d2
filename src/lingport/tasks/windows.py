"""Inputs longer than the model may read: strided windows over the context, or a plain cut at the end.

Which window's answer counts is decided where answers are scored, not here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lingport.errors import DataError
from lingport.tasks.base import Example, Rendered, Task

_NUM_END_TOKENS = 1
# transformers otherwise warns of a text longer than the model may read: finding that out is the point here.
_QUIET = {"verbose": False}


@dataclass(frozen=True)
class Window(Rendered):
    """A rendered example, or one of several windows on it.

    Args:
        group: The example's id: windows of one example share it.
        index: Which of the windows, from 0.
        start: First character of the context that is in this window.
        stop: Character after the last one.
        has_answer: Whether the first gold answer lies in it whole; None where there is none, or nobody asked.
        cut: Whether text of the example is missing from all of its windows (overflow truncate).
    """

    group: str = ""
    index: int = 0
    start: int = 0
    stop: int = 0
    has_answer: bool | None = None
    cut: bool = False


def fit(
    task: Task[Any, Any],
    example: Example,
    language: str,
    tokenizer: Any,
    *,
    max_input_tokens: int | None = None,
    with_target: bool = True,
) -> list[Window]:
    """Returns what the model reads of an example, by the task's `overflow`: one piece, or several windows.

    Args:
        task: The task.
        example: The example.
        language: Code of the language whose wording is used.
        tokenizer: The backbone's.
        max_input_tokens: End of sequence included; None: the task's own.
        with_target: False for examples without a gold answer.

    Raises:
        DataError: A field is missing, or the wording leaves no room for the context.
    """
    limit = max_input_tokens or task.max_input_tokens
    return _OVERFLOW[task.overflow](task, example, language, tokenizer, limit, with_target)


def windows(
    task: Task[Any, Any],
    example: Example,
    language: str,
    tokenizer: Any,
    *,
    max_input_tokens: int,
    stride_tokens: int,
    with_target: bool = True,
) -> list[Window]:
    """Returns the windows on an example, each with the whole wording and a piece of the context.

    The context is cut between tokens, every character of it is in a window, and neighbours share
    `stride_tokens` tokens, though never more than half of a window. An example that fits is one window.

    Args:
        task: A task whose form has a context (`window_field`).
        example: The example.
        language: Code of the language whose wording is used.
        tokenizer: A fast tokenizer.
        max_input_tokens: Longest input, end of sequence included.
        stride_tokens: How many tokens of context neighbours share.
        with_target: False for examples without a gold answer.

    Raises:
        DataError: The wording without the context is too long already.
    """
    name = task.window_field
    if name is None:
        raise ValueError(f"the form {task.form} has no windows")
    rendered = task.render(example, language, with_target=with_target)
    context = task.field_text(example, name)
    where = _answer_place(example, rendered.target, context) if with_target else None
    group = str(example.get("id", ""))

    def piece(index: int, start: int, stop: int) -> Window:
        text = task.input_text({**example, name: context[start:stop]}, language)
        has_answer = None if where is None else any(start <= a and b <= stop for a, b in where)
        return Window(text, rendered.target, group, index, start, stop, has_answer)

    if _num_tokens(rendered.input, tokenizer) <= max_input_tokens:
        return [piece(0, 0, len(context))]
    bare = _num_tokens(task.input_text({**example, name: ""}, language), tokenizer)
    room = max_input_tokens - bare
    cuts, weights = _cuts(context, tokenizer)
    no_room = DataError(
        f"the wording without the {name} takes {bare} of {max_input_tokens} tokens: no room is left",
        where=str(example.get("where", group)),
        hint="raise max_input_tokens, or leave this example out",
    )
    if room < 1 or not weights:
        raise no_room

    def longest(first: int) -> tuple[int, Window]:
        stop = _take(weights, first, room)
        while True:
            window = piece(len(found), cuts[first], cuts[stop])
            excess = _num_tokens(window.input, tokenizer) - max_input_tokens
            if excess <= 0 or stop == first:
                return stop, window
            # A piece need not have the tokens it has within the whole text, so it is measured and shortened.
            stop = min(stop - 1, _take(weights, first, sum(weights[first:stop]) - excess))

    found: list[Window] = []
    first = stop = 0
    while stop < len(weights):
        previous = stop
        first = _step_back(weights, first, stop, stride_tokens)
        stop, window = longest(first)
        while stop <= previous and first < previous:  # what follows is too long to share so much
            first += 1
            stop, window = longest(first)
        if stop <= previous:
            raise no_room
        found.append(window)
    return found


def training_windows(found: list[Window]) -> list[Window]:
    """Returns the windows to train on: those that hold the answer; all of them if the question has none.

    A single window is kept whatever it holds. The list is empty where no window holds the answer (it is not
    in the text word for word, or longer than a window); whoever drops such an example counts it.
    """
    if len(found) == 1:
        return found
    return [window for window in found if window.has_answer is not False]


def truncate(rendered: Rendered, tokenizer: Any, *, max_input_tokens: int) -> tuple[Rendered, bool]:
    """Returns the example with the end of its input cut off where it is too long, and whether it was.

    Args:
        rendered: What is to be shortened; the target stays whole.
        tokenizer: A fast tokenizer.
        max_input_tokens: Longest input, end of sequence included.
    """
    text = rendered.input
    if _num_tokens(text, tokenizer) <= max_input_tokens:
        return rendered, False
    cuts, weights = _cuts(text, tokenizer)
    stop = _take(weights, 0, max_input_tokens - _NUM_END_TOKENS)
    while stop > 0 and _num_tokens(text[: cuts[stop]], tokenizer) > max_input_tokens:
        stop -= 1
    return Rendered(text[: cuts[stop]], rendered.target), True


def _by_windows(
    task: Task[Any, Any], example: Example, language: str, tokenizer: Any, limit: int, with_target: bool
) -> list[Window]:
    return windows(
        task,
        example,
        language,
        tokenizer,
        max_input_tokens=limit,
        stride_tokens=task.config.stride_tokens,
        with_target=with_target,
    )


def _by_truncation(
    task: Task[Any, Any], example: Example, language: str, tokenizer: Any, limit: int, with_target: bool
) -> list[Window]:
    rendered = task.render(example, language, with_target=with_target)
    rendered, cut = truncate(rendered, tokenizer, max_input_tokens=limit)
    return [Window(rendered.input, rendered.target, group=str(example.get("id", "")), cut=cut)]


_OVERFLOW: dict[str, Callable[..., list[Window]]] = {"windows": _by_windows, "truncate": _by_truncation}


def _num_tokens(text: str, tokenizer: Any) -> int:
    return len(tokenizer(text, add_special_tokens=False, **_QUIET).input_ids) + _NUM_END_TOKENS


def _cuts(text: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Returns where the text may be cut (both ends included), and how many tokens lie between two cuts.

    Several tokens may share a character (bytes of one letter): no cut there.
    """
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False, **_QUIET)
    if "offset_mapping" not in encoded:  # ByT5's gives none: a character is its bytes, wherever it stands
        lengths = [len(tokenizer(character, add_special_tokens=False).input_ids) for character in text]
        return list(range(len(text) + 1)), lengths
    offsets = encoded["offset_mapping"]
    cuts, weights = [0], []
    for start, _ in offsets:
        if not weights:
            weights.append(1)
        elif start > cuts[-1]:
            cuts.append(start)
            weights.append(1)
        else:
            weights[-1] += 1
    if weights:
        cuts.append(len(text))
    return cuts, weights


def _take(weights: list[int], first: int, room: int) -> int:
    """Returns the end of the longest run of units from `first` on whose tokens fit into the room."""
    stop = first
    while stop < len(weights) and weights[stop] <= room:
        room -= weights[stop]
        stop += 1
    return stop


def _step_back(weights: list[int], first: int, stop: int, stride: int) -> int:
    """Returns where the next window starts: the stride before this one's end, at most half of it."""
    shared = min(stride, sum(weights[first:stop]) // 2)
    start = stop
    while start > first and weights[start - 1] <= shared:
        shared -= weights[start - 1]
        start -= 1
    return start


def _answer_place(example: Example, answer: str, context: str) -> list[tuple[int, int]] | None:
    """Returns the places (start, stop) of the answer in the context; None where there is none to look for."""
    if not answer:
        return None
    starts = list(example.get("answer_starts") or ())[:1]
    if starts and context[starts[0] : starts[0] + len(answer)] == answer:
        return [(starts[0], starts[0] + len(answer))]
    places, start = [], context.find(answer)
    while start >= 0:
        places.append((start, start + len(answer)))
        start = context.find(answer, start + 1)
    return places
