"""Builds ONNX graphs from Python arithmetic: `(a + b) * 2` becomes nodes. Imports onnx in its functions only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partialmethod
from typing import Any

import numpy as np

from headstart.core.errors import missing_extra

OPSET = 20  # what torch 2.15 writes; onnxruntime 1.20 and its build for browsers, and OpenVINO 2025, read it
IR_VERSION = 10
NODE_PREFIX = "look"  # names of the nodes that resize and crop start with it


class GraphBuilder:
    """Collects the nodes and constants of a graph. prefix: of all their names"""

    def __init__(self, prefix: str = NODE_PREFIX):
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._prefix, self._names = prefix, dict[Any, str]()

    def op(self, operator: str, *inputs: Value | np.ndarray, **attributes: Any) -> Value:
        """Adds a node of an ONNX operator; gives its output."""
        import onnx

        names = [self.constant(i).name if isinstance(i, np.ndarray | np.generic) else i.name for i in inputs]
        output = f"{self._prefix}_{len(self.nodes)}_0"
        self.nodes.append(onnx.helper.make_node(operator, names, [output], name=output, **attributes))
        return Value(self, output)

    def constant(self, array: Any) -> Value:
        """An array as a value; equal ones are stored once."""
        import onnx

        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            name = f"{self._prefix}_constant_{len(self._names)}"
            self.constants.append(onnx.numpy_helper.from_array(array, name))
            self._names[key] = name
        return Value(self, self._names[key])

    def value(self, name: str) -> Value:
        """The graph's input, or another node's output, of that name."""
        return Value(self, name)


class Value:
    """A tensor in a graph. Python integers become int64, floats float32; / and // are both ONNX's Div."""

    def __init__(self, graph: GraphBuilder, name: str):
        self.graph, self.name = graph, name

    # Else numpy broadcasts over a value: np.float64(1) - value.
    __array_ufunc__ = None

    def _binary(self, operator: str, other: Any) -> Value:
        return self.graph.op(operator, self, self._operand(other))

    def _operand(self, other: Any) -> Value:
        return other if isinstance(other, Value) else self.graph.constant(_number(other))

    __add__ = partialmethod(_binary, "Add")
    __sub__ = partialmethod(_binary, "Sub")
    __mul__ = partialmethod(_binary, "Mul")
    __truediv__ = partialmethod(_binary, "Div")
    __floordiv__ = partialmethod(_binary, "Div")  # of non-negative integers: ONNX rounds toward 0
    __mod__ = partialmethod(_binary, "Mod")  # of integers, with the sign of the divisor
    __lt__ = partialmethod(_binary, "Less")
    __le__ = partialmethod(_binary, "LessOrEqual")
    __ge__ = partialmethod(_binary, "GreaterOrEqual")
    __gt__ = partialmethod(_binary, "Greater")
    __and__ = partialmethod(_binary, "And")
    __matmul__ = partialmethod(_binary, "MatMul")
    max = partialmethod(_binary, "Max")  # elementwise
    min = partialmethod(_binary, "Min")

    def __rsub__(self, other: Any) -> Value:
        return self.graph.op("Sub", self._operand(other), self)

    def abs(self) -> Value:
        """The absolute values."""
        return self.graph.op("Abs", self)

    def floor(self) -> Value:
        """Rounded down."""
        return self.graph.op("Floor", self)

    def where(self, yes: Any, no: Any) -> Value:
        """Of booleans: `yes` where they hold, `no` elsewhere."""
        return self.graph.op("Where", self, self._operand(yes), self._operand(no))

    def cast(self, dtype: Any) -> Value:
        """As another dtype."""
        import onnx

        return self.graph.op("Cast", self, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, *sizes: int) -> Value:
        """In another shape; -1 is inferred."""
        return self.graph.op("Reshape", self, np.array(sizes, np.int64))

    def transpose(self, *order: int) -> Value:
        """With its axes in another order."""
        return self.graph.op("Transpose", self, perm=list(order))

    def size(self, axis: int) -> Value:
        """(1,) int64, the length of an axis."""
        return self.graph.op("Shape", self, start=axis, end=axis + 1)

    def sum(self, axis: int) -> Value:
        """The sum along an axis, which is kept with length 1."""
        return self.graph.op("ReduceSum", self, np.array([axis], np.int64))

    def slice(self, start: Value, end: Value, axis: int) -> Value:
        """From `start` up to `end`, (1,) int64 each, along an axis."""
        return self.graph.op("Slice", self, start, end, np.array([axis], np.int64))


def _number(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    return np.asarray(value, np.int64 if isinstance(value, int) else np.float32)


def arange(graph: GraphBuilder, start: Value, end: Value) -> Value:
    """(n,) int64: start, start + 1, ... below end. Both (1,)."""
    scalars = [value.reshape() for value in (start, end)]
    return graph.op("Range", *scalars, np.array(1, np.int64))


def build_model(nodes: Sequence[Any], constants: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """A ModelProto. inputs, outputs: ValueInfoProto"""
    onnx = import_onnx()
    graph = onnx.helper.make_graph(list(nodes), "headstart", list(inputs), list(outputs), list(constants))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "headstart"
    return model


def import_onnx() -> Any:
    """onnx itself. Raises MissingExtra."""
    try:
        import onnx
    except ImportError as error:
        raise missing_extra(error.name or "onnx", "export", "Writing an ONNX graph") from error
    return onnx
