"""torch.export: the model as a program that torch runs without Headstart or the backbone's library. No pickle."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import import_extra
from headstart.core.files import write_file
from headstart.core.plan import Model
from headstart.deployment.export import parity, predict_script
from headstart.features.runner import Extractor

Settings = parity.NoSettings
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
    p = program(torch.from_numpy(np.array(resize_and_crop(read(item)))[None]))[2][0].numpy()
"""
VECTOR = """
with torch.inference_mode():
    p = program(torch.from_numpy(np.load(item)[None].astype(np.float32)))[2][0].numpy()
"""


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """model.pt2, and for texts the tokenizer. Raises PlanError for what has no such form, MissingExtra."""
    torch = import_extra("torch", "export", "A torch.export program")
    from headstart.deployment.export import torch_module

    module: Any = torch_module.build_torch_module(model)
    inputs: Any = torch_module.example_inputs(model)
    is_image = model.backbone.preprocess.kind == "image"
    if is_image:
        module = torch_module.PixelModule(module).eval()
        inputs = (inputs[0].to(torch.uint8).permute(0, 2, 3, 1).contiguous(),)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        program = torch.export.export(module, inputs, dynamic_shapes=(torch_module.dynamic_shapes(model),))
        program.example_inputs = None
        extra_files = {f"headstart_{k}": v for k, v in parity.metadata(model, "f32").items()}
        pickled = io.BytesIO()  # of a file on a full disk its writer ends the process
        torch.export.save(program, pickled, extra_files=extra_files)
    write_file(folder / NAME, _without_pickle(pickled))
    parity.write_text_files(model, folder)
    imports = ["import numpy as np", "import torch"]
    code = predict_script.graph_program(model, "An answer by torch.", imports, OPEN, ASK, PHOTO, VECTOR)
    if is_image:
        code = code.replace("\n\nfor item in", f"{predict_script.crop_code(model)}\n\nfor item in")
    needs = ("torch", "numpy", *predict_script.input_code(model)[2])
    return parity.ExportResult(_answer(model, folder / NAME), code, needs, says=_usage_notes(model))


def _usage_notes(model: Model) -> tuple[str, ...]:
    kind = model.backbone.preprocess.kind
    pixels = "Input: (n, height, width, 3) uint8, resized and cropped with Pillow as predict.py does it."
    note = "The file holds numbers and JSON, no pickle. torch.export.load unpickles what others put into such a file."
    if kind == "image":
        return pixels, note
    return (note, parity.LONG_TEXT_NOTE) if kind == parity.WINDOWED_KIND else (note,)


def _without_pickle(pickled: io.BytesIO) -> memoryview:
    """torch 2.15 pickles sample inputs even where there are none; an empty entry is read as none, not unpickled."""
    written = io.BytesIO()
    with zipfile.ZipFile(pickled) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, b"" if entry.filename.endswith("sample_inputs/model.pt") else old.read(entry))
    return written.getbuffer()


def _answer(model: Model, file: Path) -> Callable:
    """Outputs of the written file."""
    import torch

    program = torch.export.load(file).module()
    is_text = model.backbone.preprocess.kind not in ("image", "vector")

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        batch = torch.from_numpy(np.array(unit))[None]  # a copy: Pillow's array is read-only
        inputs = (batch.long(), torch.ones_like(batch).long()) if is_text else (batch,)
        with torch.inference_mode():
            return tuple(x.numpy() for x in program(*inputs))

    return lambda contents: parity.exported_outputs(model, contents, run)
