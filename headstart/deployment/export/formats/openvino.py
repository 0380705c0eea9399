"""OpenVINO: the ONNX graph for Intel's runtime, in half precision, or in 8 bits, with their cost.

8 bits by ONNX Runtime's own quantization (MIT, already a dependency), not NNCF 3.4: it cannot be installed without
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

from headstart.core.disk_errors import library_writes
from headstart.core.errors import PlanError
from headstart.core.plan import Model
from headstart.deployment.export import parity, predict_script
from headstart.deployment.export.calibration_inputs import training_inputs
from headstart.deployment.export.formats.onnx import build_graph, graph_inputs, usage_notes
from headstart.deployment.export.onnx_builder import NODE_PREFIX
from headstart.features import openvino_graphs
from headstart.features.runner import Extractor

SAYS = "the same graph for OpenVINO, in half precision, or in 8 bits with what that costs"
NAME = "model.xml"
CALIBRATION_INPUTS = 64  # from which the activations' ranges are taken
OPEN = """
sys.modules["openvino_telemetry"] = None  # it would report every use to its makers
import openvino

compiled = openvino.Core().compile_model(f"{HERE}/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
"""
ASK = """

def ask(ids):
    \"\"\"Token ids -> embedding, scores, probabilities.\"\"\"
    ids = np.array([ids], np.int64)
    outputs = compiled({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return [outputs[name] for name in ("embedding", "scores", "probabilities")]
"""
PHOTO = 'p = compiled({"pixels": np.asarray(read(item))[None]})["probabilities"][0]'
VECTOR = 'p = compiled({"vectors": np.load(item)[None].astype(np.float32)})["probabilities"][0]'


@dataclass(frozen=True, slots=True)
class Settings:
    """precision: of the weights; int8 quantizes activations too."""

    precision: Literal["f16", "f32", "int8"] = "f16"


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """model.xml and model.bin, and for texts the tokenizer. Raises what formats/onnx.py raises, MissingExtra."""
    library = openvino_graphs.import_openvino("Exporting to OpenVINO")
    graph, notes = build_graph(model), usage_notes(model)
    if settings.precision == "int8":
        graph, quantization_note = _quantize(model, graph)
        notes = (*notes, quantization_note)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(action="ignore"):
        (Path(scratch) / "model.onnx").write_bytes(graph.SerializeToString())
        network = library.convert_model(Path(scratch) / "model.onnx")
        for key, value in parity.metadata(model, settings.precision).items():
            network.set_rt_info(value, ["headstart", key])
        if settings.precision != "f32":
            # Small constants stay float32: half precision of those saves nothing and costs most, 7e-3 of
            # MobileNetV2's embeddings.
            with library_writes(Path(scratch)):
                library.save_model(network, Path(scratch) / NAME, compress_to_fp16=False)
            openvino_graphs.keep_float32(Path(scratch) / NAME, openvino_graphs.small_constants)
            network = library.Core().read_model(Path(scratch) / NAME)
        with library_writes(folder):
            library.save_model(network, folder / NAME, compress_to_fp16=settings.precision != "f32")
    parity.write_text_files(model, folder)
    imports = ["import numpy as np"]
    code = predict_script.graph_program(model, "An answer by OpenVINO.", imports, OPEN, ASK, PHOTO, VECTOR)
    needs = ("openvino", "numpy", *predict_script.input_code(model)[2])
    tolerance = parity.TOLERANCE if settings.precision == "f32" else parity.HALF_TOLERANCE
    return parity.ExportResult(
        _answer(model, library, folder / NAME), code, needs, settings.precision,
        tolerance=tolerance, judged=settings.precision == "int8", says=notes,
    )  # fmt: skip


def _answer(model: Model, library: Any, file: Path) -> Callable:
    """Outputs of the written files."""
    compiled = library.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        outputs = compiled(graph_inputs(model, unit))
        return tuple(np.array(outputs[name]) for name in parity.OUTPUT_NAMES)

    return lambda contents: parity.exported_outputs(model, contents, run, raw=True)


def _quantize(model: Model, proto: Any) -> tuple[Any, str]:
    """The graph with its network's matrices and kernels in 8 bits, and a note on the calibration inputs.

    Resize, image statistics and the head keep their precision: they are small, and pixels must stay exact.
    Raises PlanError where the graph holds nothing to quantize.
    """
    from onnxruntime import quantization as q

    constants = {t.name for t in proto.graph.initializer}
    head_inputs = {name for node in proto.graph.node if "scores" in node.output for name in node.input}
    quantized = [
        node.name
        for node in proto.graph.node
        if (node.op_type in ("Conv", "Gemm") or (node.op_type == "MatMul" and constants & set(node.input)))
        and not node.name.startswith(f"{NODE_PREFIX}_")
        and not head_inputs & set(node.output)
    ]
    if not quantized:
        raise PlanError(f"{model.backbone.name} has no matrices that 8 bits would make smaller: take precision=f16.")
    contents, origin = training_inputs(model, CALIBRATION_INPUTS)

    class Inputs(q.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = _calibration_batches(model, contents)

        def get_next(self):
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as scratch:
        float_file, int8_file = Path(scratch) / "f32.onnx", Path(scratch) / "int8.onnx"
        float_file.write_bytes(proto.SerializeToString())
        logging.getLogger().setLevel(logging.ERROR)
        q.quantize_static(
            float_file, int8_file, Inputs(), quant_format=q.QuantFormat.QDQ, nodes_to_quantize=quantized,
            per_channel=True, activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8,
            calibrate_method=q.CalibrationMethod.MinMax,
        )  # fmt: skip
        import onnx

        return onnx.load(int8_file), f"Ranges of 8 bits were taken from {len(contents)} {origin}."


def _calibration_batches(model: Model, contents: list) -> Iterator[dict[str, np.ndarray]]:
    """The graph's inputs for each unit of the contents."""
    units: list[np.ndarray] = []

    def collect(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        units.append(unit)
        width = model.objective.width
        return np.zeros((1, model.backbone.width)), np.zeros((1, width)), np.zeros((1, width))

    for content in contents:
        parity.exported_outputs(model, [content], collect, raw=True)
        yield from (graph_inputs(model, unit) for unit in units)
        units.clear()
