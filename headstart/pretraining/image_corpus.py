"""An unlabelled image corpus: decoded once, shrunk, kept in one file, and seen in augmented views."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.files import make_folder, read_checked_json, write_atomic, write_checked_json
from headstart.core.result import SetAside
from headstart.core.run import Emit
from headstart.core.task import Example
from headstart.data import contents
from headstart.data.pixel_range import judge_depth
from headstart.features.augmentation import Policy, apply_view, center_view, rng_for_view, sample_view
from headstart.features.image_decoding import load_decoders

PROGRESS_EVERY = 256  # images decoded between two events of progress


@dataclass(frozen=True, slots=True, eq=False)
class ImageCorpus:
    """n decoded images on disk.

    pixels: all of them, one after the other, a memory map.  offsets: (n,) int64 where each begins
    shapes: (n, 2) int64.  digests: of each file's bytes.  aside: what could not be read
    """

    pixels: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    digests: tuple[str, ...]
    aside: tuple[SetAside, ...] = ()

    def __len__(self) -> int:
        return len(self.digests)

    def image(self, i: int) -> np.ndarray:
        """(h, w, 3) uint8"""
        h, w = self.shapes[i]
        return self.pixels[self.offsets[i] : self.offsets[i] + 3 * h * w].reshape(h, w, 3)

    def view(self, i: int, number: int, policy: Policy, seed: int, side: int) -> np.ndarray:
        """(side, side, 3) uint8: augmented view `number` of image i; view 0 is the plain one."""
        if number == 0:
            return center_view(self.image(i), side)
        rng = rng_for_view(seed, self.digests[i], number)
        view = apply_view(self.image(i), sample_view(rng, policy, *map(int, self.shapes[i])), side)
        if policy.mix and rng.random() < policy.mix:
            j, weight = int(rng.integers(len(self))), rng.uniform(0.1, 0.5)
            other = apply_view(self.image(j), sample_view(rng, policy, *map(int, self.shapes[j])), side)
            view = np.rint((1 - weight) * view + weight * other).astype(np.uint8)
        return view

    def digest(self) -> str:
        """Of all of them: blended views depend on which images there are."""
        return digest.of_value(list(self.digests))


def decode_images(
    examples: Sequence[Example], folder: Path, edge: int, emit: Emit = lambda event, facts: None
) -> ImageCorpus:
    """Decodes what is not decoded yet; equal files count once.

    edge: pixels that the shorter side is shrunk to where it is longer.  emit: told of progress, (event, facts)
    Raises SourceError when not one image can be read.
    """
    distinct = list({e.digest: e for e in examples}.values())
    key = digest.of_value({"edge": edge, "digests": [e.digest for e in distinct]})
    pixels = folder / "pictures.bin"
    index = read_checked_json(folder / "pictures.json")
    if index is None or index["key"] != key or not pixels.is_file() or digest.of_files([pixels]) != index["digest"]:
        index = _decode(distinct, folder, edge, key, emit)
    if not index["digests"]:
        first = index["aside"][0] if index["aside"] else {"id": "nothing", "reason": "there are no files"}
        raise SourceError(f"Not one picture can be read (first: {first['id']}: {first['reason']}).")
    shapes = np.array(index["shapes"], np.int64)
    offsets = np.concatenate([[0], np.cumsum(3 * shapes.prod(1))[:-1]])
    aside = tuple(SetAside(a["id"], a["reason"]) for a in index["aside"])
    return ImageCorpus(np.memmap(pixels, np.uint8, "r"), offsets, shapes, tuple(index["digests"]), aside)


def _decode(distinct: list[Example], folder: Path, edge: int, key: str, emit: Emit) -> dict:
    """Writes pictures.bin and its index, pictures.json, which it gives."""
    make_folder(folder)
    load_decoders()
    index: dict[str, Any] = {"key": key, "shapes": [], "digests": [], "aside": []}
    pixel_range = judge_depth(distinct, folder).range
    write_atomic(folder / "pictures.bin", _decoded(distinct, edge, pixel_range, index, emit))
    index["digest"] = digest.of_files([folder / "pictures.bin"])
    write_checked_json(folder / "pictures.json", index)
    return index


def _decoded(
    distinct: list[Example], edge: int, pixel_range: tuple[float, float] | None, index: dict[str, Any], emit: Emit
) -> Iterator[bytes]:
    """The pixels of each picture that can be read; the index is told of all of them."""
    done, began = 0, time.perf_counter()
    stream = iter(contents.iter_contents(distinct))
    with ThreadPoolExecutor(2) as pool:
        while chunk := list(islice(stream, PROGRESS_EVERY)):
            decoded = pool.map(lambda pair: _decode_and_shrink(pair[1], edge, pixel_range), chunk)
            for (example, _), image in zip(chunk, decoded, strict=True):
                if isinstance(image, Unreadable):
                    index["aside"].append({"id": example.id, "reason": str(image)})
                    continue
                yield image.tobytes()
                index["shapes"].append(list(image.shape[:2]))
                index["digests"].append(example.digest)
            done += len(chunk)
            rate = done / (time.perf_counter() - began)
            emit("progress", {"stage": "decode", "done": done, "total": len(distinct), "rate": rate})


def _decode_and_shrink(
    content: bytes | str | Unreadable, edge: int, pixel_range: tuple[float, float] | None
) -> np.ndarray | Unreadable:
    """(h, w, 3) uint8 whose shorter side has at most `edge` pixels."""
    from PIL import Image

    from headstart.features.image_decoding import decode_image

    if isinstance(content, Unreadable):
        return content
    try:
        image = decode_image(content if isinstance(content, bytes) else content.encode(), 0, pixel_range)
    except Unreadable as reason:
        return reason
    scale = edge / min(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image)
