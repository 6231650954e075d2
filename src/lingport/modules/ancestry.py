"""Which modules a module comes from: how one is named in another's history, and the family tree that this gives.

Each history holds those of its ancestors, so that a module that travels alone still tells all generations. Not here:
the files (`store.py`) and the arithmetic of merging (`merge.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lingport.modules.base import TransferModule
from lingport.modules.store import weights_hash

#: facts of an ancestor that its own history adds to its name, where there are any
_HISTORY = ("role", "language", "task", "origin", "above", "ancestors")


def reference(module: TransferModule, *, name: str) -> dict[str, Any]:
    """Returns how a module is named in the history of one that was trained on top of it or made from it.

    Its name, kind and hash of the weights, where its files came from (repository and commit), and its own history.
    """
    history = {key: value for key in _HISTORY if (value := getattr(module.provenance, key))}
    return {"name": name, "kind": module.kind, "weights": weights_hash(module), **history}


def above(modules: Mapping[str, TransferModule]) -> dict[str, Any] | None:
    """Returns how a task module remembers the language modules that it was trained above; None: there were none.

    One is a `reference`; several (a task module trained on several languages) are a list of them under their names
    joined with a plus.

    Args:
        modules: Name -> language module.
    """
    found = [reference(module, name=name) for name, module in modules.items()]
    if len(found) < 2:
        return found[0] if found else None
    return {"name": "+".join(modules), "weights": "+".join(each["weights"] for each in found), "modules": found}


@dataclass(frozen=True)
class Relative:
    """A module in a family tree.

    Attributes:
        name: Its name when it was used.
        facts: What else is known of it: kind, role, language, task, weights, origin.
        relation: What it is to the module above it in the tree; empty for the tree's first.
        parents: The modules that it comes from.
    """

    name: str
    facts: dict[str, Any]
    relation: str = ""
    parents: list[Relative] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Returns the tree as JSON can say it."""
        parents = {"parents": [parent.plain() for parent in self.parents]} if self.parents else {}
        relation = {"relation": self.relation} if self.relation else {}
        return {"name": self.name, **relation, **self.facts, **parents}

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Relative]]:
        """Yields every module of the tree with its generation, 0 for the first, parents below their child."""
        yield depth, self
        for parent in self.parents:
            yield from parent.walk(depth + 1)


def family(record: Mapping[str, Any], *, name: str = "", relation: str = "") -> Relative:
    """Returns the family tree of a module.

    Args:
        record: A manifest's `provenance` with its kind, or a `reference` in another's history.
        name: What the module is called; empty: as the record says.
        relation: What it is to the module that names it.
    """
    parents = [family(each, relation=_relation(each)) for each in record.get("ancestors") or ()]
    if below := record.get("above"):
        parents += [
            family(each, relation="trained above the language module") for each in below.get("modules") or [below]
        ]
    shown = ("kind", "role", "language", "task", "weights", "origin")
    facts = {key: record[key] for key in shown if record.get(key)}
    return Relative(name or str(record.get("name", "")), facts, relation, parents)


def _relation(ancestor: Mapping[str, Any]) -> str:
    factor, part = ancestor.get("factor", 1.0), ancestor.get("part", "module")
    return "started from" if (factor, part) == (1.0, "module") else f"{factor:g} x {part} of"
