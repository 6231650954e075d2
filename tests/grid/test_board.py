"""Taking jobs: each by one worker, parents first, and what happens when workers die or jobs fail."""

from __future__ import annotations

import pytest

from lingport.grid.board import MAX_LOSSES, Board, finished
from lingport.grid.jobs import parents
from lingport.grid.ledger import Ledger
from lingport.grid.plan import make_plan
from lingport.grid.presence import Presence, SupersededError
from lingport.grid.work import coordinates
from lingport.grid.worker import session_start
from tests.grid_runs import recipe, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


@pytest.fixture
def plan(data):
    """Two language modules, one task module, five cells: two each on sk and de, one of `none` on each."""
    return make_plan(recipe(data, targets=["sk", "de"], policies=["target", "source"]), fingerprint="b")


def board_of(plan, ledger, **settings):
    return Board(plan, ledger, done=finished(plan, ledger), since=session_start(ledger), **settings)


def result(job):
    return {
        **coordinates(job),
        "status": "done",
        "main_score": "accuracy",
        "scores": {"accuracy": 0.5},
        "counts": {"examples": 8},
        "num_trained": 1,
        "seconds": 1.0,
        "peak_bytes": None,
    }


def end(board, own, jobs, status="done", error=None):
    rows = [
        {"job": job.id, "phase": job.phase, "name": job.name, "status": status, "seconds": 1.0, "error": error}
        for job in jobs
    ]
    results = [result(job) for job in jobs if job.phase == "evaluate" and status == "done"]
    board.record(own, rows, results)


def names(jobs):
    return [job.name for job in jobs]


def until_over(board, own, taken):
    while not board.is_over:
        jobs = board.take(own)
        assert jobs or board.is_over
        taken += jobs
        end(board, own, jobs)


def test_parents_come_first_and_every_job_once(plan, ledger):
    board, taken = board_of(plan, ledger), []
    with Presence(ledger, "w") as own:
        until_over(board, own, taken)
    assert sorted(names(taken)) == sorted(names(plan.jobs))
    place = {job.id: index for index, job in enumerate(taken)}
    assert all(place[parent.id] < place[job.id] for job in taken for parent in parents(job))
    assert [row["name"] for row in board.news()] == names(taken)
    assert board.news() == []


def test_cells_on_the_same_data_are_taken_together(plan, ledger):
    board = board_of(plan, ledger)
    with Presence(ledger, "w") as own:
        jobs = board.take(own)
        while jobs[0].phase != "evaluate":
            end(board, own, jobs)
            jobs = board.take(own)
    assert len(jobs) == len(plan.cells)
    targets = [job.target for job in jobs]
    assert targets == sorted(targets, key=lambda target: target != targets[0])


def test_two_workers_never_have_the_same_job_and_share_them_out(plan, ledger):
    here, there = board_of(plan, ledger), board_of(plan, ledger)
    with Presence(ledger, "a") as a, Presence(ledger, "b") as b:
        first, second = here.take(a), there.take(b)
        assert len(first) == len(second) == 1 and first != second
        end(here, a, first)
        end(there, b, second)
        third, none = here.take(a), there.take(b)  # the other waits for the task module, or does `none`
        assert not set(names(third)) & set(names(none))
        while not here.is_over:
            for board, own, jobs in ((here, a, third), (there, b, none)):
                end(board, own, jobs)
            third, none = here.take(a), there.take(b)
            assert not set(names(third)) & set(names(none))
            if len(here.plan.cells) - len(ledger.results()) > 3:  # nobody takes all that is left
                assert third and none
        there.news()
        assert there.is_over
    assert len(ledger.results()) == len(plan.cells)


def test_learners_at_once_are_trained_alike(data, ledger):
    plan = make_plan(recipe(data, seeds=[1, 2, 3], configurations=["la+ta", "lp+ta"]), fingerprint="b")
    board = board_of(plan, ledger, learners_at_once=4)
    with Presence(ledger, "w") as own:
        jobs = board.take(own)
        assert len(jobs) == 4 and len({job.kind for job in jobs}) == 1
        end(board, own, jobs)
        assert len(board.take(own)) == 2


def test_a_failure_ends_what_needs_it_and_nothing_else(plan, ledger):
    board, taken = board_of(plan, ledger), []
    with Presence(ledger, "w") as own:
        jobs = board.take(own)
        while jobs[0].name != "lp-en-s1":
            end(board, own, jobs)
            jobs = board.take(own)
        end(board, own, jobs, "failed", "on purpose")
        until_over(board, own, taken)
    blocked = {row["name"]: row["error"] for row in ledger.jobs().values() if row["status"] == "blocked"}
    assert blocked["lp+ta-topic-en-s1"] == "lp-en-s1 failed"
    assert blocked["lp+ta-topic-en-de-target-s1"] == "lp+ta-topic-en-s1 failed"
    assert {job.name.split("-")[0] for job in taken if job.phase == "evaluate"} == {"none"}
    failed = {row["name"] for row in ledger.results().values() if row["status"] == "failed"}
    assert failed == {job.name for job in plan.cells if job.configuration.name == "lp+ta"}
    assert not board_of(plan, ledger).is_over  # what failed is tried again in the next session


def test_the_jobs_of_a_dead_worker_are_free_and_taken_alone(data, ledger):
    plan = make_plan(recipe(data, seeds=[1, 2, 3]), fingerprint="b")
    board, other = board_of(plan, ledger, learners_at_once=9), board_of(plan, ledger, learners_at_once=9)
    with Presence(ledger, "live") as own, Presence(ledger, "dead") as gone:
        lost, kept = board.take(gone), other.take(own)
        assert len(lost) > 1 and not set(names(lost)) & set(names(kept))
        other.free("dead")
        assert [names(other.take(own)) for _ in lost] == [[job.name] for job in lost]
        with pytest.raises(SupersededError):
            end(board, gone, lost)
    rows = [row for row in ledger.jobs().values() if row["status"] == "lost"]
    assert [row["name"] for row in rows] == names(lost) and "died" in rows[0]["error"]


def test_a_job_that_kills_every_worker_fails(plan, ledger):
    board = board_of(plan, ledger)
    victim = None
    for number in range(MAX_LOSSES):
        with Presence(ledger, f"w{number}") as own:
            (job,) = board.take(own)
            victim = victim or job
            assert job.name == victim.name
            board.free(f"w{number}")
    with Presence(ledger, "last") as own:
        assert names(board.take(own)) != [victim.name]
    row = ledger.jobs()[victim.id]
    assert row["status"] == "failed" and "too little memory" in row["error"]


def test_a_worker_that_died_between_two_records_has_done_its_cell(plan, ledger):
    board = board_of(plan, ledger)
    with Presence(ledger, "w") as own:
        jobs = board.take(own)
        while jobs[0].phase != "evaluate":
            end(board, own, jobs)
            jobs = board.take(own)
        ledger.add_results(result(jobs[0]))
        board.free("w")
    done = ledger.jobs()[jobs[0].id]
    assert (done["status"], done["score"], done["rows"]) == ("done", {"accuracy": 0.5}, 8)
    with Presence(ledger, "w2") as own:
        assert jobs[0].name not in names(board.take(own))


def test_a_cell_with_a_result_and_no_record_is_settled(plan, ledger):
    cell = plan.cells[0]
    ledger.add_results(result(cell))
    board = board_of(plan, ledger)
    board.settle()
    assert ledger.jobs()[cell.id]["status"] == "done"
    board_of(plan, ledger).settle()
    assert len((ledger.run_dir / "jobs.jsonl").read_text().splitlines()) == 1


def test_a_session_begins_before_a_torn_line(plan, ledger):
    with Presence(ledger, "w") as own:
        board = board_of(plan, ledger)
        end(board, own, board.take(own))
        with (ledger.run_dir / "jobs.jsonl").open("ab") as stream:
            stream.write(b'{"job": "tor')
        again = board_of(plan, ledger)
        jobs = again.take(own)
        end(again, own, jobs)
        assert names(jobs) == [row["name"] for row in again.news()]
