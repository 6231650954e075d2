"""Modules made of modules: copies, weighted sums, and task vectors added or taken away. Nothing is trained here.

Averaging language adapters: Klimaszewski et al. 2024 (arXiv 2404.15737, language arithmetic); task vectors:
Ilharco et al. 2023 (arXiv 2212.04089, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lingport.errors import ModuleError, WrongBackboneError
from lingport.modules.ancestry import reference
from lingport.modules.base import TransferModule


@dataclass(frozen=True)
class Term:
    """`weight * (module - minus)` in a sum of modules.

    Attributes:
        module: A module; it is not changed.
        weight: Its factor; may be negative.
        minus: The module that it began as: the term is then its task vector. None: the module itself.
        name: What it is called in the ancestry.
    """

    module: TransferModule
    weight: float = 1.0
    minus: TransferModule | None = None
    name: str = ""


def copied(module: TransferModule) -> TransferModule:
    """Returns a new module with the same settings, tensors and backbone, and no history yet."""
    tensors = module.state_dict()
    made = type(module).empty(module.settings, tensors)
    made.load_state_dict(tensors)
    made.provenance = module.provenance.backbone_alone()
    return made.to(next(module.parameters()).device).requires_grad_(False)


def merged(terms: Sequence[Term], *, base: TransferModule | None = None) -> TransferModule:
    """Returns `base + sum(weight * (module - minus))`, an ordinary module that names its ancestors.

    Args:
        terms: At least one.
        base: What the sum is added to. None: nothing.

    Raises:
        ModuleError: There are no terms, or the modules are not of the same kind and shape.
        WrongBackboneError: They were trained on different backbones.
    """
    if not terms:
        raise ModuleError("nothing to merge", hint="give at least one module")
    first = base or terms[0].module
    for term in terms:
        for module in filter(None, (term.module, term.minus)):
            _check_alike(first, module, name=term.name)
    total = {name: value.detach().double() for name, value in base.named_parameters()} if base is not None else {}
    for term in terms:
        begin = dict(term.minus.named_parameters()) if term.minus is not None else {}
        for name, value in term.module.named_parameters():
            # In float64, so that the mean of equal modules is that module.
            change = value.detach().double() - (begin[name].detach().double() if begin else 0.0)
            total[name] = total[name] + term.weight * change if name in total else term.weight * change
    made = copied(first)
    _put(made, total)
    made.provenance.ancestors = [
        {
            **reference(term.module, name=term.name),
            "factor": term.weight,
            "part": "module" if term.minus is None else "task vector",
        }
        for term in terms
    ]
    return made


def _put(module: TransferModule, values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(values[name])


def _check_alike(first: TransferModule, other: TransferModule, *, name: str) -> None:
    where = name or None
    if type(first) is not type(other):
        raise ModuleError(f"a module of kind {other.kind!r} cannot be merged with one of {first.kind!r}", where=where)
    shapes, theirs = (
        {key: tuple(value.shape) for key, value in module.state_dict().items()} for module in (first, other)
    )
    if shapes != theirs:
        differing = next(key for key in sorted({*shapes, *theirs}) if shapes.get(key) != theirs.get(key))
        raise ModuleError(
            f"{differing!r} has the shape {theirs.get(differing)}, not {shapes.get(differing)}",
            where=where,
            hint="modules that are merged have the same settings of size",
        )
    if other.provenance.backbone_fingerprint != first.provenance.backbone_fingerprint:
        raise WrongBackboneError(
            f"trained on {other.provenance.backbone!r}, the others on {first.provenance.backbone!r}", where=where
        )
    for key, value in first.named_buffers():
        if not torch.equal(value, dict(other.named_buffers())[key]):
            raise ModuleError(f"{key!r}, which is not trained, differs: it cannot be summed", where=where)
