"""Greedy decoding and scoring of candidates, with the encoder run once and finished rows let go.

Written here because the rows that modules act on must follow the rows that are still being decoded.
Shapes: B rows, S source tokens, D width, C candidates, N tokens of all candidates, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from lingport.compose.loss import most_likely

_LET_GO = 7 / 8  # as few of the rows must still be going for the others to be dropped, which copies keys and values


@dataclass(frozen=True)
class Generated:
    """Greedy outputs.

    Attributes:
        ids: Token ids of each row, without start and end-of-sequence tokens.
        finished: Whether each row ended by itself; if not, it was cut at the longest length.
        log_likelihood: (B,) sum of the log-probabilities of each row's tokens, end-of-sequence included.
    """

    ids: list[list[int]]
    finished: list[bool]
    log_likelihood: Tensor

    def mean_log_likelihood(self, row: int) -> float:
        """Returns the log-likelihood of a row per generated token, by which windows are compared."""
        return self.log_likelihood[row].item() / max(1, len(self.ids[row]) + self.finished[row])


def greedy(
    model: Any,
    encoded_bsd: Tensor,
    mask_bs: Tensor,
    max_new_tokens: int,
    *,
    keep_rows: Callable[[Sequence[int]], None],
) -> Generated:
    """Returns the most likely next token again and again, for each row until its end-of-sequence token.

    Args:
        model: The sequence-to-sequence model, modules attached, which gives hidden states in place of logits.
        encoded_bsd: What the encoder gives, prompts included.
        mask_bs: Its mask.
        max_new_tokens: Longest output; the end-of-sequence token may come as one more.
        keep_rows: Told which of the present rows go on when others have finished.
    """
    num_rows, eos = len(encoded_bsd), model.config.eos_token_id
    ids: list[list[int]] = [[] for _ in range(num_rows)]
    finished = [False] * num_rows
    likelihood = torch.zeros(num_rows, device=encoded_bsd.device)
    rows = list(range(num_rows))  # the original rows that are computed
    going = list(range(num_rows))  # the places of those that have not ended
    last = torch.full((num_rows, 1), model.config.decoder_start_token_id, device=encoded_bsd.device)
    # Newer releases of transformers 5 renamed the keyword and warn of the older name.
    name = "cache" if "cache" in signature(type(model).forward).parameters else "past_key_values"
    cache = None
    for _ in range(max_new_tokens + 1):
        out = model(
            encoder_outputs=(encoded_bsd,),
            attention_mask=mask_bs,
            decoder_input_ids=last,
            use_cache=True,
            **{name: cache},
        )
        if cache is None:
            cache = out[name]
            _lay_out(cache)
        token, best = most_likely(out.logits[:, -1], model.get_output_embeddings().weight)
        tokens = token.tolist()
        # A row at its longest length is asked once more, only whether it ends here: any other token is no part of it.
        said = [p for p in going if tokens[p] == eos or len(ids[rows[p]]) < max_new_tokens]
        likelihood[[rows[place] for place in said]] += best[said]
        going = []
        for place in said:
            row = rows[place]
            if tokens[place] == eos:
                finished[row] = True
            else:
                ids[row].append(tokens[place])
                going.append(place)
        if not going:
            break
        if len(going) <= _LET_GO * len(rows):
            keep_rows(going)
            kept = torch.tensor(going, device=encoded_bsd.device)
            encoded_bsd, mask_bs, token = encoded_bsd[kept], mask_bs[kept], token[kept]
            cache.batch_select_indices(kept)
            rows = [rows[place] for place in going]
            going = list(range(len(rows)))
        last = token[:, None]
    return Generated(ids, finished, likelihood.cpu())


def candidate_scores(hidden_bnd: Tensor, head_vd: Tensor, candidates: Sequence[Sequence[int]]) -> Tensor:
    """Returns the log-likelihood (B, C) of each candidate, end-of-sequence included, in float32.

    What comes next is asked once after each beginning, however many candidates begin so (all do, with no token).

    Args:
        hidden_bnd: Last hidden states, as the head takes them, of the N tokens of all candidates, one after the other.
        head_vd: The head's weights.
        candidates: Token ids of each candidate.
    """
    beginnings = [tuple(ids[:place]) for ids in candidates for place in range(len(ids))]
    place_of = {beginning: place for place, beginning in enumerate(dict.fromkeys(beginnings))}
    asked = [beginnings.index(beginning) for beginning in place_of]
    answer_n = [place_of[beginning] for beginning in beginnings]
    likeliest, best = (
        found.view(len(hidden_bnd), -1)[:, answer_n]
        for found in most_likely(hidden_bnd[:, asked].flatten(0, 1), head_vd)
    )
    own_nd = head_vd[[token for ids in candidates for token in ids]].float()
    below_bn = (hidden_bnd.float() * (own_nd - head_vd[likeliest].float())).sum(-1)
    of_each = (best + below_bn).split([len(ids) for ids in candidates], dim=1)
    return torch.stack([part.sum(1) for part in of_each], dim=1)


def _lay_out(cache: Any) -> None:
    """Puts the keys and values of the source side by side for each head: every step would copy them so."""
    for layer in cache.cross_attention_cache.layers:
        layer.keys, layer.values = layer.keys.contiguous(), layer.values.contiguous()
