"""A backbone with modules attached: forward, generate, rank.

Attaching changes no weight of the backbone and leaves nothing behind: hooks live as long as the `using` block.
Shapes: B rows, S source tokens, T target tokens, C candidates, N tokens of all candidates, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from lingport.backbones.attention import seen_tokens
from lingport.backbones.base import Backbone
from lingport.backbones.packing import Packing
from lingport.compose.active import Active
from lingport.compose.composition import Composition
from lingport.compose.decode import Generated, candidate_scores, greedy
from lingport.compose.loss import frozen_head_loss
from lingport.data.batch import IGNORED, Row, collate, tokenize
from lingport.errors import CompositionError

_COMPUTED_AT_ONCE = 2048  # tokens: what is computed of them fits into a processor's cache


@dataclass(frozen=True)
class Output:
    """What a forward pass gives.

    Attributes:
        logits: (B, T, V).
        loss: Mean negative log-likelihood per target token in nats, if labels were given.
        row_loss: (B,) sum of the negative log-likelihood of each row's target tokens.
        row_tokens: (B,) number of target tokens of each row.
    """

    logits: Tensor
    loss: Tensor | None = None
    row_loss: Tensor | None = None
    row_tokens: Tensor | None = None


@dataclass(frozen=True)
class Footprint:
    """What a composition asks of a batch.

    Attributes:
        prompt_length: Virtual tokens before each row's text.
        shares_batches: Whether rows of other compositions may be in the same batch.
    """

    prompt_length: int
    shares_batches: bool


class ComposedModel:
    """A backbone that modules can be attached to.

    Args:
        backbone: Stays frozen.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._plain = Active(backbone, [Composition()], per_row=False)
        self._active = self._plain

    @contextmanager
    def using(self, rows: Composition | Sequence[Composition]) -> Iterator[ComposedModel]:
        """Attaches modules for the length of a `with` block; blocks may not be nested.

        Args:
            rows: One composition for all rows of every batch, or one per row of each batch in the block.

        Raises:
            CompositionError: The modules cannot act together.
            WrongBackboneError: A module was trained on another backbone.
        """
        if self._active is not self._plain:
            raise CompositionError(
                "modules are attached already",
                hint="leave the first `with model.using(...)` block; to mix compositions give one per row",
            )
        per_row = not isinstance(rows, Composition)
        compositions = [rows] if isinstance(rows, Composition) else list(rows)
        if not compositions:
            raise CompositionError("an empty list of compositions", hint="give one composition, or one per row")
        active = Active(self.backbone, compositions, per_row=per_row)
        hooks = [
            self.backbone.model.get_submodule(path).register_forward_hook(self._hook(path)) for path in active.paths
        ]
        self._active = active
        try:
            yield self
        finally:
            self._active = self._plain
            for hook in hooks:
                hook.remove()

    def footprint(self, composition: Composition) -> Footprint:
        """Returns what a composition asks of a batch; nothing is attached.

        Raises:
            CompositionError: The modules cannot act together.
            WrongBackboneError: A module was trained on another backbone.
        """
        active = Active(self.backbone, [composition], per_row=False)
        return Footprint(active.prompt_length, not active.replaces_weights)

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> Output:
        """Returns logits, and the loss where labels are given.

        Args:
            input_ids: (B, S) token ids.
            attention_mask: (B, S), 1 for text, 0 for padding; None: all is text.
            labels: (B, T) target ids, -100 where there is none; the decoder's input is made from them.

        Raises:
            CompositionError: The batch has another number of rows than compositions were given.
        """
        embeds, mask = self._inputs(input_ids, attention_mask)
        model = self.backbone.model
        if labels is None:
            start = torch.full_like(input_ids[:, :1], model.config.decoder_start_token_id, device=embeds.device)
            return Output(self._run(model, inputs_embeds=embeds, attention_mask=mask, decoder_input_ids=start).logits)
        labels = labels.to(embeds.device, non_blocking=True)
        decoder_ids = model.prepare_decoder_input_ids_from_labels(labels)
        logits = self._run(model, inputs_embeds=embeds, attention_mask=mask, decoder_input_ids=decoder_ids).logits
        losses = F.cross_entropy(
            logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="none"
        ).view(labels.shape)
        row_tokens = (labels != IGNORED).sum(1)
        row_loss = losses.sum(1)
        return Output(logits, row_loss.sum() / row_tokens.sum().clamp(min=1), row_loss, row_tokens)

    def row_losses(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, *, smoothing: Tensor | None = None
    ) -> Tensor:
        """Returns each row's negative log-likelihood (B,) in nats, without making logits: what training needs.

        The batch may lie on the CPU wherever the backbone is. A GPU is then not waited for: which tokens there are is
        known here.

        Args:
            input_ids: (B, S) token ids.
            attention_mask: (B, S), 1 for text, 0 for padding.
            labels: (B, T) target ids, -100 where there is none.
            smoothing: (B,) label smoothing of each row; None: none.

        Raises:
            CompositionError: The batch has another number of rows than compositions were given.
        """
        device = self.backbone.device
        counted = labels != IGNORED
        smoothing = None if smoothing is None else smoothing.to(device, non_blocking=True)
        if self._active.weights is not None:  # the head itself is trained
            out = self(input_ids, attention_mask, labels)
            assert out.row_loss is not None
            if smoothing is None:
                return out.row_loss
            even = (out.logits.float().log_softmax(-1).mean(-1) * counted.to(device)).sum(1)
            return out.row_loss.lerp(-even, smoothing)
        model, layout = self.backbone.model, self.backbone.layout
        embeds, mask = self._inputs(input_ids, attention_mask)
        place_n = counted.flatten().nonzero().squeeze(1).to(device, non_blocking=True)
        labels = labels.to(device, non_blocking=True)
        decoder_ids = model.prepare_decoder_input_ids_from_labels(labels)
        with layout.without_head():
            if layout.packs:
                hidden = self._packed_hidden(embeds, mask.bool(), decoder_ids, counted)
            else:
                out = self._run(model, inputs_embeds=embeds, attention_mask=mask, decoder_input_ids=decoder_ids)
                hidden = out.logits.flatten(0, 1).index_select(0, place_n)
        smoothing_n = None if smoothing is None else smoothing[place_n // labels.shape[1]]
        head = model.get_output_embeddings().weight
        losses = frozen_head_loss(hidden, head, labels.flatten()[place_n], smoothing_n=smoothing_n)
        return losses.new_zeros(labels.numel()).index_copy(0, place_n, losses).view(labels.shape).sum(1)

    def generate(
        self, texts: Sequence[str], *, max_new_tokens: int = 30, max_input_tokens: int | None = None
    ) -> list[str]:
        """Returns the greedy output for each text.

        Args:
            texts: One per row.
            max_new_tokens: Longest output in tokens, without end-of-sequence.
            max_input_tokens: Longer inputs are cut at their end; None: no limit.
        """
        found = self.generate_ids(*self._encode(texts, max_input_tokens), max_new_tokens=max_new_tokens)
        return [self.decode(ids) for ids in found.ids]

    @torch.no_grad()
    def generate_ids(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, *, max_new_tokens: int = 30
    ) -> Generated:
        """Returns greedy token ids per row with their log-likelihoods; see `generate`."""
        encoded, mask = self._encoded(*self._inputs(input_ids, attention_mask))
        active = self._active
        try:
            with self.backbone.layout.without_head():
                return self._run_weights(
                    lambda: greedy(self.backbone.model, encoded, mask, max_new_tokens, keep_rows=self._keep_rows)
                )
        finally:
            self._active = active

    def rank(self, texts: Sequence[str], candidates: Sequence[str], *, max_input_tokens: int | None = None) -> Tensor:
        """Returns the log-likelihood (B, C) of each candidate as the whole output for each text.

        Args:
            texts: One per row.
            candidates: Possible outputs, the same for all rows.
            max_input_tokens: Longer inputs are cut at their end; None: no limit.

        Raises:
            CompositionError: There is no candidate.
        """
        return self.rank_ids(*self._encode(texts, max_input_tokens), candidates)

    @torch.no_grad()
    def rank_ids(self, input_ids: Tensor, attention_mask: Tensor | None, candidates: Sequence[str]) -> Tensor:
        """Returns the log-likelihood (B, C) of each candidate for token ids (B, S); see `rank`."""
        if not candidates:
            raise CompositionError("nothing to rank", hint="give at least one candidate")
        tokenizer, model = self.backbone.tokenizer, self.backbone.model
        rows = [Row((), tokenize(tokenizer, candidate)[0]) for candidate in candidates]
        labels = collate(rows, pad_id=tokenizer.pad_token_id).labels
        is_token_ct = labels != IGNORED  # known here: a GPU is not asked
        labels = labels.to(self.backbone.device)
        embeds, mask = self._inputs(input_ids, attention_mask)
        with self.backbone.layout.without_head():
            find = self._packed_candidates if self._packs else self._padded_candidates
            hidden = find(embeds, mask, model.prepare_decoder_input_ids_from_labels(labels), is_token_ct)
        return self._run_weights(
            lambda: candidate_scores(
                hidden, model.get_output_embeddings().weight, [row.label_ids for row in rows]
            ).cpu()
        )

    def decode(self, token_ids: Sequence[int]) -> str:
        """Returns the text of output ids, special tokens left out, white space at the ends stripped."""
        return self.backbone.tokenizer.decode(list(token_ids), skip_special_tokens=True).strip()

    def _encode(self, texts: Sequence[str], max_input_tokens: int | None) -> tuple[Tensor, Tensor]:
        if isinstance(texts, str):
            raise CompositionError("texts is one string", hint="give a list of strings, one per row")
        tokenizer = self.backbone.tokenizer
        rows = [Row(tokenize(tokenizer, text, max_input_tokens)[0]) for text in texts]
        batch = collate(rows, pad_id=tokenizer.pad_token_id).to(self.backbone.device)
        return batch.input_ids, batch.attention_mask

    def _inputs(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if self._active.num_rows not in (None, len(input_ids)):
            raise CompositionError(
                f"{self._active.num_rows} compositions for a batch of {len(input_ids)} rows",
                hint="give one composition for all rows, or exactly one per row",
            )
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        ids = input_ids.to(self.backbone.device, non_blocking=True)
        embeds = self._run_weights(lambda: self.backbone.layout.input_embeddings(ids))
        embeds, mask = self._active.put_before(embeds, mask)
        return self._active.transform_input(embeds), mask

    def _encoded(self, embeds_bsd: Tensor, mask_bs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what the encoder gives (B, S, D), and the mask."""
        encoder = self.backbone.model.get_encoder()
        if not self._packs:
            run = self._run_weights(lambda: encoder(inputs_embeds=embeds_bsd, attention_mask=mask_bs))
            return run.last_hidden_state, mask_bs
        found = torch.zeros_like(embeds_bsd)
        for rows, own in _parts(mask_bs):
            acting = self._active.select(own.nonzero()[:, 0].tolist())
            packing = Packing(own[rows].sum(1).tolist(), [1] * len(rows), acting=(acting, acting))
            with self.backbone.layout.packed(packing):
                found[own] = encoder(inputs_embeds=embeds_bsd[own][None]).last_hidden_state[0]
        return found, mask_bs

    def _packed_candidates(self, embeds_bsd: Tensor, mask_bs: Tensor, ids_ct: Tensor, is_token_ct: Tensor) -> Tensor:
        """Returns the last hidden states (B, N, D) of the candidates' N tokens, all after each source."""
        ids_n, lengths = ids_ct[is_token_ct], is_token_ct.sum(1).tolist()
        found = []
        for rows, own in _parts(mask_bs, more=len(ids_n)):
            of_tokens = own.nonzero()[:, 0].tolist(), [row for row in rows for _ in ids_n]
            packing = Packing(
                own[rows].sum(1).tolist(),
                lengths * len(rows),
                acting=[self._active.select(each) for each in of_tokens],
                targets_per_row=len(lengths),
            )
            with self.backbone.layout.packed(packing):
                hidden = self._run(
                    self.backbone.model,
                    inputs_embeds=embeds_bsd[own][None],
                    decoder_input_ids=ids_n.repeat(len(rows))[None],
                ).logits
            found.append(hidden.view(len(rows), len(ids_n), -1))
        return torch.cat(found)

    def _padded_candidates(self, embeds_bsd: Tensor, mask_bs: Tensor, ids_ct: Tensor, is_token_ct: Tensor) -> Tensor:
        """Returns the same with a padded row for each source and candidate: where rows cannot lie end to end."""
        encoded, mask = self._encoded(embeds_bsd, mask_bs)
        num_rows, num_candidates = len(mask), len(ids_ct)
        active = self._active
        self._keep_rows([row for row in range(num_rows) for _ in range(num_candidates)])
        try:
            hidden = self._run(
                self.backbone.model,
                encoder_outputs=(encoded.repeat_interleave(num_candidates, 0),),
                attention_mask=mask.repeat_interleave(num_candidates, 0),
                decoder_input_ids=ids_ct.repeat(num_rows, 1),
            ).logits
        finally:
            self._active = active
        place_n = is_token_ct.repeat(num_rows, 1).flatten().nonzero().squeeze(1).to(hidden.device)
        return hidden.flatten(0, 1).index_select(0, place_n).view(num_rows, -1, hidden.shape[-1])

    def _packed_hidden(self, embeds_bsd: Tensor, is_source_bs: Tensor, ids_bt: Tensor, counted_bt: Tensor) -> Tensor:
        """Returns the last hidden states (N, D) of the counted target tokens; no padding is computed."""
        is_target_bt = counted_bt.flip(1).cummax(1).values.flip(1)  # up to a row's last counted token
        is_target_bt[:, 0] = True
        rows_of = [mask.nonzero()[:, 0].tolist() for mask in (is_source_bs, is_target_bt)]
        lengths = [mask.sum(1).tolist() for mask in (is_source_bs, is_target_bt)]
        packing = Packing(*lengths, acting=[self._active.select(rows) for rows in rows_of])
        with self.backbone.layout.packed(packing):
            hidden = self._run(
                self.backbone.model,
                inputs_embeds=embeds_bsd[is_source_bs][None],
                decoder_input_ids=ids_bt[is_target_bt][None],
            ).logits[0]
        return hidden[counted_bt[is_target_bt]]

    @property
    def _packs(self) -> bool:
        """Whether rows can lie end to end: as the backbone computes now, and with its own weights."""
        return self.backbone.layout.packs and not self._active.replaces_weights

    def _transform(self, path: str, output: Tensor, read: Tensor) -> Tensor:
        layout = self.backbone.layout
        if layout.packing is None:
            return self._active.transform(path, output, read)
        active = layout.packing.acting[layout.is_of_targets(path)]
        return active.transform(path, output[0], read[0])[None]

    def _keep_rows(self, rows: Sequence[int]) -> None:
        self._active = self._active.select(rows)

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(_module: nn.Module, inputs: Any, output: Any) -> Any:
            if isinstance(output, tuple):  # an attention sublayer gives its hidden states first
                return self._transform(path, output[0], inputs[0]), *output[1:]
            return self._transform(path, output, inputs[0])

        return hook

    def _run(self, model: Any, *, attention_mask: Tensor | None = None, **inputs: Any) -> Any:
        seen = None if attention_mask is None else seen_tokens(attention_mask, self.backbone.device)
        return self._run_weights(lambda: model(attention_mask=seen, **inputs, use_cache=False))

    def _run_weights(self, call: Callable[[], Any]) -> Any:
        weights = self._active.weights
        if weights is None:
            return call()
        holder = _Holder(self.backbone.model)
        return functional_call(holder, {f"model.{name}": value for name, value in weights.items()}, (call,))


def _parts(mask_bs: Tensor, *, more: int = 0) -> Iterator[tuple[list[int], Tensor]]:
    """Yields neighbouring rows that are computed at once, and which tokens (B, S) are theirs.

    Args:
        mask_bs: 1 for tokens, 0 for padding.
        more: Tokens that each row brings along besides.
    """
    is_token_bs = mask_bs.bool()
    part = ((is_token_bs.sum(1) + more).cumsum(0) - 1) // _COMPUTED_AT_ONCE
    for rows in torch.arange(len(part)).split(part.unique_consecutive(return_counts=True)[1].tolist()):
        own = torch.zeros_like(is_token_bs)
        own[rows] = is_token_bs[rows]
        yield rows.tolist(), own


class _Holder(nn.Module):
    """Gives `functional_call` a module whose forward is any computation on the model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()
