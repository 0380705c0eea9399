"""The contract of export formats, and the parity check: an export must give the model's own probabilities.

formats/ has one file a format, with SAYS, a line for help; Settings, a frozen dataclass whose fields are what --set
knows; and write(model, extractor, folder, settings) -> ExportResult, which raises PlanError for what it cannot hold.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones import hub
from headstart.core.errors import ArtifactError, PlanError, Unreadable
from headstart.core.files import write_file
from headstart.core.head import Head
from headstart.core.plan import Model, Trained, winner_of
from headstart.core.plugins import member, name_of
from headstart.core.version import __version__
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.witness import TOLERANCES, embed_uncached
from headstart.deployment.witness_replay import relative_difference
from headstart.features.extract import average_windows, has_unit_length
from headstart.features.image_decoding import decode_image
from headstart.features.preprocess.image import min_decoded_side
from headstart.features.runner import Extractor

TOLERANCE = 1e-3  # of a probability, or of a number in standard deviations; float32 differs by 6e-6 at most
HALF_TOLERANCE = 1e-2  # the same for float16 weights, which differ by 2e-3 at most
WINDOWED_KIND = "text"  # the preprocessing that reads long texts in windows
# Names of an exported network's inputs and outputs.
INPUT_NAMES = {"image": "pixels", "vector": "vectors"}
TOKEN_INPUTS = ("input_ids", "attention_mask")
OUTPUT_NAMES = ("embedding", "scores", "probabilities")
LONG_TEXT_NOTE = "A text longer than one window is averaged outside, with head.npz: predict.py does it."


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The Settings of a format without any: its weights are float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """Of n inputs: embedding (n, d), probabilities (n, k), and each one's network input where it is known.

    probabilities: for a number the number itself, in standard deviations from the mean
    """

    embedding: np.ndarray
    probabilities: np.ndarray
    network_inputs: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ExportResult:
    """What a format wrote into a folder.

    answer:    file bytes or texts -> Outputs, from the written files, through the library that will read them
    code:      predict.py, which does the same without Headstart and prints one JSON object an argument; "" for none
    needs:     what that program imports, for pip
    precision: of the weights.  opset: of ONNX, 0 elsewhere.  tolerance: largest difference of a probability
    judged:    whether changed answers are counted instead, because the network was quantized
    takes:     the program's argument; "" for the default of the model's kind
    says:      notes for the owner, a sentence each.  more: further keys of export.json
    """

    answer: Callable[[Sequence[bytes | str]], Outputs]
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
    """How far an export's outputs differ from the model's, on n inputs.

    largest: difference of a probability.  embedding: relative difference of an embedding.  changed: how many labels
    """

    n: int
    largest: float
    embedding: float
    changed: int


def reference_outputs(model: Model, extractor: Extractor, contents: Sequence[bytes | str]) -> Outputs:
    """The model's own outputs for readable inputs. Raises ArtifactError naming the reason where one is not."""
    spec = model.backbone.preprocess
    prepared = member("preprocess", spec.kind).prepare(list(contents), spec)
    rows, reasons = embed_uncached(prepared, spec, model.cut, extractor)
    if reasons:
        raise ArtifactError(f"{model.folder}: an input cannot be read: {next(iter(reasons.values()))}.")
    trained, embedding = winner_of(model.fitted), rows
    if isinstance(trained, Trained):
        from headstart.training.tuning.learner import forward_in_batches

        embedding = forward_in_batches(trained.learner, rows, trained.learner.embed)
    network_inputs = tuple(units[0] for units in prepared)
    return Outputs(np.asarray(embedding), model.objective.probabilities(model.fitted.scores(rows)), network_inputs)


def exported_outputs(
    model: Model, contents: Iterable[bytes | str], run: Callable[[Any], tuple[np.ndarray, ...]], *, raw: bool = False
) -> Outputs:
    """Outputs of an exported network: one unit a batch, and the windows of a long text averaged as `extract` does.

    run: a unit -> embedding (1, d), scores (1, k), probabilities (1, k). A unit is an image (h, w, 3) uint8 after the
    crop, or token ids (t,).  raw: images as decoded instead, of any size
    """
    spec = model.backbone.preprocess
    prepare = member("preprocess", spec.kind)
    rows, probabilities, network_inputs = [], [], []
    for content in contents:
        if raw and spec.kind == "image" and isinstance(content, bytes):
            units: Any = [np.asarray(decode_image(content, min_decoded_side(spec), spec.pixel_range))]
        else:
            (units,) = prepare.prepare([content], spec)
        if isinstance(units, Unreadable):
            raise ArtifactError(f"{model.folder}: an input cannot be read: {units}.")
        outputs = [run(unit) for unit in units]
        row = average_windows([o[0][0] for o in outputs], [prepare.weigh(u) for u in units], has_unit_length(spec))
        rows.append(row)
        if len(units) == 1:
            probabilities.append(outputs[0][2][0])
        else:
            probabilities.append(model.objective.probabilities(_head_scores(model, row[None]))[0])
        network_inputs.append(units[0])
    return Outputs(np.stack(rows), np.stack(probabilities).astype(np.float64), () if raw else tuple(network_inputs))


def _head_scores(model: Model, rows: np.ndarray) -> np.ndarray:
    """The head's scores of embeddings (n, d), computed as exports do."""
    head = head_of(model.fitted)
    return head.scores(rows) if isinstance(head, Head) else model.fitted.scores(rows)


def measure_parity(model: Model, reference: Outputs, exported: Outputs) -> Parity:
    """How far two outputs for the same inputs differ."""
    difference = np.abs(reference.probabilities - exported.probabilities)
    largest = float(difference.max()) if np.isfinite(difference).all() else float("inf")
    changed = int((predicted_labels(model, reference) != predicted_labels(model, exported)).sum())
    return Parity(len(difference), largest, relative_difference(exported.embedding, reference.embedding), changed)


def predicted_labels(model: Model, outputs: Outputs) -> np.ndarray:
    """(n,) answers to compare: the class, or the set of tags; the same for every number."""
    link = model.objective.link
    if link == "softmax":
        return outputs.probabilities.argmax(1)
    if link == "sigmoid":
        return np.array([row.tobytes() for row in outputs.probabilities > 0.5])
    return np.zeros(len(outputs.probabilities))


def check_parity(model: Model, reference: Outputs, exported: Outputs, written: ExportResult, to: str) -> Parity:
    """The parity. Raises ArtifactError naming the first stage that differs, where it is outside the tolerance."""
    parity = measure_parity(model, reference, exported)
    # A model measured in bfloat16 is no closer to its own float32 outputs than its witness allows.
    tolerance = max(written.tolerance, TOLERANCES[model.cut.precision] if model.cut.precision != "float32" else 0.0)
    if written.judged or parity.largest <= tolerance:
        return parity
    raise ArtifactError(
        f"{to}: the export gives other answers than the model: probabilities differ by up to {parity.largest:.2g}, "
        f"{tolerance:.0e} is allowed. First to differ is the "
        f"{_first_difference(reference, exported, parity, written)}. Nothing was written. Please report it, with the "
        f"versions that `pip list` shows."
    )


def _first_difference(reference: Outputs, exported: Outputs, parity: Parity, written: ExportResult) -> str:
    for n, (a, b) in enumerate(zip(reference.network_inputs, exported.network_inputs, strict=False)):
        if a.shape != b.shape:
            return f"crop: input {n} enters the network as {b.shape} and not as {a.shape}"
        if (a.dtype != b.dtype and a.ndim == 1) or (a.ndim == 1 and not np.array_equal(a, b)):
            return f"tokens: input {n} has other token ids"
        if a.ndim == 3 and not np.array_equal(a, b):
            levels = int(np.abs(a.astype(int) - b.astype(int)).max())
            return f"resize: input {n} differs by up to {levels} of 255 after the crop"
    if parity.embedding > written.tolerance:
        return f"embedding: it differs by {parity.embedding:.2%}, so normalisation or the network differs"
    return "scores: the embedding is the same, the head gives other answers"


def metadata(model: Model, precision: str, opset: int = 0) -> dict[str, str]:
    """The metadata of an exported file; values that are no string as JSON."""
    card, objective = model.backbone, model.objective
    facts = objective.facts()
    entries: dict[str, Any] = {
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
        "tolerance": TOLERANCE if precision == "f32" else HALF_TOLERANCE,
    }
    if opset:
        entries["opset"] = opset
    if card.preprocess.kind == "image":
        entries["preprocessing"]["jpeg_side_at_least"] = min_decoded_side(card.preprocess)
    if card.preprocess.kind == WINDOWED_KIND:
        entries["windows"] = (
            "One window a row. Of a text longer than max_length tokens, average the embeddings of its windows, "
            "weighted by their number of tokens (to length 1 again where `normalize`), and apply head.npz."
        )
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in entries.items()}


def write_tokenizer(model: Model, folder: Path) -> None:
    """Writes the tokenizer or vocabulary beside an export; none for images."""
    spec = dict(model.backbone.preprocess.settings)
    for key, name in (("tokenizer", "tokenizer.json"), ("vocabulary", "vocab.txt")):
        if key in spec:
            write_file(folder / name, hub.asset_file(model.backbone.preprocess, key).read_bytes())


def write_text_files(model: Model, folder: Path) -> None:
    """Writes the tokenizer, and head.npz where the windows of long texts are averaged outside the graph."""
    write_tokenizer(model, folder)
    if model.backbone.preprocess.kind == WINDOWED_KIND and isinstance(head_of(model.fitted), Head):
        write_head(model, folder)


def write_head(model: Model, folder: Path) -> None:
    """Writes head.npz beside an export. Raises PlanError for a nearest-neighbour head."""
    head = head_of(model.fitted)
    if not isinstance(head, Head):
        raise PlanError(
            "Nearest neighbours keep all their examples and are no matrix. Fit with --method logistic or ridge, or "
            "export --to onnx, which holds them."
        )
    pairs = [(f"{name}{i}", a) for i, pair in enumerate(head.layers) for name, a in zip("wb", pair, strict=True)]
    arrays = {name: a.astype(np.float32) for name, a in pairs}
    facts = model.objective.facts()
    scale = [facts.get("mean", 0.0), facts.get("spread", 1.0)]
    names = np.array(list(facts.get("names", [])), dtype=np.str_)
    link = np.array([model.objective.link], dtype=np.str_)
    about = {"unit": np.array([head.unit]), "labels": names, "link": link, "scale": np.array(scale)}
    buffer = io.BytesIO()
    np.savez(buffer, **about, **arrays)  # type: ignore[arg-type]
    write_file(folder / "head.npz", buffer.getvalue())
