"""Tokenizers trained on the user's own texts: WordPiece for masked tokens, byte-level BPE for the next token.

Equal texts give an equal tokenizer, byte for byte, so that two runs from one seed are the same run.
Sources: Schuster and Nakajima 2012 (WordPiece); Sennrich et al. 2016 (BPE); Radford et al. 2019 (its bytes).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from headstart.backbones import hub
from headstart.core.backbone import Preprocess
from headstart.core.errors import PlanError, import_extra

PAD, UNKNOWN, FIRST, LAST, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
BYTE_PAD, BYTE_FIRST = "<|pad|>", "<|endoftext|>"
MASK_TOKENS = (MASK, "<mask>")  # BERT's and RoBERTa's
MAX_CHARACTERS = 1000  # that get a token of their own; others are unknown
MIN_FREQUENCY = 2  # of a piece in the corpus, to be worth a token
MIN_VOCABULARY = 300  # tokens: 256 bytes, and some


@dataclass(frozen=True, slots=True, eq=False)
class SpecialTokens:
    """special: (v,) bool, true of the token ids that stand for no text.  mask: id of the mask token, -1 for none"""

    special: np.ndarray
    mask: int


def train_wordpiece(texts: Callable[[], Iterable[str]], size: int):
    """A WordPiece tokenizer of at most `size` pieces of lower-case words; puts [CLS] before a text and [SEP] after it.

    texts: gives all of them, and again when called again
    """
    lib = import_extra("tokenizers", "text", "Training a tokenizer")
    normalizer = lib.normalizers.BertNormalizer(lowercase=True)
    counts: Counter[str] = Counter()
    for text in texts():
        counts.update(normalizer.normalize_str(text))
    common = sorted((c for c in counts if not c.isspace()), key=lambda c: (-counts[c], c))
    common = common[: min(MAX_CHARACTERS, size // 4)]
    # The library numbers the characters within words as it meets them, in the order of a hash table that differs from
    # run to run. Named beforehand they are numbered in order, and the trained vocabulary moves to a fresh tokenizer.
    special = [PAD, UNKNOWN, FIRST, LAST, MASK]
    trainer = lib.trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=MIN_FREQUENCY, special_tokens=[*special, *(f"##{c}" for c in sorted(common))],
        initial_alphabet=sorted(common), limit_alphabet=len(common), show_progress=False,
    )  # fmt: skip
    trained = lib.Tokenizer(lib.models.WordPiece(unk_token=UNKNOWN))
    trained.normalizer, trained.pre_tokenizer = normalizer, lib.pre_tokenizers.BertPreTokenizer()
    trained.train_from_iterator(texts(), trainer)
    tokenizer = lib.Tokenizer(lib.models.WordPiece(vocab=trained.get_vocab(), unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, lib.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = lib.decoders.WordPiece()
    tokenizer.add_special_tokens(special)
    ends = [(name, tokenizer.token_to_id(name)) for name in (FIRST, LAST)]
    tokenizer.post_processor = lib.processors.TemplateProcessing(single=f"{FIRST} $A {LAST}", special_tokens=ends)
    return tokenizer


def train_byte_bpe(texts: Callable[[], Iterable[str]], size: int):
    """A byte-level BPE tokenizer of at most `size` tokens, which knows every text; puts <|endoftext|> before it."""
    lib = import_extra("tokenizers", "text", "Training a tokenizer")
    tokenizer = lib.Tokenizer(lib.models.BPE())
    tokenizer.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = lib.decoders.ByteLevel()
    trainer = lib.trainers.BpeTrainer(
        vocab_size=size, min_frequency=MIN_FREQUENCY, special_tokens=[BYTE_PAD, BYTE_FIRST],
        initial_alphabet=sorted(lib.pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts(), trainer)
    first = [(BYTE_FIRST, tokenizer.token_to_id(BYTE_FIRST))]
    tokenizer.post_processor = lib.processors.TemplateProcessing(single=f"{BYTE_FIRST} $A", special_tokens=first)
    return tokenizer


@lru_cache(maxsize=4)
def special_tokens(spec: Preprocess, size: int) -> SpecialTokens:
    """Of the tokenizer that the preprocessing names, for a network with `size` token embeddings."""
    facts = json.loads(hub.asset_file(spec, "tokenizer").read_text(encoding="utf-8"))
    special, mask = np.zeros(size, bool), -1
    for token in facts["added_tokens"]:
        if token["id"] < size and token["special"]:
            special[token["id"]] = True
        if token["id"] < size and token["content"] in MASK_TOKENS:
            mask = token["id"]
    return SpecialTokens(special, mask)


def check_vocabulary_size(size: int) -> None:
    """Raises PlanError for a vocabulary that is too small to hold all bytes or characters."""
    if size < MIN_VOCABULARY:
        raise PlanError(
            f"--set vocabulary_size={size}: at least {MIN_VOCABULARY} tokens are expected; 8000 is the default."
        )
