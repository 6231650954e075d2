"""Family trees: a module that travels alone tells all generations."""

from __future__ import annotations

from lingport.modules.ancestry import above, family, reference
from lingport.modules.merge import Term, merged
from lingport.modules.store import load_module, read_manifest, save_module, weights_hash
from tests.tiny import module, shared


def language(code: str, seed: int):
    made = module("prompt", shared("mt5"), seed=seed)
    made.provenance.role, made.provenance.language = "language", code
    return made


def test_all_generations_are_told_by_the_last_one_alone(tmp_path):
    german, czech = language("de", 1), language("cs", 2)
    czech.provenance.origin = {"repository": "someone/lp-cs", "commit": "c" * 40}
    slovak = merged([Term(german, 0.25, name="lp-de"), Term(czech, 0.75, name="lp-cs")])
    slovak.provenance.role, slovak.provenance.language = "language", "sk"
    task = module("adapter", shared("mt5"))
    task.provenance.role, task.provenance.task = "task", "ner"
    task.provenance.above = above({"lp-sk": slovak})
    save_module(task, tmp_path / "ta")
    assert load_module(tmp_path / "ta", shared("mt5")).provenance == task.provenance

    manifest = read_manifest(tmp_path / "ta")
    tree = family({**manifest["provenance"], "kind": manifest["kind"]}, name="ta")
    lines = [(depth, each.relation, each.name) for depth, each in tree.walk()]
    assert lines == [
        (0, "", "ta"),
        (1, "trained above the language module", "lp-sk"),
        (2, "0.25 x module of", "lp-de"),
        (2, "0.75 x module of", "lp-cs"),
    ]
    (below,) = tree.parents
    assert below.facts["weights"] == weights_hash(slovak)
    assert below.parents[1].facts["origin"]["commit"] == "c" * 40
    assert tree.plain()["parents"][0]["parents"][0]["language"] == "de"


def test_what_a_module_was_trained_above():
    first, second = language("de", 1), language("en", 2)
    assert above({}) is None
    assert above({"lp-de": first}) == reference(first, name="lp-de")
    both = above({"lp-de": first, "lp-en": second})
    assert both is not None
    assert both["name"] == "lp-de+lp-en"
    tree = family({"above": both}, name="ta")
    assert [each.name for each in tree.parents] == ["lp-de", "lp-en"]


def test_where_a_module_started_and_older_records():
    started = merged([Term(language("de", 1), name="lp-de")])
    (parent,) = family({"ancestors": started.provenance.ancestors}, name="lp-sk").parents
    assert (parent.relation, parent.name) == ("started from", "lp-de")
    old = {"role": "task", "above": {"name": "lp-en", "weights": "ab"}}  # as written before kinds were recorded
    (parent,) = family(old, name="ta").parents
    assert parent.facts == {"weights": "ab"}
    assert family({}, name="alone").parents == []
