"""torch.export: the model as a program that torch runs anywhere without our code or the library's. Holds no pickle."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import missing_extra
from headstart.core.plan import Model
from headstart.deployment.export import predict_script
from headstart.deployment.export.formats.onnx import beside, code_for
from headstart.deployment.export.parity import WINDOWED, Written, metadata, told
from headstart.features.extract import Running

SAYS = "a torch.export program (.pt2), from a photo after the crop or from token ids to probabilities"
NAME = "model.pt2"
OPEN = """
program = torch.export.load(f"{HERE}/model.pt2").module()
"""
ASK = """

def ask(ids):
    \"\"\"Token ids -> embedding, scores, probabilities.\"\"\"
    ids = torch.tensor([ids])
    with torch.inference_mode():
        return [x.numpy() for x in program(ids, torch.ones_like(ids))]
"""
PHOTO = """
with torch.inference_mode():
    p = program(torch.from_numpy(np.array(fitted(read(item)))[None]))[2][0].numpy()
"""
VECTOR = """
with torch.inference_mode():
    p = program(torch.from_numpy(np.load(item)[None].astype(np.float32)))[2][0].numpy()
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing is set: weights are in single precision."""


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """model.pt2, and for texts the tokenizer. Raises PlanError for what has no such form, MissingExtra."""
    try:
        import torch
    except ImportError as error:
        raise missing_extra("torch", "export", "A torch.export program") from error
    from headstart.deployment.export.torch_module import Pixels, example, ported, shapes

    photos = model.backbone.preprocess.kind == "image"
    inputs: Any = example(model)
    whole = Pixels(ported(model)).eval() if photos else ported(model)
    if photos:
        inputs = (inputs[0].to(torch.uint8).permute(0, 2, 3, 1).contiguous(),)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        program = torch.export.export(whole, inputs, dynamic_shapes=(shapes(model),))
        program.example_inputs = None
        said = {f"headstart_{k}": v for k, v in metadata(model, "f32").items()}
        torch.export.save(program, folder / "whole.pt2", extra_files=said)
    _without_pickle(folder / "whole.pt2", folder / NAME)
    beside(model, folder)
    imports = ["import numpy as np", "import torch"]
    code = code_for(model, "An answer by torch.", imports, OPEN, ASK, PHOTO, VECTOR)
    if photos:
        code = code.replace("\n\nfor item in", f"{predict_script.fitted(model)}\n\nfor item in")
    needs = ("torch", "numpy", *predict_script.reading(model)[2])
    return Written(_answer(model, folder / NAME), code, needs, says=_says(model))


def _says(model: Model) -> tuple[str, ...]:
    kind = model.backbone.preprocess.kind
    lines = [
        "The file holds numbers and JSON, no pickle. torch.export.load unpickles what others put into such a file."
    ]
    if kind == "image":
        lines.insert(0, "Input: (n, height, width, 3) uint8, resized and cropped with Pillow as predict.py does it.")
    elif kind == WINDOWED:
        lines.append("A text longer than one window is averaged outside, with head.npz: predict.py does it.")
    return tuple(lines)


def _without_pickle(whole: Path, file: Path) -> None:
    """torch 2.15 pickles sample inputs even where there are none; an empty entry is read as none, and not unpickled."""
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, b"" if entry.filename.endswith("sample_inputs/model.pt") else old.read(entry))
    whole.unlink()


def _answer(model: Model, file: Path) -> Callable:
    """Answers of the file as it lies."""
    import torch

    program = torch.export.load(file).module()
    words = model.backbone.preprocess.kind not in ("image", "vector")

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        one = torch.from_numpy(np.array(unit))[None]  # a copy: what Pillow holds is not for writing
        inputs = (one.long(), torch.ones_like(one).long()) if words else (one,)
        with torch.inference_mode():
            return tuple(x.numpy() for x in program(*inputs))

    return lambda contents: told(model, contents, run)
