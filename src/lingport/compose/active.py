"""Which modules act on which rows of a batch, worked out once per composition and applied at the sites.

Rows with prompts of different lengths are laid out `[prompts][text][padding]`: relative positions are then those
of the row alone. Shapes: B rows, S source tokens, P virtual tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lingport.backbones.base import Backbone
from lingport.compose.composition import Composition
from lingport.errors import CompositionError, WrongBackboneError
from lingport.modules.base import InputBinding, OutputBinding, PrefixBinding, TransferModule, WeightBinding

_ENCODER_INPUT = ""  # no submodule has this path


@dataclass(frozen=True)
class _Bound:
    """A composition's bindings, sorted by what they act on."""

    prefixes: tuple[PrefixBinding, ...]
    fusion: str
    weights: WeightBinding | None

    @property
    def prefix_length(self) -> int:
        lengths = [prefix.length for prefix in self.prefixes]
        return (max(lengths, default=0)) if self.fusion == "mean" else sum(lengths)

    def prefix_rows(self) -> Tensor | None:
        rows = [prefix.rows() for prefix in self.prefixes]
        if not rows:
            return None
        if self.fusion == "mean":
            return torch.stack(rows).mean(0)
        return torch.cat(rows)


class Active:
    """The modules acting on a batch.

    Args:
        backbone: What they act in.
        compositions: One for all rows, or one per row.
        per_row: Whether `compositions` has one entry per row.
    """

    def __init__(self, backbone: Backbone, compositions: Sequence[Composition], *, per_row: bool) -> None:
        self.per_row = per_row
        self._distinct: list[Composition] = []
        self._row_of: list[int] = []
        for composition in compositions:
            index = next((i for i, known in enumerate(self._distinct) if known == composition), len(self._distinct))
            if index == len(self._distinct):
                self._distinct.append(composition)
            self._row_of.append(index)
        bindings = {module: _bind(module, backbone) for known in self._distinct for module in known.modules}
        self._bound = [_sort(known, bindings) for known in self._distinct]
        if len(self._bound) > 1 and any(bound.weights for bound in self._bound):
            raise CompositionError(
                "a module that replaces the backbone's weights cannot share a batch with other compositions",
                hint="run those rows in a batch of their own",
            )
        self._transforms = {module: _transforms(found) for module, found in bindings.items()}
        self._stages = self._group()

    @property
    def num_rows(self) -> int | None:
        """How many rows the batch must have; None: any number."""
        return len(self._row_of) if self.per_row else None

    @property
    def weights(self) -> dict[str, Tensor] | None:
        """Weights that stand in for the backbone's own, if any."""
        replaced = self._bound[0].weights
        return replaced.weights() if replaced else None

    @property
    def replaces_weights(self) -> bool:
        """Whether a module stands in for the backbone's own weights."""
        return self._bound[0].weights is not None

    @property
    def prompt_length(self) -> int:
        """Most virtual tokens P before a row's text."""
        return max(bound.prefix_length for bound in self._bound)

    @property
    def paths(self) -> set[str]:
        """Paths of the submodules whose output is transformed."""
        return {path for transforms in self._transforms.values() for path in transforms} - {_ENCODER_INPUT}

    def select(self, rows: Sequence[int]) -> Active:
        """Returns what acts on the given rows (repeats allowed), in that order."""
        if not self.per_row:
            return self
        selected = object.__new__(Active)
        selected.__dict__.update(self.__dict__)
        selected._row_of = [self._row_of[row] for row in rows]
        selected._stages = selected._group()
        return selected

    def transform(self, path: str, h_bsd: Tensor, x_bsd: Tensor) -> Tensor:
        """Returns the output of a submodule after the language modules and then the task modules.

        Args:
            path: Path of the submodule.
            h_bsd: Its output.
            x_bsd: Its input.
        """
        for groups in self._stages:
            if len(groups) == 1 and groups[0][1] is None:
                h_bsd = self._apply(groups[0][0], path, h_bsd, x_bsd)
                continue
            for module, rows in groups:
                if path in self._transforms.get(module, ()):
                    index = torch.tensor(rows, device=h_bsd.device)
                    own = self._apply(module, path, h_bsd.index_select(0, index), x_bsd.index_select(0, index))
                    h_bsd = h_bsd.index_copy(0, index, own)
        return h_bsd

    def transform_input(self, x_bsd: Tensor) -> Tensor:
        """Returns the encoder's input embeddings after the language modules and then the task modules."""
        return self.transform(_ENCODER_INPUT, x_bsd, x_bsd)

    def put_before(self, x_bsd: Tensor, mask_bs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns input embeddings (B, P + S, D) and their mask with every row's prompts in front of its text."""
        if not any(bound.prefixes for bound in self._bound):
            return x_bsd, mask_bs
        x_bsd, mask_bs = _text_first(x_bsd, mask_bs)
        num_rows, num_tokens, _ = x_bsd.shape
        longest = self.prompt_length
        parts, masks, order = [], [], []
        for index, bound in enumerate(self._bound):
            rows = [r for r in range(num_rows) if not self.per_row or self._row_of[r] == index]
            if not rows:
                continue
            text, text_mask = (x_bsd, mask_bs) if len(rows) == num_rows else (x_bsd[rows], mask_bs[rows])
            prompt = bound.prefix_rows()
            if prompt is not None:
                prompt = prompt.to(text).expand(len(rows), -1, -1)
                text = torch.cat([prompt, text], dim=1)
                text_mask = F.pad(text_mask, (prompt.shape[1], 0), value=1)
            missing = longest + num_tokens - text.shape[1]
            parts.append(F.pad(text, (0, 0, 0, missing)) if missing else text)
            masks.append(F.pad(text_mask, (0, missing)) if missing else text_mask)
            order.extend(rows)
        if len(parts) == 1:
            return parts[0], masks[0]
        back = torch.tensor(order, device=x_bsd.device).argsort()
        mask = torch.cat(masks)[back]
        used = int(mask.sum(1).max())
        return torch.cat(parts)[back][:, :used], mask[:, :used]

    def _apply(self, module: TransferModule, path: str, h_bsd: Tensor, x_bsd: Tensor) -> Tensor:
        transform = self._transforms[module].get(path)
        return transform(h_bsd, x_bsd) if transform else h_bsd

    def _group(self) -> list[list[tuple[TransferModule, list[int] | None]]]:
        stages: list[list[tuple[TransferModule, list[int] | None]]] = []
        pick: Callable[[Composition], TransferModule | None]
        for pick in (lambda c: c.language, lambda c: c.task):
            if not self.per_row or len(self._distinct) == 1:
                module = pick(self._distinct[0])
                stages.append([(module, None)] if module else [])
                continue
            groups: dict[TransferModule, list[int]] = {}
            for row, index in enumerate(self._row_of):
                module = pick(self._distinct[index])
                if module is not None:
                    groups.setdefault(module, []).append(row)
            stages.append(list(groups.items()))
        return stages


def _transforms(bindings: Sequence[Any]) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    found = {binding.path: binding.transform for binding in bindings if isinstance(binding, OutputBinding)}
    for binding in bindings:
        if isinstance(binding, InputBinding):
            found[_ENCODER_INPUT] = lambda x_bsd, _input, own=binding: own.transform(x_bsd)
    return found


def _bind(module: TransferModule, backbone: Backbone) -> list[Any]:
    trained_on = module.provenance.backbone_fingerprint
    if trained_on and backbone.body_fingerprint not in (trained_on, module.adopted_by):
        raise WrongBackboneError(
            f"a {module.kind} module of {module.provenance.backbone!r} cannot act in {backbone.name!r}: "
            "the weights or the architecture differ",
            hint="load the backbone that it was trained on",
        )
    return module.bind(backbone.layout)


def _sort(composition: Composition, bindings: dict[TransferModule, list[Any]]) -> _Bound:
    found = [binding for module in composition.modules for binding in bindings[module]]
    prefixes = tuple(binding for binding in found if isinstance(binding, PrefixBinding))
    lengths = [prefix.length for prefix in prefixes]
    if composition.fusion == "mean" and len(set(lengths)) > 1:
        raise CompositionError(
            f"the mean of two prompts needs equal lengths, not {lengths[0]} and {lengths[1]} virtual tokens",
            hint="use fusion concat, or prompts of equal length",
        )
    weights = [binding for binding in found if isinstance(binding, WeightBinding)]
    if weights and len(composition.modules) > 1:
        raise CompositionError(
            "a module that replaces the backbone's weights cannot be composed with another module",
            hint="use it as the only module of its composition",
        )
    return _Bound(prefixes, composition.fusion, weights[0] if weights else None)


def _text_first(x_bsd: Tensor, mask_bs: Tensor) -> tuple[Tensor, Tensor]:
    """Moves each row's padding behind its text, where it changes no relative position."""
    if not (mask_bs[:, 1:] > mask_bs[:, :-1]).any():
        return x_bsd, mask_bs
    order = torch.argsort(mask_bs, dim=1, descending=True, stable=True)
    return x_bsd.gather(1, order[..., None].expand_as(x_bsd)), mask_bs.gather(1, order)
