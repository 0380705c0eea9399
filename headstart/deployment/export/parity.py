"""What every exported form of a model has in common: it answers file bytes, and is held against our own answers.

formats/ has one file a form, with SAYS, a line for help; Settings, a frozen dataclass whose fields are all that
--set knows; and write(model, running, folder, settings) -> Written, which raises PlanError for what it cannot hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones import hub
from headstart.core.errors import ArtifactError, PlanError, Unreadable
from headstart.core.head import Head
from headstart.core.plan import Model, Trained, learned
from headstart.core.plugins import member, name_of
from headstart.core.version import __version__
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.witness import TOLERANCES, embed_fresh
from headstart.features.extract import Running, average, unit_length
from headstart.features.preprocess.image import remaining

TOLERANCE = 1e-3  # of a probability, or of a number in spreads; the largest seen in single precision was 6e-6
HALF = 1e-2  # the same for weights in half precision; the largest seen was 2e-3
WINDOWED = "text"  # the preprocessing that reads long texts in windows


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Of n inputs: embedding (n, d) and probabilities (n, k), and what the network was fed of each, where it can tell.

    probabilities: of a number the number itself, in spreads from the mean
    """

    embedding: np.ndarray
    probabilities: np.ndarray
    fed: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What a format wrote into a folder.

    answer:    file bytes or texts -> Said, by the files as they lie, through the library that will read them
    code:      a program that does the same without Headstart: prints one JSON object an input named on its line;
               "" where people use it and no program
    needs:     what that program imports, for pip
    precision: of the weights.  opset: of ONNX, 0 elsewhere.  tolerance: how far answers may lie apart
    judged:    whether changed answers are counted instead, because numbers were rounded on purpose
    takes:     what the program is given on its line; "" as the model's kind has it
    says:      what its owner should know, a sentence each
    """

    answer: Callable[[Sequence[bytes | str]], Said]
    code: str
    needs: tuple[str, ...]
    precision: str = "f32"
    opset: int = 0
    tolerance: float = TOLERANCE
    judged: bool = False
    takes: str = ""
    says: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an exported form lies from our own answers, on n inputs.

    largest: of a probability.  embedding: of a number, in shares of the largest.  changed: how many labels
    """

    n: int
    largest: float
    embedding: float
    changed: int


def ours(model: Model, running: Running, contents: Sequence[bytes | str]) -> Said:
    """Our own answers to readable inputs. Raises ArtifactError naming the reason where one is not."""
    spec = model.backbone.preprocess
    ready = member("preprocess", spec.kind).prepare(list(contents), spec)
    rows, reasons = embed_fresh(ready, spec, model.cut, running)
    if reasons:
        raise ArtifactError(f"{model.folder}: an input cannot be read: {next(iter(reasons.values()))}.")
    fitted, seen = learned(model.fitted), rows
    if isinstance(fitted, Trained):
        from headstart.training.tuning.learner import passed

        seen = passed(fitted.learner, rows, fitted.learner.rows)
    fed = tuple(some[0] for some in ready)
    return Said(np.asarray(seen), model.objective.probabilities(model.fitted.scores(rows)), fed)


def told(
    model: Model, contents: Iterable[bytes | str], run: Callable[[Any], tuple[np.ndarray, ...]], *, raw: bool = False
) -> Said:
    """Answers of an exported network: each unit by itself, and the windows of a long text averaged as we do.

    run: one input with a batch of 1 -> embedding (1, d), scores (1, k), probabilities (1, k).  raw: a photo goes in as
    it came out of its file, (h, w, 3) uint8, else as (h, w, 3) uint8 after the crop; a text as token ids (t,)
    """
    spec = model.backbone.preprocess
    prepare = member("preprocess", spec.kind)
    rows, shares, fed = [], [], []
    for content in contents:
        if raw and spec.kind == "image" and isinstance(content, bytes):
            from headstart.features.image_decoding import decode

            units: Any = [np.asarray(decode(content, remaining(spec)))]
        else:
            (units,) = prepare.prepare([content], spec)
        if isinstance(units, Unreadable):
            raise ArtifactError(f"{model.folder}: an input cannot be read: {units}.")
        each = [run(unit) for unit in units]
        row = average([e[0][0] for e in each], [prepare.weigh(u) for u in units], unit_length(spec))
        rows.append(row)
        whole = len(units) == 1
        shares.append(each[0][2][0] if whole else model.objective.probabilities(_scored(model, row[None]))[0])
        fed.append(units[0])
    return Said(np.stack(rows), np.stack(shares).astype(np.float64), () if raw else tuple(fed))


def _scored(model: Model, rows: np.ndarray) -> np.ndarray:
    """The head on embeddings, as it stands in every export."""
    head = head_of(model.fitted)
    return head.scores(rows) if isinstance(head, Head) else model.fitted.scores(rows)


def parity(model: Model, mine: Said, theirs: Said) -> Parity:
    """Both on the same inputs."""
    apart = np.abs(mine.probabilities - theirs.probabilities)
    largest = float(apart.max()) if np.isfinite(apart).all() else float("inf")
    size = max(float(np.abs(mine.embedding).max()), 1e-6)
    moved = (
        float(np.abs(mine.embedding - theirs.embedding).max() / size)
        if mine.embedding.shape == theirs.embedding.shape
        else float("inf")
    )
    return Parity(len(apart), largest, moved, int((labels(model, mine) != labels(model, theirs)).sum()))


def labels(model: Model, said: Said) -> np.ndarray:
    """(n,) what is answered, as something to compare: a class, a set of tags; of a number nothing."""
    link = model.objective.link
    if link == "softmax":
        return said.probabilities.argmax(1)
    if link == "sigmoid":
        return np.array([row.tobytes() for row in said.probabilities > 0.5])
    return np.zeros(len(said.probabilities))


def hold(model: Model, mine: Said, theirs: Said, written: Written, form: str) -> Parity:
    """Raises ArtifactError naming the first stage that differs, where an export does not answer as the model does."""
    found = parity(model, mine, theirs)
    # What was measured in bfloat16 is no closer to itself in single precision than its own witness allows.
    allowed = max(written.tolerance, TOLERANCES[model.cut.precision] if model.cut.precision != "float32" else 0.0)
    if written.judged or found.largest <= allowed:
        return found
    raise ArtifactError(
        f"{form}: the exported form gives other answers than the model: probabilities lie up to {found.largest:.2g} "
        f"apart, {allowed:.0e} is allowed. First to differ is the {_stage(mine, theirs, found, written)}. "
        f"Nothing was written. Please report it, with the versions that `pip list` shows."
    )


def _stage(mine: Said, theirs: Said, found: Parity, written: Written) -> str:
    for n, (a, b) in enumerate(zip(mine.fed, theirs.fed, strict=False)):
        if a.shape != b.shape:
            return f"crop: input {n} goes into the network as {b.shape} and not as {a.shape}"
        if (a.dtype != b.dtype and a.ndim == 1) or (a.ndim == 1 and not np.array_equal(a, b)):
            return f"tokens: input {n} becomes other token ids"
        if a.ndim == 3 and not np.array_equal(a, b):
            apart = int(np.abs(a.astype(int) - b.astype(int)).max())
            return f"resize: input {n} differs by up to {apart} of 255 behind the crop"
    if found.embedding > written.tolerance:
        return f"embedding: it moved by {found.embedding:.2%}, so normalisation or the network differs"
    return "scores: the embedding is the same, the head gives other answers"


def metadata(model: Model, precision: str, opset: int = 0) -> dict[str, str]:
    """What an exported file says of itself, JSON where it is no plain word."""
    card, objective = model.backbone, model.objective
    facts = objective.facts()
    said: dict[str, Any] = {
        "headstart": __version__,
        "labels": list(facts.get("names", [])),
        "objective": name_of(objective),
        "link": objective.link,
        "scale": {k: facts[k] for k in ("mean", "spread") if k in facts},
        "backbone": card.name,
        "weights": card.weights,
        "licence": card.licence,
        "method": model.facts["method"],
        "preprocessing": {"kind": card.preprocess.kind, **dict(card.preprocess.settings)},
        "precision": precision,
        "tolerance": TOLERANCE if precision == "f32" else HALF,
    }
    if opset:
        said["opset"] = opset
    if card.preprocess.kind == "image":
        said["preprocessing"]["jpeg_side_at_least"] = remaining(card.preprocess)
    if card.preprocess.kind == WINDOWED:
        said["windows"] = (
            "One window a row. Of a text longer than max_length tokens, average the embeddings of its windows, "
            "weighted by their number of tokens (to length 1 again where `normalize`), and apply head.npz."
        )
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in said.items()}


def tokenizer(model: Model, folder: Path) -> tuple[str, ...]:
    """Puts the tokenizer or vocabulary beside an export; the names of what was written, none for photos."""
    spec = dict(model.backbone.preprocess.settings)
    for key, name in (("tokenizer", "tokenizer.json"), ("vocabulary", "vocab.txt")):
        if key in spec:
            (folder / name).write_bytes(hub.asset(str(spec[key])).read_bytes())
            return (name,)
    return ()


def head_file(model: Model, folder: Path) -> tuple[str, ...]:
    """Puts head.npz beside an export. Raises PlanError for a head that is no plain matrices."""
    head = head_of(model.fitted)
    if not isinstance(head, Head):
        raise PlanError(
            "Nearest neighbours keep all their examples and are no matrix. Fit with --method logistic or ridge, or "
            "export --to onnx, which holds them."
        )
    arrays = {
        f"{name}{i}": a.astype(np.float32)
        for i, pair in enumerate(head.layers)
        for name, a in zip("wb", pair, strict=True)
    }
    facts = model.objective.facts()
    scale = [facts.get("mean", 0.0), facts.get("spread", 1.0)]
    names = np.array(list(facts.get("names", [])), dtype=np.str_)
    link = np.array([model.objective.link], dtype=np.str_)
    np.savez(folder / "head.npz", unit=np.array([head.unit]), labels=names, link=link, scale=np.array(scale), **arrays)  # type: ignore[arg-type]
    return ("head.npz",)
