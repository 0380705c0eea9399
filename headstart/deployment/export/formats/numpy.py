"""numpy: the head alone, for programs that compute embeddings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.core.plan import Model
from headstart.deployment.export import predict_script
from headstart.deployment.export.parity import ExportResult, Outputs, reference_outputs, write_head
from headstart.features.runner import Extractor

SAYS = "the head alone, from an embedding to probabilities, with numpy"


@dataclass(frozen=True, slots=True)
class Settings:
    """No settings."""


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> ExportResult:
    """head.npz. Raises PlanError for a nearest-neighbour head."""
    write_head(model, folder)
    title = "Probabilities of embeddings: python predict.py EMBEDDING.npy…, each (d,)."
    setup = f"{predict_script.HEAD.strip()}\n\n{predict_script.link_code(model)}"
    code = predict_script.build_program(
        title, ["import numpy as np"], setup, "p = probabilities(scores(np.load(item)))", model, reads=False
    )
    source = f"an embedding of {model.backbone.name}, which `headstart export --to onnx` gives as `embedding`"
    if not model.cut.top:
        source = "the embedding that the tuned network gives, `embedding` of `headstart export --to onnx`"
    return ExportResult(
        _answer(model, extractor, folder),
        code,
        ("numpy",),
        takes="EMBEDDING.npy",
        says=(f"Input: {source}.",),
        more={"width": model.backbone.width},
    )


def _answer(model: Model, extractor: Extractor, folder: Path):
    """Outputs of the written head, on the model's own embeddings."""

    def answer(contents: Sequence[bytes | str]) -> Outputs:
        reference = reference_outputs(model, extractor, contents)
        with np.load(folder / "head.npz", allow_pickle=False) as file:
            head = {name: file[name] for name in file.files}
        x = reference.embedding.astype(np.float32)
        if head["unit"][0]:
            x = x / np.linalg.norm(x, axis=1, keepdims=True)
        for i in range(sum(name.startswith("w") for name in head)):
            x = (np.maximum(x, 0) if i else x) @ head[f"w{i}"] + head[f"b{i}"]
        return Outputs(reference.embedding, model.objective.probabilities(x))

    return answer
