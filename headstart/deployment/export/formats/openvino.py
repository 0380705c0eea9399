"""OpenVINO: the ONNX graph as Intel's runtime reads it, in half precision, or rounded to 8 bits and judged for it.

8 bits by ONNX Runtime's own quantisation (MIT, already here). NNCF 3.4 is left out: it cannot be installed without
openvino-telemetry, which reports every use to its makers.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.plan import Model
from headstart.deployment.export import predict_script
from headstart.deployment.export.calibration_inputs import learned_from
from headstart.deployment.export.formats.onnx import beside, code_for, fed, graph, told_of
from headstart.deployment.export.parity import HALF, TOLERANCE, Written, metadata, told
from headstart.features import openvino_graphs
from headstart.features.extract import Running

SAYS = "the same graph for OpenVINO, in half precision, or in 8 bits with what that costs"
NAME = "model.xml"
ORDER = ("embedding", "scores", "probabilities")
CALIBRATES = 64  # inputs that the ranges of 8 bits are taken from
OPEN = """
sys.modules["openvino_telemetry"] = None  # it would report every use to its makers
import openvino

compiled = openvino.Core().compile_model(f"{HERE}/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
"""
ASK = """

def ask(ids):
    \"\"\"Token ids -> embedding, scores, probabilities.\"\"\"
    ids = np.array([ids], np.int64)
    said = compiled({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return [said[name] for name in ("embedding", "scores", "probabilities")]
"""
PHOTO = 'p = compiled({"pixels": np.asarray(read(item))[None]})["probabilities"][0]'
VECTOR = 'p = compiled({"vectors": np.load(item)[None].astype(np.float32)})["probabilities"][0]'


@dataclass(frozen=True, slots=True)
class Settings:
    """precision: of the weights; int8 rounds what goes through the network too."""

    precision: Literal["f16", "f32", "int8"] = "f16"


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """model.xml and model.bin, and for texts the tokenizer. Raises what formats/onnx.py raises, MissingExtra."""
    library = openvino_graphs.library("Exporting to OpenVINO")
    made, says = graph(model, running), told_of(model)
    if settings.precision == "int8":
        made, said = _rounded(model, made)
        says = (*says, said)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings(action="ignore"):
        (Path(place) / "model.onnx").write_bytes(made.SerializeToString())
        network = library.convert_model(Path(place) / "model.onnx")
        for key, value in metadata(model, settings.precision).items():
            network.set_rt_info(value, ["headstart", key])
        if settings.precision != "f32":
            # Rounding what is small gains no bytes and loses most: 7e-3 of MobileNetV2's rows.
            library.save_model(network, Path(place) / NAME, compress_to_fp16=False)
            openvino_graphs.keep_single(Path(place) / NAME, openvino_graphs.small)
            network = library.Core().read_model(Path(place) / NAME)
        library.save_model(network, folder / NAME, compress_to_fp16=settings.precision != "f32")
    beside(model, folder)
    code = code_for(model, "An answer by OpenVINO.", ["import numpy as np"], OPEN, ASK, PHOTO, VECTOR)
    needs = ("openvino", "numpy", *predict_script.reading(model)[2])
    tolerance = TOLERANCE if settings.precision == "f32" else HALF
    return Written(
        _answer(model, library, folder / NAME), code, needs, settings.precision,
        tolerance=tolerance, judged=settings.precision == "int8", says=says,
    )  # fmt: skip


def _answer(model: Model, library: Any, file: Path) -> Callable:
    """Answers of the files as they lie."""
    compiled = library.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        said = compiled(fed(model, unit))
        return tuple(np.array(said[name]) for name in ORDER)

    return lambda contents: told(model, contents, run, raw=True)


def _rounded(model: Model, made: Any) -> tuple[Any, str]:
    """The graph with its network's matrices and kernels in 8 bits, and what the ranges were taken from.

    Resizing, the floor's numbers and the head stay as they are: they are small, and whole pixels must stay whole.
    Raises PlanError where nothing of the graph is a network.
    """
    from onnxruntime import quantization as q

    held = {t.name for t in made.graph.initializer}
    last = {name for node in made.graph.node if "scores" in node.output for name in node.input}
    some = [
        node.name
        for node in made.graph.node
        if (node.op_type in ("Conv", "Gemm") or (node.op_type == "MatMul" and held & set(node.input)))
        and not node.name.startswith("look_")
        and not last & set(node.output)
    ]
    if not some:
        raise PlanError(f"{model.backbone.name} has no matrices that 8 bits would make smaller: take precision=f16.")
    contents, told_from = learned_from(model, CALIBRATES)

    class Inputs(q.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = _inputs(model, contents)

        def get_next(self):
            return next(self.left, None)

    with tempfile.TemporaryDirectory() as place:
        before, after = Path(place) / "f32.onnx", Path(place) / "int8.onnx"
        before.write_bytes(made.SerializeToString())
        logging.getLogger().setLevel(logging.ERROR)
        q.quantize_static(
            before, after, Inputs(), quant_format=q.QuantFormat.QDQ, nodes_to_quantize=some, per_channel=True,
            activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8,
            calibrate_method=q.CalibrationMethod.MinMax,
        )  # fmt: skip
        import onnx

        return onnx.load(after), f"Ranges of 8 bits were taken from {len(contents)} {told_from}."


def _inputs(model: Model, contents: list) -> Iterator[dict[str, np.ndarray]]:
    found: list[np.ndarray] = []

    def keep(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        found.append(unit)
        width = model.objective.width
        return np.zeros((1, model.backbone.width)), np.zeros((1, width)), np.zeros((1, width))

    for content in contents:
        told(model, [content], keep, raw=True)
        yield from (fed(model, unit) for unit in found)
        found.clear()
