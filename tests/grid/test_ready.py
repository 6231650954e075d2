"""Which jobs can begin, as others end in any order."""

from __future__ import annotations

import random

import pytest

from lingport.grid.jobs import parents
from lingport.grid.plan import make_plan
from lingport.grid.ready import OpenJobs
from tests.grid_runs import GRID, recipe, write_data


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return make_plan(recipe(folder, **GRID), fingerprint="b").jobs


@pytest.mark.parametrize("seed", range(5))
def test_ready_is_what_has_all_its_parents_at_every_moment(jobs, seed):
    chance = random.Random(seed)
    done = {job.id for job in jobs if chance.random() < 0.3}
    waiting, failed = OpenJobs(jobs, done=done), set()
    while True:
        open_jobs = [job for job in jobs if job.id not in done | failed]
        assert list(waiting) == open_jobs and len(waiting) == len(open_jobs)
        expected = [job for job in open_jobs if all(parent.id in done for parent in parents(job))]
        assert list(waiting.ready()) == expected
        if not expected:
            break
        job = chance.choice(expected)
        is_done = chance.random() < 0.9
        (done if is_done else failed).add(job.id)
        waiting.end(job.id, is_done=is_done)
        assert job.id not in waiting


def test_what_others_did_after_all_frees_its_dependants(jobs):
    """A job that failed here may be done by another process later."""
    first = jobs[0]
    waiting = OpenJobs(jobs, done={job.id for job in jobs[1:] if not parents(job)})
    before = list(waiting.ready())
    waiting.end(first.id, is_done=False)
    assert list(waiting.ready()) == [job for job in before if job != first]
    waiting.end(first.id, is_done=True)
    assert len(list(waiting.ready())) > len(before) - 1
