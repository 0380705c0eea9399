"""A page that answers in the browser and learns there: a folder that opens from disk or from any static host.

    index.html, theme.css, style.css, *.js    the page, as headstart/web holds it, and its facts
    data/*.js                                 gzip in base64: the network, the runtime, tokens, the witness
    licences/                                 of what came along

A page from disk may fetch nothing, import no module and start no worker from a file. So everything comes in classic
scripts; what is large comes in pieces, which also lets the page show how far it is. See docs/web.md.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones import wordpiece
from headstart.backbones.static_embeddings import VOCABULARY, WEIGHTS
from headstart.core.errors import PlanError
from headstart.core.head import Head
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.core.version import __version__
from headstart.deployment.export import onnxruntime_web
from headstart.deployment.export.calibration_inputs import witnesses
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.parity import TOLERANCE, Said, Written, ours, remaining, told
from headstart.deployment.export.web_page import LICENCE, PAGE, SCRIPTS, page, theme
from headstart.features.cache import store
from headstart.features.extract import Running, unit_length

SAYS = "a folder with a page that answers and learns in the browser; opens from disk, needs no server"
PIECE = 1 << 20  # characters of base64 a script holds: the page tells how far it is after each


@dataclass(frozen=True, slots=True)
class Settings:
    """A page has none."""


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """Writes the page.

    Raises PlanError for a backbone that no browser runs, ArtifactError where the runtime has not been fetched,
    MissingExtra.
    """
    files = _files(model)
    layers = _layers(model)
    if layers is not None:
        files["head"] = layers
    files["witness"] = json.dumps({"witness": _witness(model, running)}).encode()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pieces = [piece for name, content in files.items() for piece in _pieces(folder, name, content)]
    needed = "network" in files
    if needed:
        script = onnxruntime_web.found(store.default_root())[onnxruntime_web.SCRIPT]
        (folder / onnxruntime_web.SCRIPT).write_bytes(script)
        (folder / "licences").mkdir(exist_ok=True)
        (folder / "licences" / LICENCE).write_bytes((PAGE / LICENCE).read_bytes())
    for name in ("style.css", *(f"{script}.js" for script in SCRIPTS)):
        (folder / name).write_bytes((PAGE / name).read_bytes())
    (folder / "theme.css").write_text(theme(), encoding="utf-8")
    facts = _facts(model, layers is not None, needed, pieces)
    told_to_it = json.dumps(facts, ensure_ascii=True)
    (folder / "facts.js").write_text(f"Object.assign(Pieces.facts, {told_to_it});\n", encoding="ascii")
    weight = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    (folder / "index.html").write_text(page(model, needed, sum(p["bytes"] for p in pieces)), encoding="utf-8")
    return Written(
        answer=_answering(model, running, files.get("network")),
        code="",
        needs=(),
        says=(
            f"Open index.html in a browser: {weight / 1e6:.1f} MB, nothing is fetched and nothing is sent.",
            "The inputs of the witness are part of the page. Do not publish it where the data must not go.",
        ),
    )


def _files(model: Model) -> dict[str, bytes]:
    """What the network and its inputs need, by the name that the page has for it. Raises PlanError, ArtifactError."""
    spec = model.backbone.preprocess
    if spec.kind == "pieces":
        if not isinstance(_head(model), Head):
            raise PlanError(
                "Nearest neighbours keep all their examples, and a page of static vectors has no network to hold them. "
                "Fit with --method logistic."
            )
        held = {file.name: file for file in member("backbones", "own").files(model.backbone.local)}
        return {"vocabulary": held[VOCABULARY].read_bytes(), "statics": held[WEIGHTS].read_bytes()}
    if spec.kind not in ("image", "text"):
        what = {"vector": "vectors", "words": "hashed words"}.get(spec.kind, spec.kind)
        raise PlanError(
            f"{model.backbone.name} reads {what}, for which there is no page. Fit on photos or texts with another "
            "backbone: --backbone own."
        )
    held = onnxruntime_web.found(store.default_root())
    files = {"runtime.mjs": held[onnxruntime_web.GLUE], "runtime.wasm": held[onnxruntime_web.WASM]}
    if spec.kind == "text":
        files["vocabulary"] = _vocabulary(model).encode()
    from headstart.deployment.export.formats.onnx import network

    return {**files, "network": network(model).SerializeToString()}


def _vocabulary(model: Model) -> str:
    """The tokens of an encoder, one a line. Raises PlanError where they are not BERT's WordPiece in lower case."""
    from headstart.backbones.wordpiece import vocabulary_of

    try:
        return vocabulary_of(model.backbone)
    except PlanError as error:
        raise PlanError(
            f"The page splits texts with BERT's WordPiece in lower case, and {model.backbone.name} does otherwise. Fit "
            "with --backbone transformers:sentence-transformers/all-MiniLM-L6-v2 or own, or export --to onnx."
        ) from error


def _head(model: Model) -> object:
    return head_of(model.fitted)


def _layers(model: Model) -> bytes | None:
    """The head as a safetensors file, float64: weight0 (d, k), bias0 (k,) …; None for one that is no matrices."""
    from safetensors.numpy import save

    head = _head(model)
    if not isinstance(head, Head):
        return None
    pairs = [
        (f"{name}{i}", a)
        for i, layer in enumerate(head.layers)
        for name, a in zip(("weight", "bias"), layer, strict=True)
    ]
    return save({name: np.ascontiguousarray(a, np.float64) for name, a in pairs})


def _witness(model: Model, running: Running) -> list[dict[str, Any]]:
    """Each input of the witness with what Python makes of it now, stage by stage."""
    contents = witnesses(model)
    said = ours(model, running, contents)
    labels = _labels(model, said)
    found = []
    for n, content in enumerate(contents):
        raw = content.encode() if isinstance(content, str) else content
        each: dict[str, Any] = {"input": base64.b64encode(raw).decode(), "label": labels[n]}
        each |= {"row": said.embedding[n].tolist(), "answers": _own(model, said.probabilities[n])}
        if isinstance(content, bytes):
            from headstart.features.image_decoding import decode

            picture, least = np.asarray(decode(content)), remaining(model.backbone.preprocess)
            each |= {"size": [picture.shape[1], picture.shape[0]], "decoded": zlib.crc32(picture.tobytes())}
            each["reduced"] = decode(content, least).size != picture.shape[1::-1]
            each["fitted"] = zlib.crc32(np.ascontiguousarray(said.fed[n]).tobytes())
        found.append(each)
    return found


def _labels(model: Model, said: Said) -> list[str]:
    """What the page is to say, in its own words."""
    facts, names = model.objective.facts(), list(model.objective.facts().get("names", []))
    if model.objective.link == "identity":
        return ["" for _ in said.probabilities]
    if model.objective.link == "softmax":
        return [str(names[i]) for i in said.probabilities.argmax(1)]
    on = [[str(name) for name, p in zip(facts["names"], row, strict=True) if p >= 0.5] for row in said.probabilities]
    return [", ".join(some) or "none of them" for some in on]


def _own(model: Model, answers: np.ndarray) -> list[float]:
    """Probabilities; of a number the number in its own unit."""
    facts = model.objective.facts()
    return [float(v) * facts["spread"] + facts["mean"] for v in answers] if "spread" in facts else answers.tolist()


def _pieces(folder: Path, name: str, content: bytes) -> list[dict[str, Any]]:
    """Writes a file as scripts; [{"path", "bytes"}]."""
    text = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    made = []
    for n, at in enumerate(range(0, len(text), PIECE)):
        path = f"data/{name}.{n}.js"
        (folder / path).write_text(f'Pieces.take("{name}", {n}, "{text[at : at + PIECE]}");\n', encoding="ascii")
        made.append({"path": path, "bytes": (folder / path).stat().st_size})
    return made


def _facts(model: Model, layered: bool, needed: bool, pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page must know, as JSON."""
    card, spec = model.backbone, dict(model.backbone.preprocess.settings)
    head = _head(model)
    facts: dict[str, Any] = {
        "version": __version__,
        "kind": model.facts["kind"],
        "link": model.objective.link,
        "objective": model.objective.facts(),
        "tolerance": TOLERANCE,
        "runtime": needed,
        "files": pieces,
        "unteachable": _unteachable(model),
        "layers": {"count": len(head.layers), "unit": head.unit} if layered and isinstance(head, Head) else None,
        "card": {key: model.facts[key] for key in ("schema", "headstart", "kind", "backbone", "cut", "tolerance")},
        "preprocess": None,
    }
    if card.preprocess.kind == "image":
        return {**facts, "preprocess": {**spec, "least": remaining(model.backbone.preprocess)}}
    names = ("dropped", "blank", "alone", "accents", "punctuation")
    facts["tokens"] = {"tables": {name: getattr(wordpiece, name.upper()) for name in names}}
    if not needed:
        return {**facts, "statics": {"most": spec["most"]}}
    before, after = member("preprocess", "text").special(str(spec["tokenizer"]))
    kept = {key: spec[key] for key in ("max_length", "windows", "prompt", "lower", "pad")}
    facts["tokens"] |= {**kept, "before": before, "after": after, "normalize": unit_length(card.preprocess)}
    return facts


def _unteachable(model: Model) -> str:
    """Why no class can be taught in the page; "" where some can."""
    if not model.cut.top:
        return (
            "This network was changed while it learned, and a model folder holds changes of one base only. Teaching "
            "needs a page of a head on a frozen network: headstart fit … --method probe, then export that."
        )
    return ""


def _answering(model: Model, running: Running, network: bytes | None):
    """The network as it was packed, run by ONNX Runtime here; what needs none is held against its source."""
    if network is None:
        return lambda contents: ours(model, running, contents)

    def answer(contents: Sequence[bytes | str]) -> Said:
        import onnxruntime as ort

        session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])

        def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
            if unit.ndim == 3:
                return tuple(session.run(None, {"pixels": unit.transpose(2, 0, 1)[None].astype(np.float32)}))
            ids = unit[None].astype(np.int64)
            return tuple(session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)}))

        return told(model, contents, run)

    return answer
