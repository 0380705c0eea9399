"""OpenVINO: the library without its telemetry, and graphs of which some layers stay in float32.

A graph is stored as net.xml beside net.bin. That a layer stays in float32, where weights are compressed to float16 or
the processor computes in bfloat16, can be stated in the XML only: the Python API has no name for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from headstart.core.errors import import_extra

STEM_CONVOLUTIONS = 3  # the first of a network: there bfloat16 loses most of what it loses of a small one
CONVOLUTIONS = ("Convolution", "GroupConvolution")
SMALL_BYTES = 16_384  # of a constant that costs little in float32: biases, norms, most depthwise kernels

Layer = ElementTree.Element


def import_openvino(what: str = "OpenVINO") -> Any:
    """The module openvino, without openvino_telemetry, which reports every import and conversion to its makers.

    Where that module cannot be imported the library takes a stub of its own (openvino 2026.4, tools/ovc).
    Raises MissingExtra. what: needs it, for the message
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_extra("openvino", "cpu", what)


def keep_float32(file: Path, select: Callable[[list[Layer]], list[Layer]]) -> None:
    """Marks layers of a graph's .xml to be kept in float32."""
    tree = ElementTree.parse(file)
    layers = tree.getroot().find("layers")
    for layer in select(list(layers)) if layers is not None else []:
        rt_info = layer.find("rt_info")
        if rt_info is None:
            rt_info = ElementTree.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, rt_info)
        ElementTree.SubElement(rt_info, "attribute", name="precise", version="0")
    tree.write(file)


def precision_sensitive_layers(layers: list[Layer]) -> list[Layer]:
    """All layers up to the third convolution, and depthwise ones; none of a network of three convolutions or fewer.

    MobileNetV2's smallest cosine to float32 over 96 photos: all in bfloat16 0.985, with the stem in float32 0.997, with
    the depthwise ones too 0.998; the last ones did not matter.
    """
    convolutions = [i for i, layer in enumerate(layers) if layer.get("type") in CONVOLUTIONS]
    if len(convolutions) <= STEM_CONVOLUTIONS:
        return []
    stem = convolutions[STEM_CONVOLUTIONS - 1] + 1
    return [*layers[:stem], *(layer for layer in layers[stem:] if _is_depthwise(layer))]


def small_constants(layers: list[Layer]) -> list[Layer]:
    """Constants that cost little in float32."""
    return [layer for layer in layers if layer.get("type") == "Const" and _constant_bytes(layer) <= SMALL_BYTES]


def _is_depthwise(layer: Layer) -> bool:
    """Whether it is a depthwise convolution: kernels (groups, 1, 1, ...)."""
    ports = layer.findall("input/port")
    kernel_shape = [d.text for d in ports[1].findall("dim")] if layer.get("type") == "GroupConvolution" else []
    return kernel_shape[1:3] == ["1", "1"]


def _constant_bytes(layer: Layer) -> int:
    data = layer.find("data")
    return int(data.get("size", "0")) if data is not None else 0
