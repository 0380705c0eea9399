"""ONNX: one file from a photo's pixels, of any size, or from token ids, to probabilities; for any runtime."""

from __future__ import annotations

import warnings
from typing import Any

from headstart.artifact import Model
from headstart.errors import missing_extra
from headstart.extract import Running
from headstart.looked import looked
from headstart.sketch import OPSET, Sketch, assembled, library

NAME = "model.onnx"


def graph(model: Model, running: Running) -> Any:
    """The model as an onnx.ModelProto: network, head and calibration, and for photos what happens to them before.

    pixels (b, h, w, 3) uint8, RGB, upright, any h and w; or input_ids and attention_mask, (b, t) int64; or vectors
    (b, d) float32 -> embedding (b, d), scores (b, k), probabilities (b, k), float32.  running: not needed, kept open
    Raises PlanError for a backbone or a head that has no such form, MissingExtra.
    """
    onnx, program = library(), _program(model)
    from headstart.ported import OUTPUTS

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
    onnx.checker.check_model(made, full_check=True)
    return made


def _widths(model: Model, program: Any) -> tuple[int, int, int]:
    """Numbers of each output."""
    found = program.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    return int(found), model.objective.width, model.objective.width


def _program(model: Model) -> Any:
    """What torch makes of the network and its head, without traces of our own source lines. Raises MissingExtra."""
    try:
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        raise missing_extra(error.name or "onnxscript", "export", "Writing an ONNX graph") from error
    from headstart.ported import OUTPUTS, example, inputs_of, ported, shapes

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
    return proto
