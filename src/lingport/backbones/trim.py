"""Smaller backbones: only the rows of the vocabulary that some texts use.

A multilingual vocabulary is most of a small model (mT5-small: 85 % of its weights), and a few languages use a part of
it. Texts made of kept tokens give the same token ids up to renumbering and the same hidden states; the softmax runs
over fewer tokens, so each target token's loss changes by log(1 - m), where m is the probability that the whole backbone
gave to the dropped tokens. `compare` measures that.

Not here: which texts, and the command (`lingport.cli.trim`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lingport.backbones.base import Backbone
from lingport.errors import BackboneError

KEPT = "kept_tokens.json"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_BLANK = "\u2581"


class TokenMap:
    """Token ids of a whole vocabulary and of its trimmed one.

    Args:
        kept: Ids of the whole vocabulary; their positions are the trimmed ids.
        unknown: Trimmed id that stands for what was dropped.
    """

    def __init__(self, kept: Sequence[int], *, unknown: int) -> None:
        self.kept = list(kept)
        self.unknown = unknown
        self._trimmed = {whole: trimmed for trimmed, whole in enumerate(self.kept)}

    @classmethod
    def load(cls, folder: str | Path) -> TokenMap:
        """Returns the map of a trimmed backbone's folder.

        Raises:
            BackboneError: There is none.
        """
        file = Path(folder) / KEPT
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            return cls(said["kept"], unknown=said["unknown"])
        except (OSError, ValueError, KeyError) as error:
            hint = "a backbone that `lingport trim` made has this file"
            raise BackboneError("no list of kept tokens", where=str(file), hint=hint) from error

    def save(self, folder: Path) -> None:
        """Writes the map into a trimmed backbone's folder."""
        (folder / KEPT).write_text(json.dumps({"unknown": self.unknown, "kept": self.kept}) + "\n", encoding="utf-8")

    def __contains__(self, whole: int) -> bool:
        return whole in self._trimmed

    def to_trimmed(self, ids: Iterable[int]) -> list[int]:
        """Returns ids of the whole vocabulary as trimmed ones; dropped tokens become the unknown one."""
        return [self._trimmed.get(each, self.unknown) for each in ids]

    def to_whole(self, ids: Iterable[int]) -> list[int]:
        """Returns trimmed ids as those of the whole vocabulary."""
        return [self.kept[each] for each in ids]


def count_tokens(tokenizer: Any, texts: Iterable[str]) -> Counter[int]:
    """Returns how often each token id occurs in texts, special tokens aside."""
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(tokenizer(text, add_special_tokens=False).input_ids)
    return counts


def kept_tokens(backbone: Backbone, counts: Counter[int], *, min_count: int = 1) -> list[int]:
    """Returns the ids to keep, ascending: what is used, and what spells any other word of the same scripts.

    Special tokens, sentinels, the tokenizer's bytes, and the single characters that occur in used tokens or in ASCII
    are kept, however rare.

    Args:
        backbone: The whole one.
        counts: Of `count_tokens`.
        min_count: Fewest occurrences of a token that is kept.
    """
    used = {token for token, count in counts.items() if count >= min_count}
    pieces = backbone.tokenizer.convert_ids_to_tokens(list(range(len(backbone.tokenizer))))
    characters = {character for token in counts for character in pieces[token]} | {chr(code) for code in range(128)}
    spelling = {
        index
        for index, piece in enumerate(pieces)
        if _BYTE.fullmatch(piece) or (len(piece.removeprefix(_BLANK)) <= 1 and set(piece) <= characters | {_BLANK})
    }
    return sorted(used | spelling | backbone.special_ids)


def trim(backbone: Backbone, keep: Sequence[int], folder: str | Path) -> TokenMap:
    """Writes a backbone that has only some tokens, loadable like any other, and returns the map of token ids.

    Its modules are the whole backbone's: both take each other's, since no module depends on the vocabulary.

    Args:
        backbone: The whole one; it is not changed.
        keep: Token ids, ascending.
        folder: Made for it.

    Raises:
        BackboneError: Its tokenizer has no pieces that could be dropped, or the folder is not empty.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise BackboneError("the folder is not empty", where=str(folder), hint="name another, or remove it")
    tokenizer = _trimmed_tokenizer(backbone, keep)
    tokens = TokenMap(keep, unknown=tokenizer.unk_token_id)
    model = _trimmed_model(backbone, keep)
    model.config.trimmed_from = backbone.body_fingerprint
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    tokens.save(folder)
    if all(torch.equal(weight.bfloat16().float(), weight.float()) for weight in model.parameters()):
        model.to(torch.bfloat16)  # as it was published, and half as large on disk
    save_model(model, folder)
    return tokens


def save_model(model: Any, folder: Path) -> None:
    """Writes a model's weights and configuration."""
    model.save_pretrained(folder)
    file = folder / "config.json"
    # transformers 5 writes `true` whatever the model does, which other versions take at its word.
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    said = json.loads(file.read_text(encoding="utf-8")) | {"tie_word_embeddings": tied}
    file.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Exactness:
    """What trimming changed, in nats per target token.

    Attributes:
        num_tokens: Target tokens.
        whole: Mean loss of the whole backbone.
        trimmed: Mean loss of the trimmed one.
        dropped: Mean of -log(1 - m), m the probability of the dropped tokens: whole - trimmed, if all is exact.
        error: Largest of |whole - dropped - trimmed| over tokens; rounding alone, if all is exact.
    """

    num_tokens: int
    whole: float
    trimmed: float
    dropped: float
    error: float


@torch.no_grad()
def compare(
    whole: Backbone, trimmed: Backbone, tokens: TokenMap, rows: Iterable[tuple[Sequence[int], Sequence[int]]]
) -> Exactness:
    """Returns what trimming changed on rows (input ids, label ids) of the whole vocabulary, all of kept tokens."""
    kept = torch.tensor(tokens.kept, device=whole.device)
    found = []
    for source, target in rows:
        full = _log_probabilities(whole, source, target)
        small = _log_probabilities(trimmed, tokens.to_trimmed(source), tokens.to_trimmed(target))
        own = torch.tensor(tokens.to_trimmed(target), device=small.device)[:, None]
        loss = -full.gather(1, kept[own])[:, 0]
        dropped = -full[:, kept].logsumexp(1)
        found.append(torch.stack([loss, -small.gather(1, own)[:, 0], dropped]))
    all_tokens = torch.cat(found, dim=1)
    loss, trimmed_loss, dropped = all_tokens
    means = [value.item() for value in all_tokens.mean(1)]
    error = (loss - dropped - trimmed_loss).abs().max().item()
    return Exactness(num_tokens=all_tokens.shape[1], whole=means[0], trimmed=means[1], dropped=means[2], error=error)


def _log_probabilities(backbone: Backbone, source: Sequence[int], target: Sequence[int]) -> torch.Tensor:
    inputs = torch.tensor([source], device=backbone.device)
    labels = torch.tensor([target], device=backbone.device)
    logits = backbone.model(input_ids=inputs, attention_mask=torch.ones_like(inputs), labels=labels).logits
    return logits[0, :, : len(backbone.tokenizer)].double().log_softmax(1)


def _trimmed_model(backbone: Backbone, keep: Sequence[int]) -> Any:
    model = backbone.model
    tables = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    tied = len(tables) == 1
    index = torch.tensor(keep, device=backbone.device)
    rows: dict[int, torch.Tensor] = {}  # the same table under several names is cut once
    weights = {
        name: rows.setdefault(id(weight), weight.detach()[index]) if id(weight) in tables else weight.detach()
        for name, weight in model.state_dict(keep_vars=True).items()
    }
    config = type(model.config).from_dict(
        model.config.to_dict() | {"vocab_size": len(keep), "tie_word_embeddings": tied}
    )
    with torch.device("meta"):
        made: Any = type(model)(config)
    made.load_state_dict(weights, assign=True)
    for stack in (made.encoder, made.decoder):  # loading gave each name a table of its own
        stack.set_input_embeddings(made.shared)
    made.lm_head.weight = made.shared.weight if tied else torch.nn.Parameter(weights["lm_head.weight"])
    return made


def _trimmed_tokenizer(backbone: Backbone, keep: Sequence[int]) -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    whole = backbone.tokenizer
    backend = getattr(whole, "backend_tokenizer", None)
    said = json.loads(backend.to_str()) if backend is not None else {}
    if said.get("model", {}).get("type") != "Unigram":
        raise BackboneError(
            f"the tokenizer of {backbone.name!r} has no list of pieces to trim", hint="trim T5, mT5, mT0 or umT5"
        )
    vocabulary = said["model"]["vocab"]
    new_id = {old: new for new, old in enumerate(keep)}
    said["model"]["vocab"] = [vocabulary[old] for old in keep if old < len(vocabulary)]
    said["model"]["unk_id"] = new_id[said["model"]["unk_id"]]
    said["added_tokens"] = [each | {"id": new_id[each["id"]]} for each in said["added_tokens"] if each["id"] in new_id]
    for special in (said.get("post_processor") or {}).get("special_tokens", {}).values():
        special["ids"] = [new_id[old] for old in special["ids"]]
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(said)),
        extra_special_tokens=[str(each) for each in whole.extra_special_tokens],
        model_max_length=whole.model_max_length,
        **{name: str(token) for name, token in whole.special_tokens_map.items() if isinstance(token, str)},
    )
    if made.convert_ids_to_tokens(list(range(len(made)))) != whole.convert_ids_to_tokens(list(keep)):
        raise BackboneError(f"the tokenizer of {backbone.name!r} cannot be trimmed: its ids do not follow its pieces")
    return made
