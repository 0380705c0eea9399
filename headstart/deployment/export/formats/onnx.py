"""ONNX: one file from a photo's pixels, of any size, or from token ids, to probabilities; for any runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import missing_extra
from headstart.core.head import Head
from headstart.core.plan import Model
from headstart.deployment.export import predict_script
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.onnx_builder import OPSET, Sketch, assembled, library
from headstart.deployment.export.onnx_resize import looked
from headstart.deployment.export.parity import WINDOWED, Written, head_file, metadata, remaining, tokenizer, told
from headstart.features.extract import Running

SAYS = "one file from a photo's pixels or token ids to probabilities, for any ONNX runtime"
NAME = "model.onnx"
INPUT = {"image": "pixels", "vector": "vectors"}
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


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing is set: weights are in single precision."""


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """model.onnx, and for texts the tokenizer. Raises what `graph` raises."""
    made = graph(model, running)
    (folder / NAME).write_bytes(made.SerializeToString())
    beside(model, folder)
    imports = ["import numpy as np", "import onnxruntime as ort"]
    code = code_for(model, "An answer by ONNX Runtime.", imports, OPEN, ASK, PHOTO, VECTOR)
    needs = ("onnxruntime", "numpy", *predict_script.reading(model)[2])
    answer = _answer(model, folder / NAME)
    return Written(answer, code, needs, opset=OPSET, says=told_of(model))


def beside(model: Model, folder: Path) -> None:
    """The tokenizer, and the head by itself where long texts are averaged before it."""
    tokenizer(model, folder)
    if model.backbone.preprocess.kind == WINDOWED and isinstance(head_of(model.fitted), Head):
        head_file(model, folder)


def told_of(model: Model) -> tuple[str, ...]:
    """What the owner of a graph should know, a sentence each."""
    kind = model.backbone.preprocess.kind
    if kind == "image":
        return (
            "Input: pixels (n, height, width, 3) uint8, RGB, upright, any size; resizing, cropping and normalisation "
            "are inside, as Pillow does them.",
            "A JPEG whose shorter side has more than twice "
            f"{remaining(model.backbone.preprocess)} pixels is decoded at a half, a quarter or an eighth (Pillow's "
            "draft), as predict.py does it; decoded whole, answers move a little.",
        )
    lines = ["Inputs: input_ids and attention_mask (n, tokens) int64."] if kind != "vector" else []
    if kind == WINDOWED:
        lines.append("A text longer than one window is averaged outside, with head.npz: predict.py does it.")
    return tuple(lines)


def code_for(model: Model, title: str, imports: list[str], opening: str, ask: str, photo: str, vector: str) -> str:
    """The program that goes with a graph."""
    kind = model.backbone.preprocess.kind
    if kind in INPUT:
        return predict_script.program(title, imports, opening, photo if kind == "image" else vector, model)
    functions, asking = predict_script.texts(model)
    return predict_script.program(title, imports, opening.rstrip() + "\n" + ask + functions, asking, model)


def _answer(model: Model, file: Path) -> Callable:
    """Answers of the file as it lies, in ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(session.run(None, fed(model, unit)))

    return lambda contents: told(model, contents, run, raw=True)


def fed(model: Model, unit: np.ndarray) -> dict[str, np.ndarray]:
    """One unit as the graph's inputs."""
    name = INPUT.get(model.backbone.preprocess.kind)
    if name:
        return {name: unit[None]}
    ids = unit[None].astype(np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def graph(model: Model, running: Running) -> Any:
    """The model as an onnx.ModelProto: network, head and calibration, and for photos what happens to them before.

    pixels (b, h, w, 3) uint8, RGB, upright, any h and w; or input_ids and attention_mask, (b, t) int64; or vectors
    (b, d) float32 -> embedding (b, d), scores (b, k), probabilities (b, k), float32.  running: not needed, kept open
    Raises PlanError for a backbone or a head that has no such form, MissingExtra.
    """
    onnx, program = library(), network(model)
    from headstart.deployment.export.torch_module import OUTPUTS

    nodes, constants = list(program.graph.node), list(program.graph.initializer)
    kinds, inputs = onnx.TensorProto, list(program.graph.input)
    if model.backbone.preprocess.kind == "image":
        sketch = Sketch()
        seen = looked(sketch, sketch.named("pixels"), model.backbone.preprocess)
        # What torch wrote takes what this part gives, under the name that this part has for it.
        for node in nodes:
            node.input[:] = [seen.name if name == inputs[0].name else name for name in node.input]
        nodes, constants = [*sketch.nodes, *nodes], [*sketch.constants, *constants]
        inputs = [onnx.helper.make_tensor_value_info("pixels", kinds.UINT8, ["batch", "height", "width", 3])]
    outputs = [
        onnx.helper.make_tensor_value_info(name, kinds.FLOAT, ["batch", width])
        for name, width in zip(OUTPUTS, _widths(model, program), strict=True)
    ]
    made = assembled(nodes, constants, inputs, outputs)
    made.functions.extend(program.functions)
    for entry in program.opset_import:
        if entry.domain:
            made.opset_import.append(entry)
    for name, value in metadata(model, "f32", OPSET).items():
        made.metadata_props.add(key=name, value=value)
    onnx.checker.check_model(made, full_check=True)
    return made


def _widths(model: Model, program: Any) -> tuple[int, int, int]:
    """Numbers of each output."""
    found = program.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    return int(found), model.objective.width, model.objective.width


def network(model: Model) -> Any:
    """What torch makes of the network and its head, as ported.Ported takes and gives; without our own source lines.

    Raises MissingExtra, and PlanError as `graph` does.
    """
    try:
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        raise missing_extra(error.name or "onnxscript", "export", "Writing an ONNX graph") from error
    from headstart.deployment.export.torch_module import OUTPUTS, example, inputs_of, ported, shapes

    # torch warns of its own ways while it traces: a graph that is wrong shows in the witness.
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        program: Any = torch.onnx.export(
            ported(model), example(model), dynamo=True, opset_version=OPSET, input_names=list(inputs_of(model)),
            output_names=list(OUTPUTS), dynamic_shapes=(shapes(model),), verbose=False,
        )  # fmt: skip
    proto: Any = program.model_proto
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    _distinct(proto.graph.node, OUTPUTS)
    return proto


def _distinct(nodes: Any, outputs: tuple[str, ...]) -> None:
    """Gives inner values that torch called like an output (of tokens: `embedding`) another name."""
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
