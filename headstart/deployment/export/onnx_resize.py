"""Resize and crop as an ONNX graph, bit for bit what preprocess/image.py does with Pillow.

Each pass is a product with a matrix of filter weights that the graph computes from the image's height and width.
Positions are integers over a common denominator, so that precision does not depend on the image's size; only the rows
and columns that survive the crop are computed, and only the pixels that those need are read.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import PlanError
from headstart.deployment.export.onnx_builder import GraphBuilder, Value, arange
from headstart.features.preprocess.image import CROP_MODES, MAX_ASPECT_RATIO

# Filter weights are fixed-point numbers of BITS bits, in two halves. Source: Pillow 13, src/libImaging/Resample.c
BITS, HALF = 22, 11
SUPPORT = {"nearest": 0.5, "box": 0.5, "bilinear": 1.0, "hamming": 1.0, "bicubic": 2.0, "lanczos": 3.0}  # source pixels


class Axis(NamedTuple):
    """Geometry of one axis, (1,) int64 each: source pixels start..end become `resized` pixels.

    offset: the first kept pixel in the resized image; negative where a border is padded
    """

    start: Value
    end: Value
    resized: Value
    offset: Value

    def length(self) -> Value:
        """Source pixels."""
        return self.end - self.start


class FilterWeights(NamedTuple):
    """Of one axis: source pixels from `first` up to `last` are read, m of them.

    weights: (kept, m) float32 twice: the high half of each fixed-point weight, and the low one
    """

    first: Value
    last: Value
    weights: tuple[Value, Value]


def resize_and_crop(graph: GraphBuilder, pixels: Value, spec: Preprocess) -> Value:
    """(b, h, w, 3) uint8 of any size -> (b, 3, height, width) float32, integers from 0 to 255.

    Raises PlanError for a crop mode or an interpolation that is not known.
    """
    facts: dict[str, Any] = dict(spec.settings)
    interpolation, mode = str(facts["interpolation"]), facts["crop_mode"]
    if interpolation not in SUPPORT or mode not in CROP_MODES:
        raise PlanError(f"crop_mode {mode!r} with interpolation {interpolation!r} has no form as a graph.")
    _, height, width = facts["input_size"]
    h, w = pixels.size(1), pixels.size(2)
    rows, columns = _axes(graph, h, w, height, width, facts)
    column_weights, columns_inside = _filter_weights(graph, columns, width, interpolation)
    row_weights, rows_inside = _filter_weights(graph, rows, height, interpolation)
    columns_first = _columns_first(rows, columns) if resizes_columns_first() else None
    x = _resize(graph, pixels, row_weights, column_weights, columns_first)
    if mode != "squash" or float(facts["crop_pct"]) > 1:
        fill = [round(255 * m) if mode == "border" else 0 for m in facts["mean"]]
        inside = rows_inside.reshape(-1, 1) & columns_inside.reshape(1, -1)
        x = inside.where(x, np.array(fill, np.float32)[:, None, None])
    return x


def _resize(
    graph: GraphBuilder, pixels: Value, rows: FilterWeights, columns: FilterWeights, columns_first: Value | None
) -> Value:
    """(b, h, w, 3) uint8 -> (b, 3, height, width): along each row and then each column, or the other way where
    `columns_first` holds, with rounding to 8 bits between and after.

    Both orders are in the graph; the one that is not taken reads a single pixel.
    """
    if columns_first is None:
        return _resize_columns(rows, _resize_rows(_read(pixels, rows, columns), columns))
    rows_first = graph.op("Not", columns_first)
    wide = _shrink_if(rows, columns_first), _shrink_if(columns, columns_first)
    tall = _shrink_if(rows, rows_first), _shrink_if(columns, rows_first)
    wide_pixels, tall_pixels = _read(pixels, *wide), _read(pixels, *tall)
    return columns_first.where(
        _resize_rows(_resize_columns(tall[0], tall_pixels), tall[1]),
        _resize_columns(wide[0], _resize_rows(wide_pixels, wide[1])),
    )


def _resize_rows(x: Value, columns: FilterWeights) -> Value:
    """Along each row: (b, 3, h, n) -> (b, 3, h, width)."""
    return _rounded(*(x @ weights.transpose(1, 0) for weights in columns.weights))


def _resize_columns(rows: FilterWeights, x: Value) -> Value:
    """Along each column: (b, 3, m, w) -> (b, 3, height, w)."""
    return _rounded(*(weights @ x for weights in rows.weights))


def _rounded(high: Value, low: Value) -> Value:
    """Sums of pixels times the two halves of their weights, each exact in float32, as 8 bits; rounds half up."""
    fixed_point = high.cast(np.int32) * np.int32(2**HALF) + low.cast(np.int32) + np.int32(2 ** (BITS - 1))
    return (fixed_point.max(np.int32(0)) // np.int32(2**BITS)).min(np.int32(255)).cast(np.float32)


def _read(pixels: Value, rows: FilterWeights, columns: FilterWeights) -> Value:
    """(b, 3, m, n) float32 of the pixels that are needed."""
    region = pixels.slice(rows.first, rows.last, 1).slice(columns.first, columns.last, 2)
    return region.transpose(0, 3, 1, 2).cast(np.float32)


def _shrink_if(filter_: FilterWeights, unused: Value) -> FilterWeights:
    """A filter as it is; of a single pixel where `unused` holds."""
    count = unused.where(1, filter_.last - filter_.first)
    high, low = (weights.slice(count * 0, count, 1) for weights in filter_.weights)
    return FilterWeights(filter_.first, filter_.first + count, (high, low))


def _columns_first(rows: Axis, columns: Axis) -> Value:
    """(1,) whether Pillow resizes columns before rows: where that removes twice as many pixels."""
    shorter, narrower = rows.length() - rows.resized, columns.length() - columns.resized
    return (shorter > 0) & (shorter > narrower * 2)


@lru_cache(maxsize=1)
def resizes_columns_first() -> bool:
    """Whether the installed Pillow resizes columns first in upright images. 13 does, 12 did not: it is tried out."""
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 2, (60, 6, 3)).astype(np.uint8) * 255
    image, lanczos = Image.fromarray(noise), Image.Resampling.LANCZOS
    columns_first = image.resize((6, 12), lanczos).resize((12, 12), lanczos)
    return image.resize((12, 12), lanczos).tobytes() == columns_first.tobytes()


def _axes(graph: GraphBuilder, h: Value, w: Value, height: int, width: int, facts: dict) -> tuple[Axis, Axis]:
    """Rows and columns. Sizes as preprocess/image.py computes them."""
    scaled_h, scaled_w = math.floor(height / facts["crop_pct"]), math.floor(width / facts["crop_pct"])
    mode, zero = facts["crop_mode"], graph.constant(np.zeros(1, np.int64))
    top, bottom, left, right = zero, h, zero, w
    if mode == "squash":
        size = graph.constant(np.array([scaled_h])), graph.constant(np.array([scaled_w]))
    elif mode == "border":
        ratio = (_double(h) / np.float64(scaled_h)).max(_double(w) / np.float64(scaled_w))
        size = _rounded_size(h, ratio), _rounded_size(w, ratio)
    else:
        keep_h, keep_w = h.min(w * MAX_ASPECT_RATIO), w.min(h * MAX_ASPECT_RATIO)
        top, left = (h - keep_h) // 2, (w - keep_w) // 2
        bottom, right = top + keep_h, left + keep_w
        if scaled_h == scaled_w:
            # Integer division gives what rounding down Python's floats does.
            tall = keep_w <= keep_h
            size = (
                tall.where(keep_h * scaled_w // keep_w, scaled_h),
                tall.where(scaled_w, keep_w * scaled_h // keep_h),
            )
        else:
            ratio = (_double(keep_h) / np.float64(scaled_h)).min(_double(keep_w) / np.float64(scaled_w))
            size = _rounded_size(keep_h, ratio), _rounded_size(keep_w, ratio)
    rows = Axis(top, bottom, size[0], _crop_start(size[0], height))
    return rows, Axis(left, right, size[1], _crop_start(size[1], width))


def _double(value: Value) -> Value:
    return value.cast(np.float64)


def _rounded_size(side: Value, ratio: Value) -> Value:
    """Python's round(side / ratio), 1 at least: in double precision, halves to even."""
    return (side.graph.op("Round", _double(side) / ratio)).cast(np.int64).max(1)


def _crop_start(resized: Value, kept: int) -> Value:
    """Where the centre crop begins; negative for padding. Python's round() rounds half to even."""
    spare = (resized - kept).max(0)
    half = spare // 2
    border = (kept - resized).max(0) // 2
    return half + (spare % 2) * (half % 2) - border


def _filter_weights(graph: GraphBuilder, axis: Axis, kept: int, interpolation: str) -> tuple[FilterWeights, Value]:
    """The filter weights of the `kept` rows or columns, and (kept,) which of them lie inside the image.

    A resized pixel i is centred at source pixel c = (2 i + 1) n / 2 r, where n pixels become r.
    """
    n, r = axis.length(), axis.resized
    position = axis.offset + np.arange(kept, dtype=np.int64)
    inside = (position >= 0) & (position < r)
    position = position.max(0).min(r - 1)
    numerator = (position * 2 + 1) * n
    centre = numerator // (r * 2)  # c rounded down
    scale = (_double(n) / _double(r)).max(np.float64(1))
    support = graph.op("Ceil", scale * np.float64(SUPPORT[interpolation])).cast(np.int64) + 1
    lowest = graph.op("ReduceMin", centre, np.array([0], np.int64))
    highest = graph.op("ReduceMax", centre, np.array([0], np.int64))
    first, last = (lowest - support).max(0), (highest + support + 1).min(n)
    pixel = arange(graph, first, last)
    if interpolation == "nearest":
        weights = _double((pixel.reshape(1, -1) - _nearest_pixels(graph, n, r, position).reshape(-1, 1)).abs() < 1)
    elif interpolation == "box":
        weights = _double(_box_weights(graph, n, r, position, pixel))
    else:
        # Distance of a pixel's middle from c, its integer and fractional part apart.
        fraction = _double(numerator - centre * (r * 2)) / _double(r * 2)
        distance = _double(pixel.reshape(1, -1) - centre.reshape(-1, 1)) + (np.float64(0.5) - fraction).reshape(-1, 1)
        weights = _kernel(distance / scale, interpolation)
    weights = weights / weights.sum(1) * _double(inside).reshape(-1, 1)
    # Pillow's own fixed-point weights, so that ties round alike. Split in halves, each product and sum is exact.
    fixed = (weights * np.float64(2**BITS) + np.float64(0.5)).floor()
    high_half = (fixed * np.float64(2**-HALF) + np.float64(0.5)).floor()
    halves = high_half.cast(np.float32), (fixed - high_half * np.float64(2**HALF)).cast(np.float32)
    return FilterWeights(first + axis.start, last + axis.start, halves), inside


def _nearest_pixels(graph: GraphBuilder, n: Value, r: Value, position: Value) -> Value:
    """(kept,) int64: the pixel that each kept one copies. Pillow adds up steps in double precision."""
    scale = _double(n) / _double(r)
    repeated = graph.op("Expand", scale, r - 1)
    steps = graph.op("Concat", scale * np.float64(0.5), repeated, axis=0)
    coordinates = graph.op("CumSum", steps, np.array(0, np.int64))
    return graph.op("Gather", coordinates, position).floor().cast(np.int64).min(n - 1)


def _box_weights(graph: GraphBuilder, n: Value, r: Value, position: Value, pixel: Value) -> Value:
    """(kept, m) booleans: which pixels lie in each box. Pillow's rounding in double precision decides ties."""
    scale = _double(n) / _double(r)
    box = scale.max(np.float64(1))
    centre = ((_double(position) + np.float64(0.5)) * scale).reshape(-1, 1)
    half_box, pixels = box * np.float64(0.5), _double(pixel).reshape(1, -1)
    low, high = (centre - half_box + np.float64(0.5)).floor(), (centre + half_box + np.float64(0.5)).floor()
    x = (pixels - centre + np.float64(0.5)) * (graph.constant(np.ones(1)) / box)
    return (x > np.float64(-0.5)) & (x <= np.float64(0.5)) & (pixels >= low) & (pixels < high)


def _kernel(x: Value, interpolation: str) -> Value:
    """A filter's value at distance x. Source: Pillow 13, src/libImaging/Resample.c."""
    distance, one, zero = x.abs(), np.float64(1), np.float64(0)
    if interpolation == "bilinear":
        return (one - distance).max(zero)
    if interpolation == "bicubic":
        near = (distance * np.float64(1.5) - np.float64(2.5)) * distance * distance + one
        tail = ((distance - np.float64(5)) * distance + np.float64(8)) * distance * np.float64(-0.5) + np.float64(2)
        return (distance < one).where(near, (distance < np.float64(2)).where(tail, zero))
    if interpolation == "hamming":
        bell = x.graph.op("Cos", distance * np.float64(math.pi)) * np.float64(0.46) + np.float64(0.54)
        return (distance < one).where(_sinc(distance) * bell, zero)
    return (distance < np.float64(3)).where(_sinc(distance) * _sinc(distance / np.float64(3)), zero)


def _sinc(x: Value) -> Value:
    angle = x * np.float64(math.pi)
    small = np.float64(1e-9)
    return (x < small).where(np.float64(1), x.graph.op("Sin", angle) / angle.max(small))
