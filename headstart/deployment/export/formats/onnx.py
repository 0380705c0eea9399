"""ONNX: one graph from an image's pixels, of any size, or from token ids, to probabilities; for any runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import missing_extra
from headstart.core.files import write_file
from headstart.core.plan import Model
from headstart.deployment.export import parity, predict_script
from headstart.deployment.export.onnx_builder import OPSET, GraphBuilder, build_model, import_onnx
from headstart.deployment.export.onnx_resize import resize_and_crop
from headstart.features.runner import Extractor

Settings = parity.NoSettings
SAYS = "one file from a photo's pixels or token ids to probabilities, for any ONNX runtime"
NAME = "model.onnx"
OPEN = """
session = ort.InferenceSession(f"{HERE}/model.onnx")
"""
ASK = """

def ask(ids):
    \"\"\"Token ids -> embedding, scores, probabilities.\"\"\"
    ids = np.array([ids], np.int64)
    return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
"""
PHOTO = 'p = session.run(["probabilities"], {"pixels": np.asarray(read(item))[None]})[0][0]'
VECTOR = 'p = session.run(["probabilities"], {"vectors": np.load(item)[None].astype(np.float32)})[0][0]'


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """model.onnx, and for texts the tokenizer. Raises what `build_graph` raises."""
    graph = build_graph(model)
    write_file(folder / NAME, graph.SerializeToString())
    parity.write_text_files(model, folder)
    imports = ["import numpy as np", "import onnxruntime as ort"]
    code = predict_script.graph_program(model, "An answer by ONNX Runtime.", imports, OPEN, ASK, PHOTO, VECTOR)
    needs = ("onnxruntime", "numpy", *predict_script.input_code(model)[2])
    answer = _answer(model, folder / NAME)
    return parity.ExportResult(answer, code, needs, opset=OPSET, says=usage_notes(model))


def usage_notes(model: Model) -> tuple[str, ...]:
    """Notes for the owner of a graph, a sentence each."""
    kind = model.backbone.preprocess.kind
    if kind == "image":
        side = parity.min_decoded_side(model.backbone.preprocess)
        return (
            "Input: pixels (n, height, width, 3) uint8, RGB, upright, any size; resizing, cropping and normalisation "
            "are inside, as Pillow does them.",
            f"A JPEG whose shorter side has more than twice {side} pixels is "
            "decoded at a half, a quarter or an eighth (Pillow's draft), as predict.py does it; decoded whole, answers "
            "move a little.",
        )
    lines = ["Inputs: input_ids and attention_mask (n, tokens) int64."] if kind != "vector" else []
    if kind == parity.WINDOWED_KIND:
        lines.append(parity.LONG_TEXT_NOTE)
    return tuple(lines)


def _answer(model: Model, file: Path) -> Callable:
    """Outputs of the written file, in ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(session.run(None, graph_inputs(model, unit)))

    return lambda contents: parity.exported_outputs(model, contents, run, raw=True)


def graph_inputs(model: Model, unit: np.ndarray) -> dict[str, np.ndarray]:
    """One unit as the graph's inputs."""
    name = parity.INPUT_NAMES.get(model.backbone.preprocess.kind)
    if name:
        return {name: unit[None]}
    ids = unit[None].astype(np.int64)
    return dict(zip(parity.TOKEN_INPUTS, (ids, np.ones_like(ids)), strict=True))


def build_graph(model: Model) -> Any:
    """The model as an onnx.ModelProto: for images resize and crop, then network, head and calibration.

    pixels (b, h, w, 3) uint8, RGB, upright, any h and w; or input_ids and attention_mask, (b, t) int64; or vectors
    (b, d) float32 -> embedding (b, d), scores (b, k), probabilities (b, k), float32
    Raises PlanError for a backbone or a head that has no such form, MissingExtra.
    """
    onnx, network = import_onnx(), export_network(model)
    nodes, constants = list(network.graph.node), list(network.graph.initializer)
    kinds, inputs = onnx.TensorProto, list(network.graph.input)
    if model.backbone.preprocess.kind == "image":
        builder = GraphBuilder()
        cropped = resize_and_crop(builder, builder.value("pixels"), model.backbone.preprocess)
        # torch's graph reads the cropped image where it read its own input.
        for node in nodes:
            node.input[:] = [cropped.name if name == inputs[0].name else name for name in node.input]
        nodes, constants = [*builder.nodes, *nodes], [*builder.constants, *constants]
        inputs = [onnx.helper.make_tensor_value_info("pixels", kinds.UINT8, ["batch", "height", "width", 3])]
    embedding = network.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    widths = (int(embedding), model.objective.width, model.objective.width)
    outputs = [
        onnx.helper.make_tensor_value_info(name, kinds.FLOAT, ["batch", width])
        for name, width in zip(parity.OUTPUT_NAMES, widths, strict=True)
    ]
    graph = build_model(nodes, constants, inputs, outputs)
    graph.functions.extend(network.functions)
    for entry in network.opset_import:
        if entry.domain:
            graph.opset_import.append(entry)
    for name, value in parity.metadata(model, "f32", OPSET).items():
        graph.metadata_props.add(key=name, value=value)
    onnx.checker.check_model(graph, full_check=True)
    return graph


def export_network(model: Model) -> Any:
    """torch's ONNX graph of the network and its head, with the inputs and outputs of `TorchModule`.

    Raises MissingExtra, and PlanError as `build_graph` does.
    """
    try:
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        raise missing_extra(error.name or "onnxscript", "export", "Writing an ONNX graph") from error
    from headstart.deployment.export import torch_module

    # torch warns of its own internals while it traces: a wrong graph fails the parity check.
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        program: Any = torch.onnx.export(
            torch_module.build_torch_module(model), torch_module.example_inputs(model), opset_version=OPSET,
            input_names=list(torch_module.input_names(model)), output_names=list(parity.OUTPUT_NAMES),
            dynamic_shapes=(torch_module.dynamic_shapes(model),), dynamo=True, verbose=False,
        )  # fmt: skip
    proto: Any = program.model_proto
    for node in proto.graph.node:
        node.ClearField("metadata_props")  # lines of our own source
        node.ClearField("doc_string")
    _rename_shadowed(proto.graph.node, parity.OUTPUT_NAMES)
    return proto


def _rename_shadowed(nodes: Any, outputs: tuple[str, ...]) -> None:
    """Renames inner values that torch named like an output, as the `embedding` of tokens."""
    last = {name: n for n, node in enumerate(nodes) for name in node.output}
    renamed: dict[str, str] = {}
    for n, node in enumerate(nodes):
        node.input[:] = [renamed.get(name, name) for name in node.input]
        for name in node.output:
            if name in outputs and last[name] != n:
                renamed[name] = f"{name}_{n}"
            else:
                renamed.pop(name, None)
        node.output[:] = [renamed.get(name, name) for name in node.output]
