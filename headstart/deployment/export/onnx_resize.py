"""Resizing and cropping inside a graph: what preprocess/image.py does with Pillow, pixel by pixel, in plain ONNX.

Each pass is a product with a matrix that the graph makes from the photo's height and width. Positions are whole numbers
over a common denominator, so that single precision is enough however large the photo is; only the rows and columns
that reach the network are made, and only the pixels that those need are read.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import PlanError
from headstart.deployment.export.onnx_builder import Sketch, Value, steps
from headstart.features.preprocess.image import LONGEST, MODES

# Of one filter: how far it reaches in pixels of the smaller picture. Source: Pillow 13, src/libImaging/Resample.c.
BITS, HALF = 22, 11  # of a weight as a whole number, and of its lower half. Source: likewise
REACH = {"nearest": 0.5, "box": 0.5, "bilinear": 1.0, "hamming": 1.0, "bicubic": 2.0, "lanczos": 3.0}


class Axis(NamedTuple):
    """Of one axis, (1,) int64 each: where the picture begins and ends in it, its size when resized, and what is kept.

    shift: at which place of the resized picture the network's first row or column stands; below 0 in the border
    """

    start: Value
    end: Value
    resized: Value
    shift: Value

    def span(self) -> Value:
        """Pixels of the picture."""
        return self.end - self.start


class Side(NamedTuple):
    """Of one axis: pixels from `first` up to `last` are read, and (kept, m) float32 of what each of them counts.

    weights: whole numbers in units of 2**HALF / 2**BITS and of 1 / 2**BITS, as two matrices
    """

    first: Value
    last: Value
    weights: tuple[Value, Value]


def looked(sketch: Sketch, pixels: Value, spec: Preprocess) -> Value:
    """(b, h, w, 3) uint8 of any size -> (b, 3, height, width) float32 of whole numbers from 0 to 255.

    Raises PlanError for a crop mode or an interpolation that is not known.
    """
    facts: dict[str, Any] = dict(spec.settings)
    filter_, mode = str(facts["interpolation"]), facts["crop_mode"]
    if filter_ not in REACH or mode not in MODES:
        raise PlanError(f"crop_mode {mode!r} with interpolation {filter_!r} has no form as a graph.")
    _, height, width = facts["input_size"]
    h, w = pixels.size(1), pixels.size(2)
    rows, columns = _axes(sketch, h, w, height, width, facts)
    across, inside = _side(sketch, columns, width, filter_)
    down, within = _side(sketch, rows, height, filter_)
    upright = _upright(rows, columns) if turns() else None
    x = _passes(sketch, pixels, down, across, upright)
    if mode != "squash" or float(facts["crop_pct"]) > 1:
        fill = [round(255 * m) if mode == "border" else 0 for m in facts["mean"]]
        seen = within.shaped(-1, 1) & inside.shaped(1, -1)
        x = seen.where(x, np.array(fill, np.float32)[:, None, None])
    return x


def _passes(sketch: Sketch, pixels: Value, rows: Side, columns: Side, upright: Value | None) -> Value:
    """(b, h, w, 3) uint8 -> (b, 3, height, width): along each row and then each column, or the other way where
    `upright` says so, with rounding to 8 bits between and after.

    Both ways stand in the graph, and the one that is not gone reads a single pixel.
    """
    if upright is None:
        return _down(rows, _across(_read(pixels, rows, columns), columns))
    flat = _only(rows, upright), _only(columns, upright)
    tall = _only(rows, sketch.op("Not", upright)), _only(columns, sketch.op("Not", upright))
    by_rows, by_columns = _read(pixels, *flat), _read(pixels, *tall)
    return upright.where(_across(_down(tall[0], by_columns), tall[1]), _down(flat[0], _across(by_rows, flat[1])))


def _across(x: Value, columns: Side) -> Value:
    """Along each row: (b, 3, h, n) -> (b, 3, h, width)."""
    return _rounded(*(x @ weights.turned(1, 0) for weights in columns.weights))


def _down(rows: Side, x: Value) -> Value:
    """Along each column: (b, 3, m, w) -> (b, 3, height, w)."""
    return _rounded(*(weights @ x for weights in rows.weights))


def _rounded(high: Value, low: Value) -> Value:
    """Sums of pixels times whole numbers, in two halves that single precision holds, to 8 bits: halves go up."""
    whole = high.cast(np.int32) * np.int32(2**HALF) + low.cast(np.int32) + np.int32(2 ** (BITS - 1))
    return (whole.max(np.int32(0)) // np.int32(2**BITS)).min(np.int32(255)).cast(np.float32)


def _read(pixels: Value, rows: Side, columns: Side) -> Value:
    """(b, 3, m, n) float32 of the pixels that are needed."""
    some = pixels.between(rows.first, rows.last, 1).between(columns.first, columns.last, 2)
    return some.turned(0, 3, 1, 2).cast(np.float32)


def _only(side: Side, idle: Value) -> Side:
    """A side as it is; of one pixel where `idle` holds."""
    many = idle.where(1, side.last - side.first)
    high, low = (weights.between(many * 0, many, 1) for weights in side.weights)
    return Side(side.first, side.first + many, (high, low))


def _upright(rows: Axis, columns: Axis) -> Value:
    """(1,) whether Pillow shrinks columns before rows: where that takes away twice as many pixels."""
    shorter, narrower = rows.span() - rows.resized, columns.span() - columns.resized
    return (shorter > 0) & (shorter > narrower * 2)


@lru_cache(maxsize=1)
def turns() -> bool:
    """Whether the installed Pillow takes columns first on upright pictures. 13 does, 12 did not: it is tried out."""
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 2, (60, 6, 3)).astype(np.uint8) * 255
    picture, lanczos = Image.fromarray(noise), Image.Resampling.LANCZOS
    other = picture.resize((6, 12), lanczos).resize((12, 12), lanczos)
    return picture.resize((12, 12), lanczos).tobytes() == other.tobytes()


def _axes(sketch: Sketch, h: Value, w: Value, height: int, width: int, facts: dict) -> tuple[Axis, Axis]:
    """Rows and columns. Sizes as preprocess/image.py reckons them."""
    scaled_h, scaled_w = math.floor(height / facts["crop_pct"]), math.floor(width / facts["crop_pct"])
    mode, zero = facts["crop_mode"], sketch.constant(np.zeros(1, np.int64))
    top, bottom, left, right = zero, h, zero, w
    if mode == "squash":
        size = sketch.constant(np.array([scaled_h])), sketch.constant(np.array([scaled_w]))
    elif mode == "border":
        ratio = (_double(h) / np.float64(scaled_h)).max(_double(w) / np.float64(scaled_w))
        size = _nearest(h, ratio), _nearest(w, ratio)
    else:
        keep_h, keep_w = h.min(w * LONGEST), w.min(h * LONGEST)
        top, left = (h - keep_h) // 2, (w - keep_w) // 2
        bottom, right = top + keep_h, left + keep_w
        if scaled_h == scaled_w:
            # Quotients of whole numbers: rounded down they are what Python's floats give.
            tall = keep_w <= keep_h
            size = (
                tall.where(keep_h * scaled_w // keep_w, scaled_h),
                tall.where(scaled_w, keep_w * scaled_h // keep_h),
            )
        else:
            ratio = (_double(keep_h) / np.float64(scaled_h)).min(_double(keep_w) / np.float64(scaled_w))
            size = _nearest(keep_h, ratio), _nearest(keep_w, ratio)
    return Axis(top, bottom, size[0], _shift(size[0], height)), Axis(left, right, size[1], _shift(size[1], width))


def _double(value: Value) -> Value:
    return value.cast(np.float64)


def _nearest(side: Value, ratio: Value) -> Value:
    """Python's round(side / ratio), 1 at least: in double precision, halves to even."""
    return (side.sketch.op("Round", _double(side) / ratio)).cast(np.int64).max(1)


def _shift(resized: Value, kept: int) -> Value:
    """Where the middle begins. Python's round() takes halves to even; what is too small stands in a border."""
    spare = (resized - kept).max(0)
    half = spare // 2
    border = (kept - resized).max(0) // 2
    return half + (spare % 2) * (half % 2) - border


def _side(sketch: Sketch, axis: Axis, kept: int, filter_: str) -> tuple[Side, Value]:
    """What each of the `kept` rows or columns is made of, and (kept,) which of them lie in the picture at all.

    A resized pixel i looks at pixels about c = (2 i + 1) n / 2 r, where n pixels become r.
    """
    n, r = axis.span(), axis.resized
    place = axis.shift + np.arange(kept, dtype=np.int64)
    inside = (place >= 0) & (place < r)
    place = place.max(0).min(r - 1)
    over = (place * 2 + 1) * n
    whole = over // (r * 2)  # of c
    scale = (_double(n) / _double(r)).max(np.float64(1))
    reach = sketch.op("Ceil", scale * np.float64(REACH[filter_])).cast(np.int64) + 1
    low = sketch.op("ReduceMin", whole, np.array([0], np.int64))
    high = sketch.op("ReduceMax", whole, np.array([0], np.int64))
    first, last = (low - reach).max(0), (high + reach + 1).min(n)
    pixel = steps(sketch, first, last)
    if filter_ == "nearest":
        weights = _double((pixel.shaped(1, -1) - _pointed(sketch, n, r, place).shaped(-1, 1)).abs() < 1)
    elif filter_ == "box":
        weights = _double(_boxed(sketch, n, r, place, pixel))
    else:
        # How far the middle of a pixel is from c: in two parts, so that single precision would do too.
        rest = _double(over - whole * (r * 2)) / _double(r * 2)
        apart = _double(pixel.shaped(1, -1) - whole.shaped(-1, 1)) + (np.float64(0.5) - rest).shaped(-1, 1)
        weights = _curve(apart / scale, filter_)
    weights = weights / weights.total(1) * _double(inside).shaped(-1, 1)
    # Pillow's own whole numbers of BITS bits, so that its ties are ours. Split, each product and sum is exact.
    count = (weights * np.float64(2**BITS) + np.float64(0.5)).floor()
    large = (count * np.float64(2**-HALF) + np.float64(0.5)).floor()
    halves = large.cast(np.float32), (count - large * np.float64(2**HALF)).cast(np.float32)
    return Side(first + axis.start, last + axis.start, halves), inside


def _pointed(sketch: Sketch, n: Value, r: Value, place: Value) -> Value:
    """(kept,) int64: which pixel each of the kept ones is a copy of. Pillow adds up steps in double precision."""
    scale = _double(n) / _double(r)
    more = sketch.op("Expand", scale, r - 1)
    steps_ = sketch.op("Concat", scale * np.float64(0.5), more, given={"axis": 0})
    along = sketch.op("CumSum", steps_, np.array(0, np.int64))
    return sketch.op("Gather", along, place).floor().cast(np.int64).min(n - 1)


def _boxed(sketch: Sketch, n: Value, r: Value, place: Value, pixel: Value) -> Value:
    """(kept, m) truths: which pixels lie in each box. In double precision, since Pillow's own rounding decides ties."""
    scale = _double(n) / _double(r)
    wide = scale.max(np.float64(1))
    centre = ((_double(place) + np.float64(0.5)) * scale).shaped(-1, 1)
    reach, at = wide * np.float64(0.5), _double(pixel).shaped(1, -1)
    low, high = (centre - reach + np.float64(0.5)).floor(), (centre + reach + np.float64(0.5)).floor()
    x = (at - centre + np.float64(0.5)) * (sketch.constant(np.ones(1)) / wide)
    return (x > np.float64(-0.5)) & (x <= np.float64(0.5)) & (at >= low) & (at < high)


def _curve(x: Value, filter_: str) -> Value:
    """A filter's height at x. Source: Pillow 13, src/libImaging/Resample.c."""
    far, one, none = x.abs(), np.float64(1), np.float64(0)
    if filter_ == "bilinear":
        return (one - far).max(none)
    if filter_ == "bicubic":
        near = (far * np.float64(1.5) - np.float64(2.5)) * far * far + one
        away = ((far - np.float64(5)) * far + np.float64(8)) * far * np.float64(-0.5) + np.float64(2)
        return (far < one).where(near, (far < np.float64(2)).where(away, none))
    if filter_ == "hamming":
        bell = x.sketch.op("Cos", far * np.float64(math.pi)) * np.float64(0.46) + np.float64(0.54)
        return (far < one).where(_sinc(far) * bell, none)
    return (far < np.float64(3)).where(_sinc(far) * _sinc(far / np.float64(3)), none)


def _sinc(x: Value) -> Value:
    angle = x * np.float64(math.pi)
    small = np.float64(1e-9)
    return (x < small).where(np.float64(1), x.sketch.op("Sin", angle) / angle.max(small))
