"""An ONNX graph written as arithmetic: `(a + b) * 2` is three nodes. Opens onnx in its functions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headstart.core.errors import missing_extra

OPSET = 20  # what torch 2.15 writes; onnxruntime 1.20 and its build for browsers, and OpenVINO 2025, read it
IR = 10


class Sketch:
    """Nodes and constants in the order in which they were asked for. prefix: before all their names"""

    def __init__(self, prefix: str = "look"):
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._prefix, self._known = prefix, {}  # type: ignore[var-annotated]

    def op(self, kind: str, *inputs: Value | np.ndarray, count: int = 1, given: dict[str, Any] | None = None) -> Any:
        """The value that an operator of ONNX gives, or the `count` values. given: its attributes"""
        import onnx

        names = [self.constant(i).name if isinstance(i, np.ndarray | np.generic) else i.name for i in inputs]
        outs = [f"{self._prefix}_{len(self.nodes)}_{n}" for n in range(count)]
        self.nodes.append(onnx.helper.make_node(kind, names, outs, name=outs[0], **(given or {})))
        values = [Value(self, name) for name in outs]
        return values[0] if count == 1 else values

    def constant(self, array: Any) -> Value:
        """An array as a value; equal ones are kept once."""
        import onnx

        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = f"{self._prefix}_constant_{len(self._known)}"
            self.constants.append(onnx.numpy_helper.from_array(array, name))
            self._known[key] = name
        return Value(self, self._known[key])

    def named(self, name: str) -> Value:
        """An input of the graph, or what another part of it gives."""
        return Value(self, name)


class Value:
    """What stands at one place of a graph. Whole numbers are int64, others float32; / and // are as those types'."""

    def __init__(self, sketch: Sketch, name: str):
        self.sketch, self.name = sketch, name

    # numpy would otherwise spread a value over its own scalars: np.float64(1) - value.
    __array_ufunc__ = None

    def _with(self, kind: str, other: Any, turned: bool = False) -> Value:
        made = self.sketch.constant(_number(other)) if not isinstance(other, Value) else other
        return self.sketch.op(kind, *((made, self) if turned else (self, made)))

    def __add__(self, other: Any) -> Value:
        return self._with("Add", other)

    def __sub__(self, other: Any) -> Value:
        return self._with("Sub", other)

    def __mul__(self, other: Any) -> Value:
        return self._with("Mul", other)

    def __truediv__(self, other: Any) -> Value:
        return self._with("Div", other)

    def __floordiv__(self, other: Any) -> Value:
        """Of whole numbers from 0 on: ONNX cuts toward 0."""
        return self._with("Div", other)

    def __mod__(self, other: Any) -> Value:
        """Of whole numbers, with the sign of the divisor."""
        return self._with("Mod", other)

    def __rsub__(self, other: Any) -> Value:
        return self._with("Sub", other, turned=True)

    def __lt__(self, other: Any) -> Value:
        return self._with("Less", other)

    def __le__(self, other: Any) -> Value:
        return self._with("LessOrEqual", other)

    def __ge__(self, other: Any) -> Value:
        return self._with("GreaterOrEqual", other)

    def __gt__(self, other: Any) -> Value:
        return self._with("Greater", other)

    def __and__(self, other: Any) -> Value:
        return self._with("And", other)

    def __matmul__(self, other: Any) -> Value:
        return self._with("MatMul", other)

    def max(self, other: Any) -> Value:
        """The larger, entry by entry."""
        return self._with("Max", other)

    def min(self, other: Any) -> Value:
        """The smaller, entry by entry."""
        return self._with("Min", other)

    def abs(self) -> Value:
        """Without signs."""
        return self.sketch.op("Abs", self)

    def floor(self) -> Value:
        """Down to whole numbers."""
        return self.sketch.op("Floor", self)

    def where(self, yes: Any, no: Any) -> Value:
        """Of truths: `yes` where they hold, `no` elsewhere."""
        made = [v if isinstance(v, Value) else self.sketch.constant(_number(v)) for v in (yes, no)]
        return self.sketch.op("Where", self, *made)

    def cast(self, dtype: Any) -> Value:
        """As another type of numbers."""
        import onnx

        return self.sketch.op("Cast", self, given={"to": onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))})

    def shaped(self, *sizes: int) -> Value:
        """In another shape; -1 is what remains."""
        return self.sketch.op("Reshape", self, np.array(sizes, np.int64))

    def turned(self, *order: int) -> Value:
        """With its axes in another order."""
        return self.sketch.op("Transpose", self, given={"perm": list(order)})

    def size(self, axis: int) -> Value:
        """(1,) int64, how long an axis is."""
        return self.sketch.op("Shape", self, given={"start": axis, "end": axis + 1})

    def total(self, axis: int) -> Value:
        """The sum along an axis, which stays with length 1."""
        return self.sketch.op("ReduceSum", self, np.array([axis], np.int64))

    def between(self, start: Value, end: Value, axis: int) -> Value:
        """From `start` up to `end`, (1,) int64 each, along an axis."""
        return self.sketch.op("Slice", self, start, end, np.array([axis], np.int64))


def _number(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    return np.asarray(value, np.int64 if isinstance(value, int) else np.float32)


def steps(sketch: Sketch, start: Value, end: Value) -> Value:
    """(n,) int64: start, start + 1, ... below end. Both (1,)."""
    scalars = [value.shaped() for value in (start, end)]
    return sketch.op("Range", *scalars, np.array(1, np.int64))


def assembled(nodes: Sequence[Any], constants: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """A ModelProto. inputs, outputs: ValueInfoProto"""
    onnx = library()
    graph = onnx.helper.make_graph(list(nodes), "headstart", list(inputs), list(outputs), list(constants))
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR)
    made.producer_name = "headstart"
    return made


def library() -> Any:
    """onnx itself. Raises MissingExtra."""
    try:
        import onnx
    except ImportError as error:
        raise missing_extra(error.name or "onnx", "export", "Writing an ONNX graph") from error
    return onnx
