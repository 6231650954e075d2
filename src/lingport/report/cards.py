"""Model cards in the hub's convention: README.md of a module or a bundle, from what is known of it.

What is not known is left out: a card has no empty sections. Not here: its scores (`card_scores.py`), and sending it
(`lingport.hub`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lingport.backbones.base import EMBEDDED
from lingport.compose.bundle import is_bundle, module_folders, read_bundle
from lingport.config.names import is_hub_name
from lingport.data.languages import language as find_language
from lingport.errors import InputError, LingportError
from lingport.modules.ancestry import family
from lingport.modules.store import read_manifest
from lingport.report.card_scores import (
    Scored,
    data_name,
    model_index,
    scores_of_evidence,
    scores_of_module,
)

CARD = "README.md"
#: kind of module -> what people call it, and its tags
KIND_WORDS = {
    "prompt": ("soft prompt", ["soft-prompt", "prompt-tuning"]),
    "adapter": ("bottleneck adapter", ["bottleneck-adapter", "adapter"]),
    "full": ("copy of all weights", ["fine-tuned"]),
}
_PAPER = "arxiv:2407.02317"


def card(folder: str | Path, *, name: str = "", licence: str | None = None) -> str:
    """Returns the model card of a module or a bundle.

    Args:
        folder: Its folder; a module that lies in a run's folder gets its scores from the run.
        name: What it is called where the card will lie, such as `user/name`. Empty: the folder's name.
        licence: The hub's code of its licence. None: the card names none.

    Raises:
        ModuleError: The module or bundle is broken.
    """
    folder = Path(folder)
    name = name or folder.name
    parts = _of_bundle(folder, name) if is_bundle(folder) else _of_module(folder, name)
    metadata, sections = parts
    head = {
        **({"license": licence} if licence else {}),
        **{key: value for key, value in metadata.items() if value},
    }
    text = [f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n# {name.rsplit('/', 1)[-1]}\n"]
    for title, lines in sections:
        if found := [line for line in lines if line is not None]:
            text.append((f"## {title}\n\n" if title else "") + "\n".join(found) + "\n")
    return "\n".join(text)


def write_card(folder: str | Path, *, name: str = "", licence: str | None = None, replace: bool = False) -> Path:
    """Returns the README.md that was written into a module's or bundle's folder; see `card`.

    Raises:
        InputError: There is one already, and `replace` is false.
    """
    file = Path(folder) / CARD
    if file.exists() and not replace:
        raise InputError("there is a card already", where=str(file), hint="--replace writes it anew")
    text = card(folder, name=name, licence=licence)
    staging = file.with_name(f".{CARD}")
    staging.write_text(text, encoding="utf-8")
    staging.replace(file)
    return file


Sections = list[tuple[str, Sequence[str | None]]]


def _of_module(folder: Path, name: str) -> tuple[dict[str, Any], Sections]:
    manifest = read_manifest(folder)
    provenance, training = manifest["provenance"], manifest["provenance"].get("training") or {}
    word, tags = KIND_WORDS.get(manifest["kind"], (manifest["kind"], []))
    scores = scores_of_module(folder)
    role, code, task = (provenance.get(key) for key in ("role", "language", "task"))
    about = f" for the task `{task}`" if task else ""
    about += f", learnt from {_language(code)} examples" if task and code else ""
    about += f" for {_language(code)} text" if code and not task else ""
    size = f"{manifest['num_trained']:,} numbers"
    backbone = _backbone(provenance)
    tags = ["lingport", *tags, *([f"{role}-module"] if role else []), *([str(task)] if task else []), _PAPER]
    metadata = _metadata(
        name,
        languages=str(code).split("+") if code else [],
        backbone=str(provenance.get("backbone") or ""),
        tags=tags,
        sources=training.get("sources") or [],
        scores=scores,
    )
    use = [
        "```python",
        "import lingport as lp",
        f"backbone = lp.Backbone.load({backbone!r})",
        f"module = lp.load_module({name!r}, backbone)",
        "```",
        "",
        f"It acts in `lp.ComposedModel(backbone).using(lp.Composition({role or 'task'}=module))`.",
    ]
    sections: Sections = [
        ("", [f"A {word}{about}: {size} on the frozen backbone `{backbone}`."]),
        ("Use", use),
        ("Training", list(_training_lines(manifest, training))),
        ("Where it comes from", _family_lines(manifest, name)),
        ("Scores", list(_score_lines(scores))),
        ("Limits", list(_limit_lines(provenance, scores))),
    ]
    return metadata, sections


def _of_bundle(folder: Path, name: str) -> tuple[dict[str, Any], Sections]:
    manifest = read_bundle(folder)
    scores = scores_of_evidence(manifest.evidence)
    modules = {place: read_manifest(part) for place, part in module_folders(folder).items()}
    sources = [
        source
        for module in modules.values()
        for source in (module["provenance"].get("training") or {}).get("sources", ())
    ]
    task = str((manifest.task or {}).get("name") or "")
    backbone = _backbone({"backbone": manifest.backbone.get("name")})
    languages = list(manifest.languages) or [str(each) for each in [manifest.evidence.get("language")] if each]
    told = ", ".join(_language(code) for code in languages)
    tags = ["lingport", "bundle", "cross-lingual-transfer", *([task] if task else []), _PAPER]
    example = languages[0] if languages else "sk"
    sections: Sections = [
        (
            "",
            [
                f"Modules{f' for the task `{task}`' if task else ''}{f' in {told}' if told else ''}: the configuration "
                f"`{manifest.configuration}` on the frozen backbone `{backbone}`.",
            ],
        ),
        (
            "Use",
            ["```sh", f"lingport predict {name} --language {example} texts.txt", "```"] if manifest.task else [],
        ),
        ("Modules", _module_lines(modules)),
        ("Why this configuration", list(_evidence_lines(manifest.evidence))),
        ("Scores", list(_score_lines(scores))),
        ("Limits", list(_limit_lines({**manifest.backbone, "backbone": backbone}, scores))),
    ]
    name_of_backbone = str(manifest.backbone.get("name") or "")
    metadata = _metadata(
        name, languages=languages, backbone=name_of_backbone, tags=tags, sources=sources, scores=scores
    )
    return metadata, sections


def _metadata(
    name: str,
    *,
    languages: Sequence[str],
    backbone: str,
    tags: Sequence[str],
    sources: Sequence[Mapping[str, Any]],
    scores: Sequence[Scored],
) -> dict[str, Any]:
    """Returns the head of the card; empty values are left out by the caller."""
    is_public = is_hub_name(backbone) and not Path(backbone).exists()
    tested = [each.language for each in scores]
    return {
        "language": list(dict.fromkeys([*languages, *tested])),
        "base_model": backbone if is_public else None,
        "base_model_relation": "adapter" if is_public else None,
        "library_name": "lingport",
        "tags": list(dict.fromkeys(tags)),
        "datasets": sorted({str(source["repository"]) for source in sources if source.get("repository")}),
        "metrics": sorted({each.metric for each in scores}),
        "model-index": model_index(name.rsplit("/", 1)[-1], scores),
    }


def _training_lines(manifest: Mapping[str, Any], training: Mapping[str, Any]) -> Iterator[str]:
    settings, data = training.get("settings") or {}, training.get("data") or {}
    for source in training.get("sources") or ():
        facts = [source.get("config"), source.get("split"), _language(source.get("language"))]
        facts += [f"commit `{source['revision']}`"] if source.get("revision") else []
        facts += [f"at most {source['limit']:,} rows"] if source.get("limit") else []
        yield f"- data: {data_name(source)} ({', '.join(str(fact) for fact in facts if fact)})"
    if data:
        counts = ", ".join(f"{value:,} {_words(key)}" for key, value in data.items())
        yield f"- {'of these' if training.get('sources') else 'data'}: {counts}"
    if steps := training.get("steps"):
        batch = f" of {settings['batch_size']} rows" if settings.get("batch_size") else ""
        best = (training.get("final") or {}).get("best_step")
        kept = f"; the state of step {best:,} was kept" if best and best != steps else ""
        yield f"- {steps:,} steps{batch}, {training.get('tokens', 0):,} input tokens{kept}"
    if settings.get("optimizer"):
        yield f"- {settings['optimizer']}, learning rate {settings.get('learning_rate')}, {settings.get('schedule')}"
    if objective := training.get("objective"):
        yield f"- objective: {_words(str(objective.get('name')))}, inputs of {objective.get('max_length')} tokens"
    if "seed" in training:
        yield f"- seed {training['seed']}"
    before, after = ((training.get(key) or {}).get("validation_loss") for key in ("initial", "final"))
    if before is not None and after is not None:
        yield f"- held-out loss: {before:.3f} without the module, {after:.3f} with it (nats a token)"
    elif (score := (training.get("final") or {}).get("score")) is not None:
        yield f"- on its validation data: {100 * score:.1f}"
    yield f"- made with lingport {manifest['lingport']}"


def _family_lines(manifest: Mapping[str, Any], name: str) -> list[str]:
    tree = family({**manifest["provenance"], "kind": manifest["kind"]}, name=name)
    lines = []
    for depth, each in tree.walk():
        if depth:
            origin = each.facts.get("origin") or {}
            place = f", `{origin['repository']}` at `{origin['commit']}`" if "commit" in origin else ""
            facts = "".join(f", {each.facts[key]}" for key in ("kind", "language") if each.facts.get(key))
            lines.append(f"{'  ' * (depth - 1)}- {each.relation} `{each.name}`{facts}{place}")
    return lines


def _module_lines(modules: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not modules:
        return []
    lines = ["| module | kind | language | numbers | steps |", "|---|---|---|--:|--:|"]
    for place, manifest in modules.items():
        provenance = manifest["provenance"]
        steps = (provenance.get("training") or {}).get("steps")
        cells = [f"`{place}`", KIND_WORDS.get(manifest["kind"], (manifest["kind"],))[0]]
        cells += [_language(provenance.get("language")), f"{manifest['num_trained']:,}", f"{steps:,}" if steps else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _evidence_lines(evidence: Mapping[str, Any]) -> Iterator[str]:
    others = evidence.get("others")
    found = [evidence.get("chosen"), *(others if isinstance(others, list) else [])]
    candidates = [each for each in found if isinstance(each, dict) and {"name", "score", "num_trained"} <= set(each)]
    if candidates:
        yield f"| candidate | validation {evidence.get('score') or 'score'} | numbers |"
        yield "|---|--:|--:|"
        for each in candidates:
            yield f"| {each['name']} | {each['score']:.1f} | {each['num_trained']:,} |"
        yield ""
    notes = evidence.get("notes")
    yield from (f"- {note}" for note in (notes if isinstance(notes, list) else []))


def _score_lines(scores: Sequence[Scored]) -> Iterator[str]:
    if not scores:
        return
    yield "| task | language | setting | score | value | examples |"
    yield "|---|---|---|---|--:|--:|"
    for each in scores:
        cells = [each.task, _language(each.language), each.setting, each.metric, each.shown]
        yield f"| {' | '.join([*cells, f'{each.examples:,}' if each.examples else ''])} |"
    if any(each.low is not None for each in scores):
        yield ""
        yield "Scores are 0 to 100, in brackets the 95 % interval over test examples (bootstrap)."


def _limit_lines(provenance: Mapping[str, Any], scores: Sequence[Scored]) -> Iterator[str]:
    known_by = provenance.get("backbone_fingerprint") or provenance.get("fingerprint")
    if known_by:
        yield f"- Only for `{_backbone(provenance)}` (fingerprint `{known_by[:12]}`); other backbones are refused."
    if scores:
        tested = ", ".join(dict.fromkeys(_language(each.language) for each in scores))
        yield f"- Tested in {tested} only."
    for word, field in (("outputs could not be read", "unreadable"), ("inputs were cut", "inputs_cut")):
        known = [each for each in scores if getattr(each, field) is not None and each.examples]
        if hit := sum(getattr(each, field) for each in known):
            yield f"- In the tests {hit:,} of {sum(each.examples or 0 for each in known):,} {word}."
    if "seed" in (provenance.get("training") or {}):
        yield "- One training run: another seed may score differently."
    yield "- Modules can carry hidden behaviour; look before you trust: `lingport modules audit`."


def _backbone(provenance: Mapping[str, Any]) -> str:
    """Returns the backbone's name as others can use it: a path on this machine is nobody's business."""
    name = str(provenance.get("backbone") or "")
    is_path = name not in EMBEDDED and (not is_hub_name(name) or Path(name).exists())
    return Path(name).name if is_path else name


def _language(code: Any) -> str:
    if not code:
        return ""
    try:
        return " and ".join(f"{find_language(part).name} ({part})" for part in str(code).split("+"))
    except LingportError:
        return str(code)


def _words(key: str) -> str:
    return key.replace("_", " ")
