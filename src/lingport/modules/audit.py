"""What a stranger's module looks like inside: what its prompt is near to, how hard its adapters push, what stands out.

Soft prompts can carry hidden instructions (Zhang et al. 2024, "Soft Prompts Go Hard", arXiv 2407.08970), and what a
prompt is near to does not prove what it does (Khashabi et al. 2022, arXiv 2112.08348): an audit finds what is odd, it
clears nobody. It goes by the places where a module acts, so every kind is audited, new ones too. The measures and
thresholds are ours. Not here: what a module does to a task (`lingport evaluate`).
Shapes: P virtual tokens, D width, V vocabulary, N tokens of the probe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lingport.backbones.base import Backbone
from lingport.modules.base import (
    InputBinding,
    OutputBinding,
    PrefixBinding,
    TransferModule,
    WeightBinding,
    seeded,
)

NUM_NEAREST = 3
#: a row whose norm is a smaller share of the vocabulary's median norm does nothing
DEAD_NORM = 1e-3
#: rows of a larger cosine (and nearly the same norm) are the same row twice
SAME_COSINE = 0.9999
#: a virtual token of a larger cosine to a token reads as that token
TEXT_COSINE = 0.9
#: as many readable rows on end make a phrase
PHRASE_LENGTH = 3
#: modified z-score (Iglewicz and Hoaglin, 1993) and ratio to the median above which a value stands out of its group
OUTLIER_Z, OUTLIER_RATIO = 3.5, 2.0
#: blocks differ in how far their hidden states have grown, so gains may differ more
GAIN_RATIO = 5.0
#: a module that changes hidden states by more than their own size overwrites them
LARGE_GAIN = 1.0
_PROBE_ROWS, _PROBE_LENGTH = 8, 32
_CHUNK = 8192


@dataclass
class Audit:
    """What was found.

    Attributes:
        virtual_tokens: For each row of a prompt its norm, the norm's ratio to the vocabulary's median, the nearest
            tokens with their cosine, and what is odd.
        sites: For each site the gain: how much the output changes, relative to its own size, mean and largest.
        weights: For each weight that is replaced its change, relative to its own size.
        tensors: For each saved tensor its shape, norm, and number of dead and duplicate rows.
        vocabulary: Median and largest norm of the backbone's input embeddings; empty where there is no prompt.
        notes: Sentences on what is usual, and worth knowing.
        warnings: Sentences on what stands out.
    """

    virtual_tokens: list[dict[str, Any]] = field(default_factory=list)
    sites: list[dict[str, Any]] = field(default_factory=list)
    weights: list[dict[str, Any]] = field(default_factory=list)
    tensors: list[dict[str, Any]] = field(default_factory=list)
    vocabulary: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@torch.no_grad()
def audit(module: TransferModule, backbone: Backbone) -> Audit:
    """Returns what a module looks like on its backbone; deterministic.

    Args:
        module: Loaded with this backbone.
        backbone: What it acts in.
    """
    found = Audit(tensors=[_tensor(name, value) for name, value in sorted(module.state_dict().items())])
    for each in found.tensors:
        if each["dead_rows"]:
            found.notes.append(f"{each['dead_rows']} of {each['rows']} rows of {each['name']!r} are zero")
    bindings = module.bind(backbone.layout)
    gains = [binding for binding in bindings if isinstance(binding, (OutputBinding, InputBinding))]
    if gains:
        _audit_gains(gains, backbone, found)
    for binding in bindings:
        if isinstance(binding, PrefixBinding):
            _audit_prefix(binding, module, backbone, found)
        elif isinstance(binding, WeightBinding):
            _audit_weights(binding, backbone, found)
    return found


def nearest_tokens(rows_pd: Tensor, backbone: Backbone, *, num: int = NUM_NEAREST) -> tuple[Tensor, Tensor]:
    """Returns the cosines (P, num) and ids (P, num) of the vocabulary's nearest tokens, best first.

    Args:
        rows_pd: Rows (P, D).
        backbone: Its input embeddings are compared with, up to the tokenizer's last token.
        num: How many a row.
    """
    units_pd = torch.nn.functional.normalize(rows_pd.float(), dim=1)
    best, ids = rows_pd.new_full((len(rows_pd), 0), 0.0), torch.zeros(len(rows_pd), 0, dtype=torch.long)
    for start, table in _vocabulary(backbone):
        cosines = units_pd @ torch.nn.functional.normalize(table, dim=1).T
        top = cosines.topk(min(num, len(table)), dim=1)
        best, ids = torch.cat([best, top.values], 1), torch.cat([ids, top.indices.cpu() + start], 1)
        order = best.topk(min(num, best.shape[1]), dim=1)
        best, ids = order.values, ids.gather(1, order.indices.cpu())
    return best.cpu(), ids


def _vocabulary(backbone: Backbone) -> Iterator[tuple[int, Tensor]]:
    """Yields the embeddings of the tokenizer's tokens in float32, a chunk at a time: a whole copy may be large."""
    table, size = backbone.layout.input_embeddings.weight, len(backbone.tokenizer)
    for start in range(0, min(size, len(table)), _CHUNK):
        yield start, table[start : min(start + _CHUNK, size)].float()


def _audit_prefix(binding: PrefixBinding, module: TransferModule, backbone: Backbone, found: Audit) -> None:
    rows_pd = binding.rows().float()
    norms = rows_pd.norm(dim=1).cpu()
    vocabulary = torch.cat([table.norm(dim=1).cpu() for _, table in _vocabulary(backbone)])
    median, largest = vocabulary.median().item(), vocabulary.max().item()
    found.vocabulary = {"median_norm": median, "largest_norm": largest}
    cosines, ids = nearest_tokens(rows_pd, backbone)
    words = backbone.tokenizer.convert_ids_to_tokens(ids.flatten().tolist())
    twin, strange = _twins(rows_pd), _outliers(norms.tolist())
    for row, norm in enumerate(norms.tolist()):
        odd = [
            *(["dead"] if norm < DEAD_NORM * median else []),
            *([f"same as {twin[row]}"] if row in twin else []),
            *(["norm stands out"] if row in strange else []),
        ]
        near = [
            {"token": words[row * ids.shape[1] + place], "id": int(ids[row, place]), "cosine": cosine}
            for place, cosine in enumerate(cosines[row].tolist())
        ]
        found.virtual_tokens.append({"row": row, "norm": norm, "ratio": norm / median, "nearest": near, "odd": odd})
    for sign, told in (
        ("dead", "do nothing (their norm is next to zero)"),
        ("same as", "repeat another row"),
        ("norm stands out", "have a norm that stands out from the other rows'"),
    ):
        hit = [str(row["row"]) for row in found.virtual_tokens if any(odd.startswith(sign) for odd in row["odd"])]
        if hit:
            found.warnings.append(f"{len(hit)} of {len(norms)} virtual tokens {told}: {', '.join(hit)}")
    if (longer := int((norms > largest).sum())) > 0:
        found.notes.append(
            f"{longer} of {len(norms)} virtual tokens are longer than any token of the vocabulary "
            f"({largest:.3g}): usual after training at a high rate, but no text could say them"
        )
    for phrase in _undeclared_phrases(found.virtual_tokens, module, backbone):
        found.warnings.append(
            f"rows {phrase[0]} to {phrase[1]} read as text that the settings do not name: {phrase[2]}"
        )


def _undeclared_phrases(
    rows: Sequence[dict[str, Any]], module: TransferModule, backbone: Backbone
) -> Iterator[tuple[int, int, str]]:
    """Yields first row, last row and text of what rows spell, beyond the texts that the prompt started from."""
    said = module.settings.model_dump()
    texts = [value for each in said.values() for value in (each if isinstance(each, tuple) else [each])]
    declared = {token for text in texts if isinstance(text, str) for token in backbone.tokenizer(text).input_ids}
    run: list[dict[str, Any]] = []
    for row in [*rows, None]:
        if row is not None and row["nearest"][0]["cosine"] >= TEXT_COSINE:
            run.append(row)
            continue
        ids = [each["nearest"][0]["id"] for each in run]
        if len(run) >= PHRASE_LENGTH and not declared.issuperset(ids):
            yield run[0]["row"], run[-1]["row"], repr(backbone.tokenizer.decode(ids))
        run = []


def _audit_gains(bindings: Sequence[OutputBinding | InputBinding], backbone: Backbone, found: Audit) -> None:
    source, states = _states(backbone, {binding.path for binding in bindings if isinstance(binding, OutputBinding)})
    for binding in bindings:
        if isinstance(binding, OutputBinding):
            site, (h_bsd, x_bsd) = binding.site, states[binding.path]
            changed = binding.transform(h_bsd, x_bsd)
        else:
            site, h_bsd = "encoder.input", backbone.layout.input_embeddings(source)
            changed = binding.transform(h_bsd)
        before = h_bsd.float().flatten(0, 1)
        gain = (changed.float().flatten(0, 1) - before).norm(dim=1) / before.norm(dim=1).clamp(min=1e-12)
        found.sites.append({"site": site, "gain": gain.mean().item(), "largest_gain": gain.max().item()})
    gains = [each["gain"] for each in found.sites]
    for place in _outliers(gains, ratio=GAIN_RATIO):
        found.sites[place]["odd"] = ["gain stands out"]
        found.warnings.append(f"{found.sites[place]['site']}: a gain of {gains[place]:.3g} stands out from the others")
    if over := [each["site"] for each in found.sites if each["gain"] > LARGE_GAIN]:
        found.warnings.append(
            f"{len(over)} of {len(gains)} sites change hidden states by more than their own size: {', '.join(over)}"
        )
    if all(gain == 0 for gain in gains):
        found.warnings.append("no site changes anything: the module is untrained, or emptied")


def _states(backbone: Backbone, paths: set[str]) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Returns rows of random tokens (B, S), the same for every module, and output and input of submodules on them."""
    ordinary = torch.tensor([token for token in range(len(backbone.tokenizer)) if token not in backbone.special_ids])
    picks = torch.randint(len(ordinary), (2, _PROBE_ROWS, _PROBE_LENGTH), generator=seeded(0))
    source, target = ordinary[picks].to(backbone.device)
    states: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(path: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, inputs: Any, output: Any) -> None:
            states[path] = (output[0] if isinstance(output, tuple) else output, inputs[0])

        return hook

    hooks = [backbone.model.get_submodule(path).register_forward_hook(keep(path)) for path in sorted(paths)]
    try:
        with backbone.layout.without_head():
            backbone.model(input_ids=source, decoder_input_ids=target, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return source, states


def _audit_weights(binding: WeightBinding, backbone: Backbone, found: Audit) -> None:
    own = dict(backbone.model.named_parameters())
    for name, value in binding.weights().items():
        change = (value.float() - own[name].float()).norm() / own[name].float().norm().clamp(min=1e-12)
        found.weights.append({"name": name, "change": change.item()})
    changes = [each["change"] for each in found.weights]
    for place in _outliers(changes):
        found.weights[place]["odd"] = ["change stands out"]
        found.warnings.append(
            f"{found.weights[place]['name']}: a change of {changes[place]:.3g} stands out from the others"
        )


def _tensor(name: str, value: Tensor) -> dict[str, Any]:
    rows = value.float().reshape(-1, value.shape[-1]) if value.ndim else value.float().reshape(1, 1)
    is_bias = value.ndim < 2 or name.endswith("bias")  # biases begin at zero, and may stay there
    living = rows[rows.norm(dim=1) > 0]
    return {
        "name": name,
        "shape": list(value.shape),
        "norm": value.float().norm().item(),
        "rows": len(rows),
        "dead_rows": 0 if is_bias else len(rows) - len(living),
        "duplicate_rows": 0 if is_bias else len(living) - len(torch.unique(living, dim=0)),
    }


def _twins(rows_pd: Tensor) -> dict[int, int]:
    """Returns row -> the first earlier row that is the same."""
    units, norms = torch.nn.functional.normalize(rows_pd, dim=1), rows_pd.norm(dim=1)
    alike = (units @ units.T > SAME_COSINE) & ((norms[:, None] - norms[None]).abs() < 0.01 * norms[:, None])
    return {row: int(alike[row].nonzero()[0, 0]) for row in range(len(rows_pd)) if alike[row, :row].any()}


def _outliers(values: Sequence[float], *, ratio: float = OUTLIER_RATIO) -> list[int]:
    """Returns the places of values far above the others', by the modified z-score of their logarithms."""
    if len(values) < 4:
        return []
    logs = torch.tensor(values, dtype=torch.float64).clamp(min=1e-12).log()
    centre = logs.median()
    spread = (logs - centre).abs().median().clamp(min=1e-3)
    score = 0.6745 * (logs - centre) / spread
    return ((score > OUTLIER_Z) & ((logs - centre).exp() > ratio)).nonzero().flatten().tolist()
