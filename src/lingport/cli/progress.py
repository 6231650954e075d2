"""How far a piece of work is, and how long it will take: bars in a terminal, now and then a line elsewhere.

Written to standard error. Not here: what is worked on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lingport.cli.show import console, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

    from lingport.grid.jobs import Job

#: seconds between two lines where there is no terminal
PLAIN_EVERY_S = 5.0
#: seconds between two changes of a bar
SHOWN_EVERY_S = 0.1
#: rows of an evaluation whose size is not known before it runs, for the first guess of the remaining time
GUESSED_ROWS = 200
#: seconds before which a job's speed says nothing yet
_TOO_EARLY_S = 2.0


def clock_time(seconds: float) -> str:
    """Returns a duration as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Shows one piece of work; a `with` block opens and closes it.

    Args:
        shown_on: Where to show it; None: standard error.
        clock: Seconds; tests bring their own.
    """

    def __init__(self, shown_on: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = shown_on or console(error=True)
        self.clock = clock
        self._live: RichProgress | None = None
        self._bars: dict[str, Any] = {}
        self._last_line = clock()
        self._begun: tuple[str, float, int] | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as RichProgress

            text = TextColumn("{task.fields[text]}", markup=False)
            # Standard output is the answer's, even where both lead to the same terminal.
            self._live = RichProgress(BarColumn(24), text, console=self.console, transient=True, redirect_stdout=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        self.console.print(text, soft_wrap=True)

    def bar(self, name: str, done: float, total: float, text: str) -> None:
        """Draws a bar, in a terminal only."""
        if self._live is None:
            return
        if name not in self._bars:
            self._bars[name] = self._live.add_task("", total=total, text=text)
        self._live.update(self._bars[name], completed=done, total=total, text=text)

    def line(self, text: str) -> None:
        """Prints a line of progress where there is no terminal, at most one every few seconds."""
        if self._live is None and self.clock() - self._last_line >= PLAIN_EVERY_S:
            self._last_line = self.clock()
            self.say(text)

    def step(self, name: str, done: int, total: int, message: str = "") -> None:
        """Shows how far a single piece of work is, with the time that is left of it."""
        if self._begun is None or self._begun[0] != name:
            self._begun = (name, self.clock(), max(0, done - 1))
        _, start, first = self._begun
        made = done - first
        left = (self.clock() - start) / made * (total - done) if made > 0 else 0.0
        parts = [f"{name} {done:,}/{total:,}", message, f"about {clock_time(left)} left" if left else ""]
        text = ", ".join(part for part in parts if part)
        self.bar("one", done, total, text)
        self.line(text)


class Remaining:
    """Guesses how long a run's jobs will still take, from how fast those before them were.

    Args:
        jobs: Those that are to be done.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._waiting = {job.id: (job.phase, work_of(job)) for job in jobs}
        self._spent: dict[str, tuple[float, float]] = {}
        # Kept as sums: a run may have a hundred thousand jobs, and the guess is made for every line.
        self._left: dict[str, float] = {}
        for phase, work in self._waiting.values():
            self._left[phase] = self._left.get(phase, 0.0) + work

    def ended(self, job: Job, seconds: float) -> None:
        """A job is over; a failed one took no time that says anything."""
        phase, work = self._waiting.pop(job.id, (job.phase, 0.0))
        self._left[phase] = self._left.get(phase, 0.0) - work
        if seconds:
            before = self._spent.get(phase, (0.0, 0.0))
            self._spent[phase] = (before[0] + seconds, before[1] + work)

    def seconds(self, shares: dict[str, float], *, elapsed: float, since_start: float | None = None) -> float | None:
        """Returns the seconds that are left; None while nothing can be said.

        Args:
            shares: Job id -> share done, 0 to 1, of the jobs that run now.
            elapsed: Seconds since they began.
            since_start: Seconds since the run began: jobs that took longer together were done side by side. None:
                one after the other.
        """
        running = [(*self._waiting[job_id], share) for job_id, share in shares.items() if job_id in self._waiting]
        spent = dict(self._spent)
        for phase, work, share in running:
            if phase not in self._spent and share and elapsed >= _TOO_EARLY_S:
                before = spent.get(phase, (0.0, 0.0))
                spent[phase] = (before[0] + elapsed / len(shares), before[1] + share * work)
        total = [sum(column) for column in zip(*spent.values(), strict=True)]
        if not total or not total[1]:
            return None
        left = dict(self._left)
        for phase, work, share in running:
            left[phase] -= share * work
        rate = {phase: seconds / max(done, 1.0) for phase, (seconds, done) in spent.items()}
        usual = total[0] / max(total[1], 1.0)
        seconds = sum(work * rate.get(phase, usual) for phase, work in left.items())
        if since_start is None:
            return seconds
        together = sum(seconds for seconds, _ in self._spent.values())
        return seconds / max(1.0, together / max(since_start, _TOO_EARLY_S))


def work_of(job: Job) -> float:
    """Returns how much a job has to do, in rows of a batch."""
    training = getattr(job, "training", None)
    if training is not None:
        return float(training.steps * training.batch_size)
    task, target = getattr(job, "task", None), getattr(job, "target", None)
    source = task.source(target, "test") if task is not None and target is not None else None
    return float((source and source.limit) or GUESSED_ROWS)


class RunReporter:
    """Shows a run's jobs (the grid's `Reporter`).

    Args:
        progress: An open one.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress_shown = progress
        self.remaining = Remaining(())
        self.total = self.done = 0
        self._shares: dict[str, float] = {}
        self._started = self._begun = progress.clock()
        self._shown = float("-inf")

    def expect(self, jobs: Iterable[Job]) -> None:
        """These jobs are to be done: the remaining time is theirs."""
        self.remaining = Remaining(jobs)

    def plan(self, total: int, done: int) -> None:
        """The run has so many jobs, of which so many were done before."""
        self.total, self.done = total, done
        self.progress_shown.say(f"{total} jobs, {done} of them done before" if done else f"{total} jobs")

    def started(self, job: Job) -> None:
        """A job begins."""
        if not self._shares:
            self._begun = self.progress_shown.clock()
        self._shares[job.id] = 0.0
        self._show(job.name)

    def progress(self, job: Job, done: int, total: int, message: str) -> None:
        """A job has made so many of its steps or rows."""
        self._shares[job.id] = done / max(1, total)
        self._show(", ".join(part for part in (f"{job.name} {done:,}/{total:,}", message) if part), done, total)

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """A job has ended."""
        self._shares.pop(job.id, None)
        self.done += 1
        self.remaining.ended(job, record.get("seconds") or 0.0)
        status = record["status"] if record["status"] == "done" else record["status"].upper()
        told = _scores(record) if record["status"] == "done" else one_line(str(record["error"]))
        took = f"{record['seconds']:7.1f} s" if record.get("seconds") else " " * 9
        width = len(str(self.total))
        self.progress_shown.say(f"[{self.done:{width}}/{self.total}] {status} {took}  {job.name}  {told}".rstrip())

    def _show(self, text: str, done: int = 0, total: int = 1) -> None:
        now = self.progress_shown.clock()
        if now - self._shown < SHOWN_EVERY_S:
            return
        self._shown = now
        left = self.remaining.seconds(self._shares, elapsed=now - self._begun, since_start=now - self._started)
        about = f"about {clock_time(left)} left" if left is not None else "time left not known yet"
        share = sum(self._shares.values())
        self.progress_shown.bar("all", self.done + share, self.total, f"{self.done}/{self.total} jobs, {about}")
        self.progress_shown.bar("job", done, total, text)
        self.progress_shown.line(f"[{self.done}/{self.total}] {text}; {about}")


def _scores(record: dict[str, Any]) -> str:
    if "score" in record:  # an evaluated cell
        return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in record["score"].items())
    final, initial = record.get("final", {}), record.get("initial", {})
    name = "score" if "score" in final else "validation_loss"
    if name not in final:
        return ""
    told = f"{name.replace('_', ' ')} {final[name]:.3f}"
    return f"{told}, before {initial[name]:.3f}" if name in initial else told
