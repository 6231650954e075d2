"""A unigram vocabulary in mT5's layout, trained on the raw text of a pretraining recipe.

Layout: pad 0, end of sequence 1, unknown 2, the 256 byte pieces, the learnt pieces, and the 100 sentinels as the
last ids, descending, so that `<extra_id_0>` is the topmost. Not here: reading the text.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import UnigramTrainer
from transformers import PreTrainedTokenizerFast

from lingport.errors import ConfigError

logger = logging.getLogger(__name__)

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
PAD_ID, END_ID, UNKNOWN_ID = 0, 1, 2
NUM_BYTES = 256
NUM_SENTINELS = 100
BLANK = "\u2581"  # stands for a space in the pieces
MARKS = (f"{BLANK}[", f"{BLANK}]")  # around a marked span; always whole
# ASCII symbols count as punctuation, other symbols do not: BLANK itself is one of these
PUNCTUATION = r"\p{P}$+<=>^`|~"


def sentinel_name(index: int) -> str:
    """Returns the spelling of a sentinel, `<extra_id_0>` being the one that stands first in a corrupted text."""
    return f"<extra_id_{index}>"


def _pipeline(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    words = Regex(rf"{BLANK}?[{PUNCTUATION}]+|{BLANK}?[^{BLANK}{PUNCTUATION}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=BLANK, prepend_scheme="always", split=False),
            pre_tokenizers.Split(words, behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement=BLANK, prepend_scheme="always", split=False)]
    )


def _rare_characters(texts: list[str], coverage: float) -> str:
    """The characters that make up the last `1 - coverage` of the text; bytes will spell them."""
    counts = Counter(character for text in texts for character in text)
    allowed = sum(counts.values()) * (1.0 - coverage)
    rare = []
    for character, count in sorted(counts.items(), key=lambda pair: (pair[1], pair[0])):
        allowed -= count
        if allowed < 0:
            break
        rare.append(character)
    return "".join(rare)


def train_vocabulary(
    texts: Iterable[str],
    *,
    size: int,
    coverage: float = 0.9995,
    required: Iterable[str] = (),
) -> PreTrainedTokenizerFast:
    """Returns a fast tokenizer with exactly `size` pieces. Source: ours, in the layout of mT5.

    Texts are normalised by NFKC, runs of blanks become one, every word starts with the blank sign, and runs of
    punctuation are pieces of their own. Characters outside `coverage` are spelt in bytes, so nothing is unknown.

    Args:
        texts: The training texts, one sentence or document each; their proportions are the languages' weights.
        size: Number of pieces, the 3 special ones, 256 bytes and 100 sentinels included.
        coverage: Share (0 to 1) of the characters of the text that get a piece of their own.
        required: Pieces that must be in the vocabulary, and stay whole, whatever the text says.

    Raises:
        ConfigError: The text is too short for a vocabulary of that size.
    """
    texts = [text for text in texts if text.strip()]
    num_learnt = size - 3 - NUM_BYTES - NUM_SENTINELS
    draft = Tokenizer(models.Unigram())
    _pipeline(draft)
    normalised = [draft.normalizer.normalize_str(text) for text in texts]
    rare = _rare_characters(normalised, coverage)
    kept = str.maketrans(dict.fromkeys(rare, " "))
    trainer = UnigramTrainer(
        vocab_size=num_learnt + 1, unk_token=UNKNOWN, special_tokens=[UNKNOWN], show_progress=False
    )
    draft.train_from_iterator((text.translate(kept) for text in normalised), trainer)
    learnt = [tuple(pair) for pair in json.loads(draft.to_str())["model"]["vocab"]]
    learnt = [(piece, score) for piece, score in learnt if piece != UNKNOWN]
    scores = dict(learnt)
    lowest = min(scores.values(), default=0.0)
    wanted = dict.fromkeys(piece for piece in (*MARKS, *required) if piece != BLANK)
    learnt = [(piece, score) for piece, score in learnt if piece not in wanted and piece != BLANK]
    learnt = [*learnt[: num_learnt - len(wanted) - 1], (BLANK, scores.get(BLANK, lowest))]
    # the best score of all, so that no way of cutting a required piece up is likelier than the piece
    learnt += [(piece, max(scores.values(), default=0.0)) for piece in wanted]
    if len(learnt) != num_learnt:
        raise ConfigError(
            f"a vocabulary of {size} needs {num_learnt} learnt pieces, the text gives {len(learnt)}",
            where="vocabulary.size",
            hint="give more text or a smaller size",
        )
    logger.info("vocabulary of %s pieces; %s rare characters are spelt in bytes", size, len(rare))
    pieces = [(PAD, 0.0), (END, 0.0), (UNKNOWN, 0.0)]
    pieces += [(f"<0x{byte:02X}>", lowest - 10.0) for byte in range(NUM_BYTES)]
    pieces += learnt
    sentinels = [sentinel_name(index) for index in reversed(range(NUM_SENTINELS))]
    pieces += [(name, 0.0) for name in sentinels]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=UNKNOWN_ID, byte_fallback=True))
    _pipeline(tokenizer)
    specials = [PAD, END, UNKNOWN, *sentinels]
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in specials])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, END_ID)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=sentinels[::-1],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
