"""Tokenizers trained on the user's own texts: WordPiece for masked tokens, bytes for the next token.

Equal texts give an equal tokenizer, byte for byte, so that two runs from one seed are the same run.
Sources: Schuster and Nakajima 2012 (WordPiece); Sennrich et al. 2016 (BPE); Radford et al. 2019 (its bytes).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from headstart.backbones import hub
from headstart.core.errors import PlanError, missing_extra

PAD, UNKNOWN, FIRST, LAST, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
BYTE_PAD, BYTE_FIRST = "<|pad|>", "<|endoftext|>"
MASKS = (MASK, "<mask>")  # what encoders call the token that hides another
ALPHABET = 1000  # characters that get a token of their own; others are unknown
LEAST = 2  # times that a piece must occur to be worth a token
FEWEST = 300  # tokens: 256 bytes, and some


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What a tokenizer's tokens are. special: (v,) bool, true of those that stand for no text.  mask: -1 for none"""

    special: np.ndarray
    mask: int


def wordpiece(texts: Callable[[], Iterable[str]], size: int):
    """A tokenizer of at most `size` pieces of lower-case words; puts [CLS] before a text and [SEP] after it.

    texts: gives all of them, and again when called again
    """
    lib = _tokenizers()
    normalizer = lib.normalizers.BertNormalizer(lowercase=True)
    counts: Counter[str] = Counter()
    for text in texts():
        counts.update(normalizer.normalize_str(text))
    common = sorted((c for c in counts if not c.isspace()), key=lambda c: (-counts[c], c))
    common = common[: min(ALPHABET, size // 4)]
    # The library numbers the characters within words as it meets them, in the order of a hash table that differs from
    # run to run. Named beforehand they are numbered in order, and the trained vocabulary moves to a fresh tokenizer.
    marked = [PAD, UNKNOWN, FIRST, LAST, MASK]
    trainer = lib.trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=LEAST, special_tokens=[*marked, *(f"##{c}" for c in sorted(common))],
        initial_alphabet=sorted(common), limit_alphabet=len(common), show_progress=False,
    )  # fmt: skip
    learner = lib.Tokenizer(lib.models.WordPiece(unk_token=UNKNOWN))
    learner.normalizer, learner.pre_tokenizer = normalizer, lib.pre_tokenizers.BertPreTokenizer()
    learner.train_from_iterator(texts(), trainer)
    made = lib.Tokenizer(lib.models.WordPiece(vocab=learner.get_vocab(), unk_token=UNKNOWN))
    made.normalizer, made.pre_tokenizer = normalizer, lib.pre_tokenizers.BertPreTokenizer()
    made.decoder = lib.decoders.WordPiece()
    made.add_special_tokens(marked)
    ends = [(name, made.token_to_id(name)) for name in (FIRST, LAST)]
    made.post_processor = lib.processors.TemplateProcessing(single=f"{FIRST} $A {LAST}", special_tokens=ends)
    return made


def bytepairs(texts: Callable[[], Iterable[str]], size: int):
    """A tokenizer of at most `size` strings of bytes, to which no text is unknown; puts <|endoftext|> before a text."""
    lib = _tokenizers()
    made = lib.Tokenizer(lib.models.BPE())
    made.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = lib.decoders.ByteLevel()
    trainer = lib.trainers.BpeTrainer(
        vocab_size=size, min_frequency=LEAST, special_tokens=[BYTE_PAD, BYTE_FIRST],
        initial_alphabet=sorted(lib.pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
    )  # fmt: skip
    made.train_from_iterator(texts(), trainer)
    first = [(BYTE_FIRST, made.token_to_id(BYTE_FIRST))]
    made.post_processor = lib.processors.TemplateProcessing(single=f"{BYTE_FIRST} $A", special_tokens=first)
    return made


@lru_cache(maxsize=4)
def marks(tokenizer: str, size: int) -> Marks:
    """Of the tokenizer of that digest, for a network that knows `size` tokens."""
    facts = json.loads(hub.asset(tokenizer).read_text(encoding="utf-8"))
    special, mask = np.zeros(size, bool), -1
    for token in facts["added_tokens"]:
        if token["id"] < size and token["special"]:
            special[token["id"]] = True
        if token["id"] < size and token["content"] in MASKS:
            mask = token["id"]
    return Marks(special, mask)


def check_size(size: int) -> None:
    """Raises PlanError for a vocabulary that is too small to hold all bytes or characters."""
    if size < FEWEST:
        raise PlanError(f"--set vocabulary={size}: at least {FEWEST} tokens are expected; 8000 is the default.")


def write(tokenizer, file: Path) -> None:
    """tokenizer.json, whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    tokenizer.save(str(temporary))
    temporary.replace(file)


def _tokenizers():
    try:
        import tokenizers
    except ImportError as error:
        raise missing_extra("tokenizers", "text", "Learning a vocabulary") from error
    return tokenizers
