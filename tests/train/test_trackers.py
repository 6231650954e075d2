"""Trackers get the numbers of a training, under the names they are drawn by, each run by itself."""

from __future__ import annotations

import sys
import typing
from types import ModuleType

import pytest

from lingport.config.schema import Recipe
from lingport.errors import ConfigError
from lingport.train.trackers import TRACKERS, TrackedRun, check_trackers, numbers, tracked

EVENTS = [
    {"event": "train", "step": 1, "loss": 2.0, "learning_rate": 0.5},
    {"event": "train", "step": 2, "loss": 1.5, "learning_rate": 0.25},
    {"event": "evaluate", "step": 2, "scores": {"validation_loss": 1.75, "f1": 0.625, "score": 0.625}},
]


def runs(folder):
    return [TrackedRun(name, f"id-{name}", folder, "demo", {"steps": 2}) for name in ("one", "two")]


def tell_all(name, folder, *, events=EVENTS):
    """Two runs side by side; the second has only the first event."""
    with tracked([name], runs(folder)) as listen:
        listen("two", events[0])
        for event in events:
            listen("one", event)


def test_what_is_drawn():
    assert numbers(EVENTS[1]) == {"train/loss": 1.5, "train/learning_rate": 0.25}
    assert numbers(EVENTS[2]) == {"validation/loss": 1.75, "validation/f1": 0.625, "validation/score": 0.625}
    assert numbers({"event": "resume", "step": 2}) == {}


def test_off_by_default(tmp_path):
    assert Recipe.model_fields["trackers"].default == []
    with tracked([], runs(tmp_path)) as listen:
        listen("one", EVENTS[0])
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_may_name_every_tracker():
    (literal,) = typing.get_args(Recipe.model_fields["trackers"].annotation)
    assert sorted(typing.get_args(literal)) == list(TRACKERS)


@pytest.mark.parametrize("name", list(TRACKERS))
def test_a_library_that_is_not_there_is_named_with_its_extra(name, monkeypatch):
    package = {"tensorboard": "tensorboard"}.get(name, name)
    for loaded in [each for each in sys.modules if each.partition(".")[0] == package or "utils.tensorboard" in each]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=f"the tracker needs {package}") as caught:
        check_trackers([name])
    assert "lingport[tracking]" in (caught.value.hint or "")


def scalars(folder):
    """Tag -> (step, value) of an event folder, as TensorBoard reads it."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = reading.EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(each.step, each.value) for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboard", reason="needs pip install tensorboard")
    tell_all("tensorboard", tmp_path)
    one = scalars(tmp_path / "tensorboard" / "one")
    assert one["train/loss"] == [(1, 2.0), (2, 1.5)]
    assert one["train/learning_rate"] == [(1, 0.5), (2, 0.25)]
    assert one["validation/f1"] == [(2, 0.625)]
    assert scalars(tmp_path / "tensorboard" / "two")["train/loss"] == [(1, 2.0)]


def test_tensorboard_forgets_the_steps_that_a_resumed_run_makes_again(tmp_path):
    pytest.importorskip("tensorboard", reason="needs pip install tensorboard")
    tell_all("tensorboard", tmp_path)
    tell_all("tensorboard", tmp_path, events=[{"event": "train", "step": 2, "loss": 9.0, "learning_rate": 0.1}])
    assert scalars(tmp_path / "tensorboard" / "one")["train/loss"] == [(1, 2.0), (2, 9.0)]


class StandIn(ModuleType):
    """In place of wandb or trackio: remembers what it is asked."""

    def __init__(self, name):
        super().__init__(name)
        self.begun, self.logged, self.finished = [], [], []

    def Settings(self, **settings):  # noqa: N802 - as wandb calls it
        return settings

    def init(self, **options):
        self.begun.append(options)
        outer = self

        class Run:
            def log(self, values, step):
                outer.logged.append((options["name"], step, values))

            def finish(self):
                outer.finished.append(options["name"])

        return Run()


@pytest.fixture(params=["wandb", "trackio"])
def stand_in(request, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    library = StandIn(request.param)
    monkeypatch.setitem(sys.modules, request.param, library)
    return library


def test_the_others_are_called_with_the_same_numbers(stand_in, tmp_path):
    tell_all(stand_in.__name__, tmp_path)
    assert [(each["name"], each["project"], each["config"]) for each in stand_in.begun] == [
        ("two", "demo", {"steps": 2}),
        ("one", "demo", {"steps": 2}),
    ]
    assert stand_in.logged[0] == ("two", 1, {"train/loss": 2.0, "train/learning_rate": 0.5})
    assert stand_in.logged[-1] == ("one", 2, numbers(EVENTS[2]))
    assert sorted(stand_in.finished) == ["one", "two"]


def test_runs_are_closed_where_training_fails(stand_in, tmp_path):
    with pytest.raises(KeyboardInterrupt), tracked([stand_in.__name__], runs(tmp_path)) as listen:
        listen("one", EVENTS[0])
        raise KeyboardInterrupt
    assert stand_in.finished == ["one"]


def test_wandb_stays_offline_unless_told(tmp_path, monkeypatch):
    library = StandIn("wandb")
    monkeypatch.setitem(sys.modules, "wandb", library)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tell_all("wandb", tmp_path)
    monkeypatch.setenv("WANDB_MODE", "online")
    tell_all("wandb", tmp_path)
    assert [each["mode"] for each in library.begun] == ["offline"] * 2 + ["online"] * 2
    assert {each["id"] for each in library.begun} == {"id-one", "id-two"}


def test_trackio_goes_on_with_a_resumed_run(tmp_path, monkeypatch):
    library = StandIn("trackio")
    monkeypatch.setitem(sys.modules, "trackio", library)
    with tracked(["trackio"], runs(tmp_path)) as listen:
        listen("one", EVENTS[0])
        listen("two", {**EVENTS[0], "step": 7})
    assert [each["resume"] for each in library.begun] == ["never", "allow"]


def test_real_wandb_writes_an_offline_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs pip install wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tell_all("wandb", tmp_path)
    files = {file.name: file.read_bytes() for file in tmp_path.glob("wandb/offline-run-*/*.wandb")}
    assert sorted(files) == ["run-id-one.wandb", "run-id-two.wandb"]
    assert b"train/loss" in files["run-id-one.wandb"] and b"0.625" in files["run-id-one.wandb"]
    assert b"0.625" not in files["run-id-two.wandb"]


def test_real_trackio_keeps_the_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="needs pip install trackio")
    from trackio.sqlite_storage import SQLiteStorage

    tell_all("trackio", tmp_path)
    assert [row["train/loss"] for row in SQLiteStorage.get_logs("demo", "one") if "train/loss" in row] == [2.0, 1.5]
    assert [row["step"] for row in SQLiteStorage.get_logs("demo", "two")] == [1]
    assert capsys.readouterr().out == ""
