"""tokenizer.json, which may be anybody's: what it makes of a text is bounded before the library opens it.

The library allocates what a replacement asks for, and ends the process where there is no such memory; where a regular
expression gives up it panics, with an exception that is no Exception.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.core.errors import ArtifactError, import_extra
from headstart.core.messages import first_line
from headstart.core.schema import load_json, record

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_BYTES, MAX_ITEMS = 128 << 20, 10_000_000  # of the file: Gemma's has 33 MB and 2 million
MAX_STEPS = 100  # that rewrite or split a text, and special tokens put around it
MAX_GROWTH = 64  # times a text may grow by what rewrites it: T5 and Llama double a blank at most
MAX_MAPPED = 256  # bytes that a charsmap makes of one character; NFKC makes 33 of one
MAX_WORD = 1000  # characters; BERT's reads 100
STEPS = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors"}
FIX = "Download it again, or restore it from a copy; if it came from elsewhere, do not trust it."


def open_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer, which neither truncates nor pads. Raises ArtifactError for one that we cannot use."""
    facts = load_json(file, record({}, others=True), FIX, max_bytes=MAX_BYTES, max_items=MAX_ITEMS)
    if problem := _problem(facts):
        raise ArtifactError(f"{file} {problem}. {FIX}")
    library = import_extra("tokenizers", "text", "Reading texts for this backbone")
    try:
        with library_errors():
            tokenizer = library.Tokenizer.from_str(json.dumps(facts))
            tokenizer.no_truncation()
            tokenizer.no_padding()
    except ValueError as error:
        raise ArtifactError(f"{file} is no tokenizer ({error}). {FIX}") from error
    return tokenizer


@contextmanager
def library_errors() -> Iterator[None]:
    """A context in which whatever the library raises, its panics too, is a ValueError of one line."""
    try:
        yield
    except Exception as error:  # the library raises Exception itself
        raise ValueError(first_line(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Ctrl-C, say
            raise
        raise ValueError(first_line(error)) from error


def _problem(facts: dict) -> str:
    """What makes it none that a text can be given to; "" where nothing does."""
    steps = {part: list(_steps(facts.get(part), inner)) for part, inner in STEPS.items()}
    growth = 1.0
    for part, found in steps.items():
        if len(found) > MAX_STEPS:
            return f"has more than {MAX_STEPS} steps in its {part}"
        for step in found:
            growth *= _growth(step)
            if any(isinstance(v, list) and len(v) > MAX_STEPS for v in _lists(step)):
                return f"puts more than {MAX_STEPS} tokens around a text"
    if not growth <= MAX_GROWTH:
        return f"makes a text more than {MAX_GROWTH} times as long"
    model: Any = facts.get("model")
    if isinstance(model, dict) and model.get("dropout"):
        return "splits the same text now this way, now that (dropout)"
    longest = model.get("max_input_chars_per_word") if isinstance(model, dict) else None
    if isinstance(longest, int) and longest > MAX_WORD:
        return f"splits words of more than {MAX_WORD} characters, which takes their cube in time"
    return ""


def _steps(part: Any, inner: str) -> Iterator[dict]:
    """The steps of a part, those of a sequence one by one."""
    pending = [part]
    while pending:
        step = pending.pop()
        if isinstance(step, dict):
            yield step
            nested = step.get(inner)
            pending += nested if isinstance(nested, list) else []


def _growth(step: dict) -> float:
    """By which factor a step may lengthen a text, at most."""
    content, pattern = step.get("content"), step.get("pattern")
    if isinstance(content, str):
        plain = pattern.get("String") if isinstance(pattern, dict) else pattern
        found = len(plain) if isinstance(plain, str) else 0
        return max(1.0, len(content) / found) if found else 1.0 + len(content)  # a pattern can match nothing, anywhere
    if step.get("type") == "Prepend":
        return float(1 + len(str(step.get("prepend"))))
    charsmap = step.get("precompiled_charsmap")
    return MAX_GROWTH + 1.0 if isinstance(charsmap, str) and _longest_mapped(charsmap) > MAX_MAPPED else 1.0


def _longest_mapped(charsmap: str) -> int:
    """Bytes of the longest text in a charsmap: the size of its trie in four bytes, the trie, texts that end with 0."""
    try:
        raw = base64.b64decode(charsmap)
    except ValueError:
        return 0  # the library refuses it
    return max(map(len, raw[4 + int.from_bytes(raw[:4], "little") :].split(b"\0")))


def _lists(step: dict) -> Iterator[Any]:
    """What names tokens in a step that puts them around a text."""
    yield from (step.get("single"), step.get("pair"))
    special = step.get("special_tokens")
    for token in special.values() if isinstance(special, dict) else ():
        yield token.get("ids") if isinstance(token, dict) else None
