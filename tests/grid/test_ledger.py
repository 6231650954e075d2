"""The records of a run: appended by any number of processes, the last row counts, a torn line is survived."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lingport.errors import DataError
from lingport.grid.ledger import JOBS, Ledger, Tail


def test_the_last_row_of_a_job_counts(tmp_path):
    ledger = Ledger(tmp_path / "run")
    assert ledger.jobs() == {} and ledger.results() == {}
    ledger.add_jobs({"job": "a", "status": "failed"})
    ledger.add_jobs({"job": "b", "status": "done"})
    ledger.add_jobs({"job": "a", "status": "done"})
    assert {key: row["status"] for key, row in ledger.jobs().items()} == {"a": "done", "b": "done"}
    assert len((tmp_path / "run" / "jobs.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("keep", range(1, 30, 4))
def test_a_torn_last_line_is_as_if_it_were_not_there(tmp_path, keep):
    ledger = Ledger(tmp_path)
    ledger.add_results({"cell": "a", "text": "ležať"})
    whole = (tmp_path / "results.jsonl").read_bytes()
    torn = json.dumps({"cell": "b", "text": "šššššššššššš"}, ensure_ascii=False).encode()[:keep]
    (tmp_path / "results.jsonl").write_bytes(whole + torn)
    assert set(ledger.results()) == {"a"}
    ledger.add_results({"cell": "c"})
    assert set(ledger.results()) == {"a", "c"}
    assert (tmp_path / "results.jsonl").read_bytes() == whole + b'{"cell": "c"}\n'


def test_a_line_torn_within_a_letter(tmp_path):
    (tmp_path / "results.jsonl").write_bytes(b'{"cell": "a"}\n{"cell": "\xc5')
    assert set(Ledger(tmp_path).results()) == {"a"}


def test_a_broken_line_in_the_middle_is_not_guessed_at(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"cell": "a"}\n{"cel\n{"cell": "b"}\n')
    with pytest.raises(DataError, match="not valid JSON") as caught:
        Ledger(tmp_path).results()
    assert caught.value.where == f"{tmp_path / 'results.jsonl'}:2"


def test_a_file_that_is_torn_from_its_first_line(tmp_path):
    (tmp_path / "jobs.jsonl").write_bytes(b'{"job')
    ledger = Ledger(tmp_path)
    assert ledger.jobs() == {}
    ledger.add_jobs({"job": "a"})
    assert set(ledger.jobs()) == {"a"}


def test_metrics_are_taken_back_to_a_step(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.restart_metrics("m", after_step=3)
    for step in range(1, 6):
        ledger.add_metric("m", {"event": "train", "step": step})
    ledger.restart_metrics("m", after_step=3)
    rows = [json.loads(line) for line in (tmp_path / "metrics" / "m.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]


def test_predictions_are_replaced_whole(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.write_predictions("c", [{"id": "1", "output": "čaj"}, {"id": "2"}])
    ledger.write_predictions("c", [{"id": "1", "output": "čaj"}])
    assert (tmp_path / "predictions" / "c.jsonl").read_text(encoding="utf-8") == '{"id": "1", "output": "čaj"}\n'
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["c.jsonl"]


def test_a_tail_gives_whole_new_lines_once(tmp_path):
    ledger, tail = Ledger(tmp_path), Tail(tmp_path / JOBS)
    assert tail.rows() == []
    ledger.add_jobs({"job": "a"}, {"job": "b"})
    assert [row["job"] for row in tail.rows()] == ["a", "b"]
    with (tmp_path / JOBS).open("ab") as stream:
        stream.write(b'{"job": "to')  # being written, or never to be finished
    assert tail.rows() == []
    ledger.add_jobs({"job": "c"})
    assert [row["job"] for row in tail.rows()] == ["c"]
    assert tail.rows() == []


_WRITER = """
import sys
from pathlib import Path
from lingport.grid.ledger import JOBS, Ledger, Tail
ledger, name = Ledger(Path(sys.argv[1])), sys.argv[2]
for number in range(int(sys.argv[3])):
    ledger.add_jobs({"job": f"{name}{number}", "text": name * 5000})
    print(number, flush=True)
"""


def test_processes_append_side_by_side_and_one_is_killed(tmp_path):
    def start(name, number):
        command = [sys.executable, "-c", _WRITER, str(tmp_path), name, str(number)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    steady, killed = start("a", 40), start("b", 100_000)
    with steady, killed:
        assert killed.stdout is not None and steady.stdout is not None
        for line in killed.stdout:
            if line == "20\n":
                killed.kill()
        steady.communicate()
    Ledger(tmp_path).add_jobs({"job": "last", "text": ""})
    rows = [json.loads(line) for line in (tmp_path / JOBS).read_text().splitlines()]
    names = [row["job"] for row in rows]
    assert [name for name in names if name.startswith("a")] == [f"a{number}" for number in range(40)]
    of_killed = [name for name in names if name.startswith("b")]
    assert of_killed == [f"b{number}" for number in range(len(of_killed))] and len(of_killed) > 20
    assert names[-1] == "last" and all(len(row["text"]) in (0, 5000) for row in rows)
