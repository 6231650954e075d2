"""How single jobs are done: who shares a training pass, and where the numbers of training go besides."""

from __future__ import annotations

import pytest

from lingport.grid.board import Board
from lingport.grid.ledger import Ledger
from lingport.grid.plan import make_plan
from lingport.grid.presence import Presence
from lingport.grid.work import trains_alone
from lingport.grid.worker import load_backbone
from lingport.train import trackers
from tests.grid_runs import recipe, run, write_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("data")
    write_data(made)
    return made


@pytest.mark.parametrize(
    ("kind", "dropout", "together"),
    [("adapter", 0.0, 3), ("adapter", 0.1, 1), ("adapter", None, 3), ("full", 0.0, 1)],
)
def test_only_what_can_share_a_pass_is_taken_together(kind, dropout, together, folder, tmp_path):
    # None: the backbone's own, which is 0 here.
    plain = recipe(folder).task_training
    training = plain.model_dump() | {kind: {**getattr(plain, kind).model_dump(), "backbone_dropout": dropout}}
    configuration = {"adapter": "ta", "full": "full"}[kind]
    asked = recipe(folder, configurations=[configuration], seeds=[1, 2, 3], task_training=training, learners_at_once=3)
    backbone = load_backbone(asked)
    plan, ledger = make_plan(asked, fingerprint=backbone.fingerprint), Ledger(tmp_path)
    board = Board(plan, ledger, done=set(), since=0, learners_at_once=3, alone=trains_alone(backbone))
    with Presence(ledger, "one") as presence:
        assert len(board.take(presence)) == together


def test_a_tracker_gets_the_numbers_of_every_training(folder, tmp_path, monkeypatch):
    told = []

    class Remembering(trackers.Tracker):
        library = "json"

        def __init__(self, run, step):
            assert (run.project, run.folder) == ("tiny", tmp_path)
            assert run.settings["batch_size"] == 2
            self.name = run.name

        def log(self, step, values):
            told.append((self.name, step, sorted(values)))

        def close(self):
            told.append((self.name, "closed"))

    monkeypatch.setitem(trackers.TRACKERS._targets, "tensorboard", Remembering)
    run(folder, tmp_path, configurations=["lp+ta"], policies=["source"], trackers=["tensorboard"])
    assert [each[1] for each in told if each[0] == "lp-en-s1"] == [1, 2, 3, 3, "closed"]
    assert [each[1] for each in told if each[0].startswith("lp+ta")] == [1, 2, 2, 3, 4, 4, "closed"]
    assert ("lp-en-s1", 1, ["train/learning_rate", "train/loss"]) in told
    assert any(values == ["validation/loss"] for name, _, *rest in told for values in rest)
