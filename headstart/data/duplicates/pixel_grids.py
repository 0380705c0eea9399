"""Each photo as two small squares of pixels, from its thumbnail: what copies are compared on.

One holds the luma, one the brightest channel, which a turned hue leaves as it is. A frame of one colour is cut off (the
bars of a letterbox), and corners of one colour (of a turned photo) are told by `find_fill`.
"""

from __future__ import annotations

import io

import numpy as np

SIDE = 40  # pixels of the square, whatever the photo's shape: a copy may be squeezed, or lie on its side
# How far pixels of one colour may be apart: of the photo's own deviation, as plain ground is no frame, and in levels.
RELATIVE_DEVIATION, MIN_DEVIATION, MAX_DEVIATION = 0.2, 2, 10
FRAME_SHARE = 0.95  # of the pixels of a row that have the colour of the frame
MIN_TRIMMED_SIDE = 12  # pixels that a photo keeps without its frame; else the frame stays


def pixel_grid(thumbnail: bytes) -> np.ndarray:
    """(2, SIDE, SIDE) uint8, luma and brightest channel, of a JPEG thumbnail."""
    from PIL import Image

    with Image.open(io.BytesIO(thumbnail)) as opened:
        image = opened.convert("RGB")
    gray = np.asarray(image.convert("L"))
    top, bottom, left, right = 0, gray.shape[0], 0, gray.shape[1]
    for _ in range(2):  # black bars, and the white margin of what lies between them
        rows, columns = _trim(gray[top:bottom, left:right].astype(np.int16))
        top, bottom, left, right = top + rows[0], top + rows[1], left + columns[0], left + columns[1]
    channels = gray, np.asarray(image).max(2)
    box = (left, top, right, bottom)
    size = (SIDE, SIDE)
    return np.stack([np.asarray(Image.fromarray(c).resize(size, Image.Resampling.BOX, box)) for c in channels])


def find_fill(luma: np.ndarray) -> np.ndarray:
    """(n, SIDE, SIDE) bool, what is no photo but the filling of its corners. luma: (n, SIDE, SIDE) uint8

    Where all four corners have one colour, what has it from an edge on.
    """
    luma = luma.astype(np.int16)
    corners = luma[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    colour = np.median(corners, 1)[:, None, None]
    deviation = _deviation(luma)
    filled = (np.abs(corners - colour[:, 0]) <= deviation[:, 0]).all(1)
    like = (np.abs(luma - colour) <= deviation) & filled[:, None, None]
    fill = np.zeros_like(like)
    for axis in (1, 2):
        fill |= np.logical_and.accumulate(like, axis)
        fill |= np.flip(np.logical_and.accumulate(np.flip(like, axis), axis), axis)
    # A photo that would be filling for the most part is a drawing or a product on plain ground.
    return fill & (fill.mean((1, 2)) < 0.5)[:, None, None]


def _trim(gray: np.ndarray) -> list[tuple[int, int]]:
    """[(top, bottom), (left, right)] of what is within a frame of one colour. gray: (h, w) int16"""
    edges, deviation = [], float(_deviation(gray)[0, 0])
    for rows in (gray, gray.T):
        like = [(np.abs(rows - np.median(rows[end])) <= deviation).mean(1) >= FRAME_SHARE for end in (0, -1)]
        first = int(np.argmin(like[0])) if not like[0].all() else 0
        last = len(rows) - (int(np.argmin(like[1][::-1])) if not like[1].all() else 0)
        # What is blurred by JPEG or by shrinking lies beside the frame.
        first, last = first + (first > 0), last - (last < len(rows))
        edges.append((first, last) if last - first >= MIN_TRIMMED_SIDE else (0, len(rows)))
    return edges


def even_out(luma: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """(n, s, s) float32 with the fill in the mean tone of the photo."""
    values, photo = luma.astype(np.float32), ~fill
    mean = (values * photo).sum((1, 2)) / np.maximum(photo.sum((1, 2)), 1)
    return np.where(fill, mean[:, None, None], values)


def _deviation(luma: np.ndarray) -> np.ndarray:
    """(..., 1, 1) of (..., h, w)"""
    return np.clip(RELATIVE_DEVIATION * luma.std((-1, -2), keepdims=True), MIN_DEVIATION, MAX_DEVIATION)
