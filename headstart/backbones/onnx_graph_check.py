"""Whether an ONNX graph computes with the weights it is given and with nothing else. Needs no library of ONNX.

A graph may name files whose bytes become its tensors, wherever they lie; the runtime reads them. So every tensor of it
is looked at before the runtime sees it. The bytes are protobuf, of which the messages that hold tensors are walked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from headstart.core.errors import ArtifactError

FLOAT = 1  # TensorProto.DataType
MAX_KEY = (1 << 32) - 1  # of a field: readers of protobuf drop the bits beyond, and would see another field than we do
FIX = "Make the backbone again, or do not trust this folder and ask whoever made it."
# Message -> number of a field -> the message in it. Source: onnx.proto3 of ONNX 1.18.
HOLDS = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "initializer", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
# Fields in which further graphs lie: no network that we write has one.
REFUSED = {
    "model": {20: "training steps", 25: "functions"},
    "attribute": {6: "a graph in a graph", 11: "graphs in a graph"},
}
DOMAIN, NAME, DIMS, TYPE, EXTERNAL, LOCATION = 7, 8, 1, 2, 13, 14


def check_graph(content: bytes, file: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Raises ArtifactError where the graph is damaged, or names data or code outside of itself and the weights.

    file: that holds it, for messages.  weights: by the names of the graph's initializers
    """
    try:
        for problem in _problems(memoryview(content), "model", weights):
            raise ArtifactError(f"{file} {problem}. {FIX}")
    except (ValueError, IndexError, RecursionError) as error:
        raise ArtifactError(f"{file} is damaged, or no ONNX graph ({error}). {FIX}") from error


def _problems(content: memoryview, message: str, weights: Mapping[str, np.ndarray]) -> Iterator[str]:
    graphs = 0
    for field, value in _fields(content):
        if field in REFUSED.get(message, {}):
            yield f"has {REFUSED[message][field]}, which is not read"
        if message == "node" and field == DOMAIN and _bytes(value) not in (b"", b"ai.onnx"):
            yield "has an operator that is not ONNX's own"
        inner = HOLDS.get(message, {}).get(field)
        graphs += inner == "graph"
        if inner in ("tensor", "initializer"):
            yield from _tensor_problems(_view(value), inner, weights)
        elif inner:
            yield from _problems(_view(value), inner, weights)
    if message == "model" and graphs != 1:
        raise ValueError(f"it holds {graphs} graphs")


def _tensor_problems(content: memoryview, role: str, weights: Mapping[str, np.ndarray]) -> Iterator[str]:
    name, dims, dtype, outside = "", [], 0, False
    for field, value in _fields(content):
        if field == NAME:
            name = _bytes(value).decode("utf-8", "replace")
        elif field == DIMS:
            dims += [value] if isinstance(value, int) else list(_packed(value))
        elif field == TYPE:
            dtype = value if isinstance(value, int) else 0
        elif field == EXTERNAL or (field == LOCATION and value != 0):
            outside = True
    if not outside:
        return
    if role == "tensor" or name not in weights:
        yield f"takes the numbers of {name[:100]!r} from a file that is not the weights beside it"
    elif dtype != FLOAT or tuple(dims) != weights[name].shape:
        yield f"expects {name[:100]!r} in another shape or type than the weights beside it have"


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field: an int, or the bytes. Raises ValueError where they are no protobuf."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if key > MAX_KEY:
            raise ValueError("it has a field that there cannot be")
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(content, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("it is no protobuf")
        if at + length > len(content):
            raise ValueError("it is cut short")
        yield key >> 3, content[at : at + length]
        at += length


def _packed(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("it has a number that is too long")


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("it has a number where a message is expected")
    return value


def _bytes(value: int | memoryview) -> bytes:
    return bytes(_view(value))
