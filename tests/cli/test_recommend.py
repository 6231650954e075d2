"""`recommend`: from a run to a bundle that `predict` takes; and `report` in its formats."""

from __future__ import annotations

import json


def test_the_chosen_pair_is_a_bundle_that_predict_takes(call, recipe, tmp_path):
    call("run", recipe, "targets=[en,sk]", 'text.sk={"path": "sk.txt", "validation": 0.2}', "configurations=[lp+ta]")
    said = call("recommend", "runs/tiny", "--language", "sk", "--task", "animals", "--out", "bundle").stdout
    assert "animals in sk: lp+ta from en, seed 1" in said and "Validated on en only" in said
    answer = call("predict", "bundle", "--language", "sk", "--jsonl", stdin="a red cat\n").stdout
    assert json.loads(answer)["answer"] in ("cat", "dog")
    evidence = json.loads((tmp_path / "bundle" / "bundle.json").read_text())["evidence"]
    assert evidence["chosen"]["validated_on"] == "source" and str(tmp_path) not in json.dumps(evidence)
    again = call("recommend", "runs/tiny", "--language", "sk", "--task", "animals", "--out", "bundle", code=2)
    assert "something lies there already" in again.stderr


def test_a_report_is_printed_in_a_format(call, recipe, tmp_path):
    call("run", recipe, "configurations=[ta]")
    (tmp_path / "animals.yaml").unlink()
    assert r"\begin{tabular}" in call("report", "runs/tiny", "--format", "latex").stdout
    assert call("report", "runs/tiny", "--format", "csv").stdout.startswith("task,source,shots,settings,")
    answer = json.loads(call("report", "runs/tiny", "--json").stdout)
    assert answer["tables"][0]["columns"][0] == "configuration" and answer["report"]["latex"].endswith("tables.tex")
    # The run itself knows its tasks, so that scores have intervals.
    assert answer["tables"][0]["rows"][0]["cells"][0]["low"] is not None
