"""OpenVINO: the library without its telemetry, and graphs of which some layers keep single precision.

A graph lies as net.xml beside net.bin. That a layer keeps its numbers, where weights are stored in half precision or
the processor computes in bfloat16, can be said in that file alone: the Python interface has no name for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from headstart.core.errors import missing_extra

STEM = 3  # convolutions that see the input first: there bfloat16 loses most of what it loses of a small network
CONVOLUTIONS = ("Convolution", "GroupConvolution")
SMALL = 16_384  # bytes of a constant that single precision costs little: biases, norms, most depthwise kernels

Layer = ElementTree.Element


def library(what: str = "OpenVINO") -> Any:
    """The module, without openvino_telemetry, which reports every import and conversion to its makers.

    Where that module cannot be imported the library takes a stub of its own (openvino 2026.4, tools/ovc).
    Raises MissingExtra. what: needs it
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise missing_extra("openvino", "cpu", what) from error
    return openvino


def keep_single(file: Path, chosen: Callable[[list[Layer]], list[Layer]]) -> None:
    """Marks layers of a graph's .xml as such that keep single precision."""
    tree = ElementTree.parse(file)
    layers = tree.getroot().find("layers")
    for layer in chosen(list(layers)) if layers is not None else []:
        facts = layer.find("rt_info")
        if facts is None:
            facts = ElementTree.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, facts)
        ElementTree.SubElement(facts, "attribute", name="precise", version="0")
    tree.write(file)


def sensitive(layers: list[Layer]) -> list[Layer]:
    """All up to the last of the first convolutions, and depthwise ones; none of a network that has no more than those.

    MobileNetV2's smallest cosine to float32 over 96 photos: all in bfloat16 0.985, with the stem in float32 0.997, with
    the depthwise ones too 0.998; the last ones did not matter.
    """
    seen = [i for i, layer in enumerate(layers) if layer.get("type") in CONVOLUTIONS]
    if len(seen) <= STEM:
        return []
    stem = seen[STEM - 1] + 1
    return [*layers[:stem], *(layer for layer in layers[stem:] if _depthwise(layer))]


def small(layers: list[Layer]) -> list[Layer]:
    """Constants that are worth their bytes."""
    return [layer for layer in layers if layer.get("type") == "Const" and _size(layer) <= SMALL]


def _depthwise(layer: Layer) -> bool:
    """Whether each channel has a kernel of its own: kernels (groups, 1, 1, ...)."""
    ports = layer.findall("input/port")
    kernels = [d.text for d in ports[1].findall("dim")] if layer.get("type") == "GroupConvolution" else []
    return kernels[1:3] == ["1", "1"]


def _size(layer: Layer) -> int:
    data = layer.find("data")
    return int(data.get("size", "0")) if data is not None else 0
