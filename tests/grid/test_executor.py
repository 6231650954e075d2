"""Keeping workers at a run: the dead are replaced, but not for ever; those that cannot work are let go."""

from __future__ import annotations

import pytest

from lingport.errors import ConfigError, UnknownNameError
from lingport.grid import executor as room
from lingport.grid.board import Board
from lingport.grid.executor import WorkerDiedError, keep_working, make_executor
from lingport.grid.follow import Follower, Silent
from lingport.grid.ledger import Ledger
from lingport.grid.plan import make_plan
from lingport.grid.presence import Presence
from tests.grid.test_board import end
from tests.grid_runs import recipe, write_data

WORKS, DIES, REFUSES = "works", "dies", "refuses"


class Scripted:
    """Workers that do one job at each look and then die, or go on, or never begin."""

    def __init__(self, make_board, *ways):
        self.make_board = make_board
        self.ways = list(ways)
        self.at_work = {}
        self.num_started = 0
        self.closed = False

    def open(self, assignment):
        return 2

    def start(self, place):
        way = self.ways.pop(0) if self.ways else WORKS
        self.num_started += 1
        name = f"w{self.num_started}"
        presence = Presence(self.make_board().ledger, name)
        presence.__enter__()
        self.at_work[place] = (way, self.make_board(), presence)
        return name

    def has_ended(self, place):
        way, board, presence = self.at_work[place]
        if way == REFUSES:
            presence.__exit__()
            raise ConfigError("it has other data")
        jobs = board.take(presence)
        if way == DIES:
            raise WorkerDiedError("it died")
        if jobs:
            end(board, presence, jobs)
        if board.is_over:
            presence.__exit__()
        return board.is_over

    def close(self):
        self.closed = True
        for _, _, presence in self.at_work.values():
            presence._over.set()


@pytest.fixture
def make_board(tmp_path):
    write_data(tmp_path / "data")
    plan = make_plan(recipe(tmp_path / "data", seeds=[1, 2]), fingerprint="b")
    return lambda: Board(plan, Ledger(tmp_path / "run"), done=set(), since=0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(room, "_LOOK_S", 0.001)


def keep(executor, board):
    follower = Follower(board, Silent())
    keep_working(executor, None, board, follower)
    return follower.summary


def test_all_is_done_though_workers_die(make_board):
    executor, board = Scripted(make_board, DIES, WORKS, DIES, DIES), make_board()
    summary = keep(executor, board)
    assert board.is_over and executor.closed and summary.failed == {}
    assert summary.num_done == len(board.plan.jobs)
    assert executor.num_started == 5


def test_workers_that_only_die_are_not_replaced_for_ever(make_board):
    executor, board = Scripted(make_board, *[DIES] * 100), make_board()
    with pytest.raises(WorkerDiedError):
        keep(executor, board)
    assert executor.closed and executor.num_started < 5 * len(board.plan.jobs)


def test_one_that_cannot_work_is_let_go_and_the_others_go_on(make_board, caplog):
    executor, board = Scripted(make_board, REFUSES, WORKS), make_board()
    assert keep(executor, board).num_done == len(board.plan.jobs)
    assert executor.num_started == 2 and "the worker w1 stops: it has other data" in caplog.text


def test_where_none_can_work_the_reason_is_told(make_board):
    executor, board = Scripted(make_board, REFUSES, REFUSES), make_board()
    with pytest.raises(ConfigError, match="other data"):
        keep(executor, board)
    assert executor.closed


def test_an_unknown_executor():
    with pytest.raises(UnknownNameError) as caught:
        make_executor("rey:auto")
    assert "did you mean 'ray'" in str(caught.value)
