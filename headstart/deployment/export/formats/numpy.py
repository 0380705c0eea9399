"""The head alone, for programs that make embeddings themselves: two small files and numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.core.plan import Model
from headstart.deployment.export import predict_script
from headstart.deployment.export.parity import Said, Written, head_file, ours
from headstart.features.extract import Running

SAYS = "the head alone, from an embedding to probabilities, with numpy"


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing is set."""


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """head.npz. Raises PlanError for a head that is no plain matrices."""
    head_file(model, folder)
    title = "Probabilities of embeddings: python predict.py EMBEDDING.npy…, each (d,)."
    opening = f"{predict_script.HEAD.strip()}\n\n{predict_script.linked(model)}"
    code = predict_script.program(
        title, ["import numpy as np"], opening, "p = probabilities(scores(np.load(item)))", model, reads=False
    )
    width = model.backbone.width
    names = f"an embedding of {model.backbone.name}, which `headstart export --to onnx` gives as `embedding`"
    if not model.cut.top:
        names = "the embedding that the tuned network gives, `embedding` of `headstart export --to onnx`"
    return Written(
        _answer(model, running, folder),
        code,
        ("numpy",),
        takes="EMBEDDING.npy",
        says=(f"Input: {names}.",),
        more={"width": width},
    )


def _answer(model: Model, running: Running, folder: Path):
    """Answers of the file as it lies, to our own embeddings."""

    def answer(contents: Sequence[bytes | str]) -> Said:
        mine = ours(model, running, contents)
        with np.load(folder / "head.npz", allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        x = mine.embedding.astype(np.float32)
        if held["unit"][0]:
            x = x / np.linalg.norm(x, axis=1, keepdims=True)
        for i in range(sum(name.startswith("w") for name in held)):
            x = (np.maximum(x, 0) if i else x) @ held[f"w{i}"] + held[f"b{i}"]
        return Said(mine.embedding, model.objective.probabilities(x))

    return answer
