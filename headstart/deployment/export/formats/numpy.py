"""numpy: the head alone, for programs that compute embeddings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart.core.plan import Model
from headstart.deployment.export import parity, predict_script
from headstart.features.runner import Extractor

Settings = parity.NoSettings
SAYS = "the head alone, from an embedding to probabilities, with numpy"


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """head.npz. Raises PlanError for a nearest-neighbour head."""
    parity.write_head(model, folder)
    title = "Probabilities of embeddings: python predict.py EMBEDDING.npy…, each (d,)."
    setup = f"{predict_script.HEAD.strip()}\n\n{predict_script.link_code(model)}"
    ask = "p = probabilities(scores(np.load(item)))"
    code = predict_script.build_program(title, ["import numpy as np"], setup, ask, model, reads=False)
    source = f"an embedding of {model.backbone.name}, which `headstart export --to onnx` gives as `embedding`"
    if not model.cut.top:
        source = "the embedding that the tuned network gives, `embedding` of `headstart export --to onnx`"
    says, more, answer = (f"Input: {source}.",), {"width": model.backbone.width}, _answer(model, extractor, folder)
    return parity.ExportResult(answer, code, ("numpy",), takes="EMBEDDING.npy", says=says, more=more)


def _answer(model: Model, extractor: Extractor, folder: Path):
    """Outputs of the written head, on the model's own embeddings."""

    def answer(contents: Sequence[bytes | str]) -> parity.Outputs:
        reference = parity.reference_outputs(model, extractor, contents)
        with np.load(folder / "head.npz", allow_pickle=False) as file:
            head = {name: file[name] for name in file.files}
        x = reference.embedding.astype(np.float32)
        if head["unit"][0]:
            x = x / np.linalg.norm(x, axis=1, keepdims=True)
        for i in range(sum(name.startswith("w") for name in head)):
            x = (np.maximum(x, 0) if i else x) @ head[f"w{i}"] + head[f"b{i}"]
        return parity.Outputs(reference.embedding, model.objective.probabilities(x))

    return answer
