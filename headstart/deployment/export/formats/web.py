"""web: a page that predicts and learns in the browser, in a folder that opens from disk or from any static host.

    index.html, theme.css, style.css, *.js    the page of export/web/, and its facts
    data/*.js                                 gzip in base64: the network, the runtime, the vocabulary, the witness
    licences/                                 of third parties

A page from disk may fetch nothing, import no module and start no worker from a file. So everything is loaded by classic
scripts, large files in several, which also lets the page show its progress. See docs/web.md.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones import wordpiece
from headstart.backbones.static_embeddings import VOCABULARY_FILE, WEIGHTS_FILE
from headstart.core.errors import PlanError
from headstart.core.files import make_folder, write_file
from headstart.core.head import Head
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.core.version import __version__
from headstart.deployment.card_file import SCHEMA
from headstart.deployment.export import onnxruntime_web, parity
from headstart.deployment.export.calibration_inputs import witness_inputs
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.web_page import LICENCE, PAGE, SCRIPTS, page, theme
from headstart.features.cache import store
from headstart.features.extract import has_unit_length
from headstart.features.image_decoding import decode_image
from headstart.features.runner import Extractor

Settings = parity.NoSettings
SAYS = "a folder with a page that answers and learns in the browser; opens from disk, needs no server"
UNTEACHABLE = (  # why the page of a tuned network learns no class
    "This network was changed while it learned, and a model folder holds changes of one base only. Teaching "
    "needs a page of a head on a frozen network: headstart fit … --method probe, then export that."
)
CARD_FACTS = ("headstart", "kind", "backbone", "cut", "tolerance")  # of a model that is taught in the page
PIECE_CHARS = 1 << 20  # of base64 in a script: the page shows its progress after each


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """Writes the page.

    Raises PlanError for a backbone that no browser runs, ArtifactError where the runtime has not been fetched,
    MissingExtra.
    """
    files = _files(model)
    layers = _layers(model)
    if layers is not None:
        files["head"] = layers
    files["witness"] = json.dumps({"witness": _witness(model, extractor)}).encode()
    make_folder(folder / "data")
    pieces = [piece for name, content in files.items() for piece in _write_pieces(folder, name, content)]
    has_network = "network" in files
    if has_network:
        script = onnxruntime_web.read_runtime(store.default_root())[onnxruntime_web.SCRIPT]
        write_file(folder / onnxruntime_web.SCRIPT, script)
        make_folder(folder / "licences")
        write_file(folder / "licences" / LICENCE, (PAGE / LICENCE).read_bytes())
    for name in ("style.css", *(f"{script}.js" for script in SCRIPTS)):
        write_file(folder / name, (PAGE / name).read_bytes())
    write_file(folder / "theme.css", theme())
    facts = json.dumps(_facts(model, layers is not None, has_network, pieces), ensure_ascii=True)
    write_file(folder / "facts.js", f"Object.assign(Pieces.facts, {facts});\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    write_file(folder / "index.html", page(model, has_network, sum(p["bytes"] for p in pieces)))
    says = (
        f"Open index.html in a browser: {size / 1e6:.1f} MB, nothing is fetched and nothing is sent.",
        "The inputs of the witness are part of the page. Do not publish it where the data must not go.",
    )
    return parity.ExportResult(_answer(model, extractor, files.get("network")), code="", needs=(), says=says)


def _files(model: Model) -> dict[str, bytes]:
    """The network, the runtime and the vocabulary by the page's names for them. Raises PlanError, ArtifactError."""
    spec = model.backbone.preprocess
    if spec.kind == "pieces":
        if not isinstance(head_of(model.fitted), Head):
            raise PlanError(
                "Nearest neighbours keep all their examples, and a page of static vectors has no network to hold them. "
                "Fit with --method logistic."
            )
        paths = {file.name: file for file in member("backbones", "own").files(model.backbone.local)}
        return {"vocabulary": paths[VOCABULARY_FILE].read_bytes(), "statics": paths[WEIGHTS_FILE].read_bytes()}
    if spec.kind not in ("image", "text"):
        inputs = {"vector": "vectors", "words": "hashed words"}.get(spec.kind, spec.kind)
        raise PlanError(
            f"{model.backbone.name} reads {inputs}, for which there is no page. Fit on photos or texts with another "
            "backbone: --backbone own."
        )
    if spec.pixel_range:
        raise PlanError(
            "The model learned from pictures of more than 8 bits, and a browser shows 8: its answers would be others. "
            "Save the pictures in 8 bits and fit again, or export another format."
        )
    runtime = onnxruntime_web.read_runtime(store.default_root())
    files = {"runtime.mjs": runtime[onnxruntime_web.GLUE], "runtime.wasm": runtime[onnxruntime_web.WASM]}
    if spec.kind == "text":
        files["vocabulary"] = _vocabulary(model).encode()
    from headstart.deployment.export.formats.onnx import export_network

    return {**files, "network": export_network(model).SerializeToString()}


def _vocabulary(model: Model) -> str:
    """An encoder's vocabulary, a token a line. Raises PlanError for another tokenizer than lower-case WordPiece."""
    try:
        return wordpiece.vocabulary_of(model.backbone)
    except PlanError as error:
        raise PlanError(
            f"The page splits texts with BERT's WordPiece in lower case, and {model.backbone.name} does otherwise. Fit "
            "with --backbone transformers:sentence-transformers/all-MiniLM-L6-v2 or own, or export --to onnx."
        ) from error


def _layers(model: Model) -> bytes | None:
    """The head as a safetensors file, float64: weight0 (d, k), bias0 (k,) …; None for nearest neighbours."""
    from safetensors.numpy import save

    head = head_of(model.fitted)
    if not isinstance(head, Head):
        return None
    arrays: dict[str, np.ndarray] = {}
    for i, (weight, bias) in enumerate(head.layers):
        arrays[f"weight{i}"] = np.ascontiguousarray(weight, np.float64)
        arrays[f"bias{i}"] = np.ascontiguousarray(bias, np.float64)
    return save(arrays)


def _witness(model: Model, extractor: Extractor) -> list[dict[str, Any]]:
    """Each input of the witness with Python's output of each stage."""
    contents = witness_inputs(model)
    outputs = parity.reference_outputs(model, extractor, contents)
    labels = _labels(model, outputs)
    entries = []
    for n, content in enumerate(contents):
        raw = content.encode() if isinstance(content, str) else content
        entry: dict[str, Any] = {"input": base64.b64encode(raw).decode(), "label": labels[n]}
        entry |= {"row": outputs.embedding[n].tolist(), "answers": _in_own_unit(model, outputs.probabilities[n])}
        if isinstance(content, bytes):
            image, min_side = np.asarray(decode_image(content)), parity.min_decoded_side(model.backbone.preprocess)
            entry |= {"size": [image.shape[1], image.shape[0]], "decoded": zlib.crc32(image.tobytes())}
            entry["reduced"] = decode_image(content, min_side).size != image.shape[1::-1]
            entry["fitted"] = zlib.crc32(np.ascontiguousarray(outputs.network_inputs[n]).tobytes())
        entries.append(entry)
    return entries


def _labels(model: Model, outputs: parity.Outputs) -> list[str]:
    """The label that the page must show for each input."""
    names = list(model.objective.facts().get("names", []))
    if model.objective.link == "identity":
        return ["" for _ in outputs.probabilities]
    if model.objective.link == "softmax":
        return [str(names[i]) for i in outputs.probabilities.argmax(1)]
    present = [[str(n) for n, p in zip(names, row, strict=True) if p >= 0.5] for row in outputs.probabilities]
    return [", ".join(tags) or "none of them" for tags in present]


def _in_own_unit(model: Model, probabilities: np.ndarray) -> list[float]:
    """Probabilities; a number in its own unit."""
    facts = model.objective.facts()
    spread, mean = facts.get("spread"), facts.get("mean")
    return probabilities.tolist() if spread is None else [float(v) * spread + mean for v in probabilities]


def _write_pieces(folder: Path, name: str, content: bytes) -> list[dict[str, Any]]:
    """Writes a file as scripts of PIECE_CHARS each; [{"path", "bytes"}]."""
    text = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    pieces = []
    for n, start in enumerate(range(0, len(text), PIECE_CHARS)):
        path = f"data/{name}.{n}.js"
        script = f'Pieces.take("{name}", {n}, "{text[start : start + PIECE_CHARS]}");\n'
        write_file(folder / path, script)
        pieces.append({"path": path, "bytes": (folder / path).stat().st_size})
    return pieces


def _facts(model: Model, has_layers: bool, has_network: bool, pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts that the page's scripts read, as JSON."""
    card, spec = model.backbone, dict(model.backbone.preprocess.settings)
    head = head_of(model.fitted)
    facts: dict[str, Any] = {
        "version": __version__,
        "kind": model.facts["kind"],
        "link": model.objective.link,
        "objective": model.objective.facts(),
        "tolerance": parity.TOLERANCE,
        "runtime": has_network,
        "files": pieces,
        "unteachable": "" if model.cut.top else UNTEACHABLE,
        "layers": {"count": len(head.layers), "unit": head.unit} if has_layers and isinstance(head, Head) else None,
        "card": {"schema": SCHEMA, **{key: model.facts[key] for key in CARD_FACTS if key in model.facts}},
        "preprocess": None,
    }
    if card.preprocess.kind == "image":
        return {**facts, "preprocess": {**spec, "least": parity.min_decoded_side(model.backbone.preprocess)}}
    names = ("dropped", "blank", "alone", "accents", "punctuation")
    facts["tokens"] = {"tables": {name: getattr(wordpiece, name.upper()) for name in names}}
    if not has_network:
        return {**facts, "statics": {"most": spec["most"]}}
    before, after = member("preprocess", "text").special(model.backbone.preprocess)
    settings = {key: spec[key] for key in ("max_length", "windows", "prompt", "lower", "pad")}
    facts["tokens"] |= {**settings, "before": before, "after": after, "normalize": has_unit_length(card.preprocess)}
    return facts


def _answer(model: Model, extractor: Extractor, network: bytes | None):
    """Outputs of the written network, by ONNX Runtime here; a page without a network is compared with its source."""
    if network is None:
        return lambda contents: parity.reference_outputs(model, extractor, contents)

    def answer(contents: Sequence[bytes | str]) -> parity.Outputs:
        import onnxruntime as ort

        session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])

        def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
            if unit.ndim == 3:
                return tuple(session.run(None, {"pixels": unit.transpose(2, 0, 1)[None].astype(np.float32)}))
            ids = unit[None].astype(np.int64)
            return tuple(session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)}))

        return parity.exported_outputs(model, contents, run)

    return answer
