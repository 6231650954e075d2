"""Progress: the remaining time, and what is shown with and without a terminal."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from lingport.cli.progress import Progress, Remaining, RunReporter, clock_time


@dataclass
class Job:
    """Looks like a training job of the grid."""

    id: str
    phase: str = "language"
    steps: int = 10
    training: Any = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.id
        self.training = SimpleNamespace(steps=self.steps, batch_size=1)


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(*, terminal: bool) -> tuple[Progress, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    return Progress(Console(file=out, force_terminal=terminal, width=100, markup=False), clock=clock), out, clock


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75.4, "1:15"), (3661, "1:01:01")])
def test_clock_time(seconds, text):
    assert clock_time(seconds) == text


def test_remaining_time_counts_work_not_jobs():
    jobs: Any = [Job("a", steps=10), Job("b", steps=30), Job("c", phase="task", steps=20)]
    remaining = Remaining(jobs)
    assert remaining.seconds({}, elapsed=0.0) is None
    remaining.ended(jobs[0], 5.0)  # half a second a row
    assert remaining.seconds({}, elapsed=0.0) == pytest.approx(15 + 10)
    remaining.ended(jobs[1], 30.0)  # 35 s for 40 rows
    assert remaining.seconds({}, elapsed=0.0) == pytest.approx(20 * 35 / 40)
    assert remaining.seconds({"c": 0.5}, elapsed=10.0) == pytest.approx(10.0)  # its own phase counts
    remaining.ended(jobs[2], 0.0)
    assert remaining.seconds({}, elapsed=0.0) == 0.0


def test_without_a_terminal_lines_are_seldom():
    progress, out, clock = opened(terminal=False)
    with progress:
        for step in range(1, 101):
            clock.now += 0.2
            progress.step("lp-sk", step, 100, "loss 2.000")
    lines = out.getvalue().splitlines()
    assert len(lines) == 3  # every five of twenty seconds, the last not reached
    assert lines[0] == "lp-sk 25/100, loss 2.000, about 0:14 left"


def test_a_run_tells_one_line_per_job():
    progress, out, _ = opened(terminal=False)
    jobs: Any = [Job("a"), Job("b[1]")]
    with progress:
        reporter = RunReporter(progress)
        reporter.expect(jobs)
        reporter.plan(3, 1)
        reporter.started(jobs[0])
        reporter.progress(jobs[0], 5, 10, "loss 1.000")
        record = {"status": "done", "seconds": 2.0, "initial": {"validation_loss": 3.0}}
        reporter.ended(jobs[0], {**record, "final": {"validation_loss": 2.5}})
        reporter.ended(jobs[1], {"status": "blocked", "error": "a\nfailed"})
    assert out.getvalue().splitlines() == [
        "3 jobs, 1 of them done before",
        "[2/3] done     2.0 s  a  validation loss 2.500, before 3.000",
        "[3/3] BLOCKED            b[1]  a failed",
    ]


def test_in_a_terminal_bars_are_drawn():
    progress, out, clock = opened(terminal=True)
    job: Any = Job("lp-sk[1]")
    with progress:
        reporter = RunReporter(progress)
        reporter.expect([job])
        reporter.plan(1, 0)
        reporter.started(job)
        clock.now = 5.0
        reporter.progress(job, 5, 10, "loss 1.000")
    assert "lp-sk[1] 5/10, loss 1.000" in out.getvalue()
    assert "0/1 jobs, about 0:05 left" in out.getvalue()


def test_an_evaluated_cell_shows_its_main_score():
    progress, out, _ = opened(terminal=False)
    job: Any = Job("cell", phase="evaluate")
    with progress:
        reporter = RunReporter(progress)
        reporter.plan(1, 0)
        reporter.ended(job, {"status": "done", "seconds": 0.5, "score": {"exact_match": 0.25}})
    assert out.getvalue().splitlines()[-1] == "[1/1] done     0.5 s  cell  exact match 0.250"


def test_jobs_done_side_by_side_take_less_time():
    jobs: Any = [Job(name) for name in "abcdefgh"]
    remaining = Remaining(jobs)
    for job in jobs[:4]:
        remaining.ended(job, 10.0)
    assert remaining.seconds({}, elapsed=0.0) == pytest.approx(40)
    assert remaining.seconds({}, elapsed=0.0, since_start=10.0) == pytest.approx(10)
    assert remaining.seconds({"e": 0.5}, elapsed=5.0, since_start=10.0) == pytest.approx(8.75)
    assert remaining.seconds({}, elapsed=0.0, since_start=80.0) == pytest.approx(40)  # time that was lost is no speed
