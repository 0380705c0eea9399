"""card.json of a model folder: what stands in it, checked before use, and the digest by which it pins itself.

The digest is of the file's own bytes, with 64 zeros in its place: whoever changes a byte of the card is noticed. It is
no signature: who writes all of it anew is met by the witness, which holds the answers too.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.card_schema import BACKBONE, IDENTIFIER, PROSE
from headstart.core.errors import ArtifactError
from headstart.core.file_names import check_name, regular_file
from headstart.core.input_contract import CONTRACT_RULE
from headstart.core.schema import (
    Rule,
    boolean,
    check,
    either,
    load_json,
    number,
    one_of,
    record,
    shorten,
    table,
    text,
    whole,
)
from headstart.deployment.stored_arrays import FIX

# 1 stored every tensor in single precision, 2 has former names of settings, 3 does not pin itself; all are read.
SCHEMA = 4
CARD, DELTA, WITNESS = "card.json", "delta.safetensors", "witness.npz"
SUFFIXES = (".safetensors", ".json", ".npz")  # of files that are read
PRECISIONS = ("float32", "float16", "bfloat16", "mixed")
MAX_DEPTH = 20  # of lists in lists; notes of a race have 5
BLANK = f"sha256:{'0' * 64}"


def _figure(value: Any) -> str:
    """A number, also one that could not be computed."""
    fits = value is None or type(value) is float or (type(value) is int and abs(value) < 1 << 63)
    return "" if fits else f" is {shorten(value)}, not a number"


def _flat(value: Any) -> str:
    """What JSON can hold, of a depth that every reader can follow."""
    depth, level = 0, [value]
    while level:
        depth, level = depth + 1, [inner for v in level if isinstance(v, dict | list) for inner in _inner(v)]
        if depth > MAX_DEPTH:
            return f" has lists in lists, more than {MAX_DEPTH} deep"
    return ""


def _inner(value: dict | list) -> list:
    return list(value.values()) if isinstance(value, dict) else value


def _both(first: Rule, second: Rule) -> Rule:
    return lambda value: first(value) or second(value)


_amount = whole(0, 1 << 50)
_stored = record({"half": boolean, "rows": _amount, "moved": _figure, "turned": _amount}, others=True)
_notes = _both(_flat, record({}, {"stored": _stored}, others=True))
_metric = record({"value": _figure}, {name: _figure for name in ("low", "high", "chance", "level", "n")}, others=True)
_delta = record({}, {"bytes": _amount, "full": _amount, "form": PROSE, "why": PROSE}, others=True)
_objective = _both(_flat, record({"name": IDENTIFIER}, others=True))  # the rest is checked where it is restored
_RULE = record(
    {
        "schema": whole(1, SCHEMA),
        "backbone": _both(BACKBONE, record({"name": text(4096, r"[A-Za-z_]\w*(:[^\x00-\x1f\x7f]*)?")}, others=True)),
        "cut": whole(0, 10_000),
        "method": IDENTIFIER,
        "objective": _objective,
        "files": table(text(71, r"sha256:[0-9a-f]{64}"), 100, text(400)),
        "kind": IDENTIFIER,
    },
    {
        "digest": text(71, r"sha256:[0-9a-f]{64}"),
        "headstart": text(100),
        "precision": one_of(*PRECISIONS),
        "notes": either(one_of(None), _notes),
        "summary": either(one_of(None), _both(_flat, table(_metric, 100, text(100, r"[\w.@%+ -]+")))),
        "delta": either(one_of(None), _both(_flat, _delta)),
        "input": CONTRACT_RULE,
        "tolerance": table(number(0, math.inf), 100),
    },
    others=True,
)


def write_text(facts: dict) -> str:
    """card.json as text, with its digest. facts: without a digest; numbers of numpy are written as plain ones"""
    content = json.dumps({"digest": BLANK, **facts}, indent=1, default=_json_value) + "\n"
    return content.replace(BLANK, _digest_of(content.encode()), 1)


def _json_value(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to card.json")


def _digest_of(content: bytes) -> str:
    """As `digest.of_files` names a file of this content."""
    return f"sha256:{hashlib.sha256(hashlib.sha256(content).digest()).hexdigest()}"


def read(folder: Path) -> dict:
    """card.json, after its digest and all that stands in it were checked. Reads no other file.

    Raises ArtifactError for another schema, a changed byte, a fact that is missing or of another type, and for names
    of files that are none of ours.
    """
    file = regular_file(folder, CARD, FIX)
    facts = load_json(file, record({}, others=True), FIX)
    schema = facts.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        newer = type(schema) is int and schema > SCHEMA
        fix = "Upgrade: pip install -U headstart" if newer else "Fit again, or use the version that wrote it"
        raise ArtifactError(f"{file} has schema {shorten(schema)}; this version reads 1 to {SCHEMA}. {fix}.")
    if schema >= 4 or "digest" in facts:
        _verify_digest(file, facts.get("digest"))
    for name in facts["files"] if isinstance(facts.get("files"), dict) else ():
        check_name(name, file, SUFFIXES)
    check(facts, _RULE, str(file), FIX)
    for name in (DELTA, WITNESS):
        if name not in facts["files"]:
            raise ArtifactError(f"{file} does not pin {name}, without which nothing is proven. {FIX}")
    return facts


def _verify_digest(file: Path, pinned: object) -> None:
    """Raises ArtifactError where the card does not hold its digest, once, or is not the card that it was taken of."""
    content, named = file.read_bytes(), str(pinned).encode("utf-8", "replace")
    if len(named) != len(BLANK) or content.count(named) != 1:
        raise ArtifactError(f"{file} does not hold the digest by which it pins itself. {FIX}")
    if _digest_of(content.replace(named, BLANK.encode())) != pinned:
        raise ArtifactError(f"{file} has changed since it was saved ({str(pinned)[:19]}…). {FIX}")
