"""The witness: a dozen inputs as file bytes, the scores that they must give, and the output of each stage for them.

witness.npz, n inputs:
    input0 …    (b,) uint8, the file's bytes
    scores      (n, k) float32.   rows (n, …), or row0 … and windows0 … of texts below the top: features at the cut
    units       n digests of the network's inputs: token ids, or pixels after the crop
    decoded     n digests of an image's decoded pixels; sizes (n, 2), width and height
    grids       (n, 2, 8, 8, 3) uint8, means of 8 x 8 blocks of the decoded and of the cropped image
    normal      (n, 2, 3) float32, mean and standard deviation of each channel after normalisation
    answers     JSON as uint8: the objective's facts, and its decoded answers.  probabilities (n, k) float32
decoded, sizes, grids and normal are there where an image was decoded in this run or an earlier one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.arrays import load_or_compute_arrays
from headstart.core.backbone import Cut, Preprocess
from headstart.core.errors import Unreadable
from headstart.core.features import Ragged, stack_rows
from headstart.core.files import write_atomic
from headstart.core.plan import Fitted, Plan
from headstart.core.plugins import member
from headstart.core.task import Example, Objective, Task
from headstart.data import contents as example_contents
from headstart.data.image_formats import is_heic
from headstart.deployment import witness_images
from headstart.features import image_decoding
from headstart.features.extract import features_at_cut
from headstart.features.runner import Extractor, start_engine

WITNESS_COUNT = 12
MAX_INPUT_BYTES = 2_000_000  # of all witnesses together, so that a model folder stays small; the first is always taken
# Largest allowed change of a score, relative to the largest, by the network's precision. float32: another batch size
# or thread count changes sums by 2e-5 at most over the three hub backbones; a wrong mean or crop by more than 1e-1.
# float16 and bfloat16 round each product to 11 and 8 bits.
TOLERANCES = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2, "mixed": 5e-2}
GRID_SIZE = 8
MAX_FILTER_LEVELS = 6.0  # of 255: another resize filter changes a block's mean by less, another crop by more


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Examples that witnesses are drawn from.

    rows: m features at the cut.  indices: (m,) int64, which examples of the task they are
    images_opened: whether this run has decoded images anyway
    """

    rows: Any
    indices: np.ndarray
    images_opened: bool = False


def write(file: Path, task: Task, plan: Plan, fitted: Fitted, candidates: Candidates, root: Path) -> None:
    """Writes witness.npz of a fitted task. root: the cache folder, where the stages' outputs for images are kept"""
    spec = plan.backbone.preprocess
    positions = select_witnesses(task, candidates.indices)
    contents = [example_contents.read_content(task.examples[candidates.indices[i]]) for i in positions]
    # Those that need a plug-in are left out: elsewhere nobody could look at them.
    taken = [i for i in witness_images.affordable(contents, spec) if not is_heic(contents[i])]
    positions, contents = [positions[i] for i in taken], [contents[i] for i in taken]
    if not positions:  # photos that no load may decode: one goes along at a fraction of its size
        contents, rows = _shrunk_witness(task.examples[candidates.indices[0]], plan, root)
    else:
        rows = candidates.rows[np.array(positions)]
    scores = fitted.scores(rows)
    arrays: dict[str, np.ndarray] = {"scores": scores, **answers_of(task.objective, scores)}
    if isinstance(rows, Ragged):
        for n, (item, windows) in enumerate(zip(rows.items, rows.windows, strict=True)):
            arrays |= {f"row{n}": np.asarray(item), f"windows{n}": np.array(windows)}
    else:
        arrays["rows"] = np.asarray(rows)
    for n, content in enumerate(contents):
        arrays[f"input{n}"] = np.frombuffer(content.encode() if isinstance(content, str) else content, np.uint8)
    # Decoding imports an image library (0.1 s): a fit from the cache takes what an earlier one stored, or nothing.
    digests = [task.examples[candidates.indices[i]].digest for i in positions]
    stored = root / "witness" / f"{digest.of_value([spec.kind, list(spec.settings), digests])}.npz"
    if task.kind != "image":
        arrays |= preprocessing_stages(contents, spec)
    elif positions and (candidates.images_opened or stored.is_file()):
        arrays |= load_or_compute_arrays(stored, lambda: preprocessing_stages(contents, spec))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomic(file, buffer.getvalue())


def _shrunk_witness(example: Example, plan: Plan, root: Path) -> tuple[list[bytes | str], Any]:
    """A photo at a fraction of its size, and what the network makes of it: (1, …) features at the cut."""
    spec, raw = plan.backbone.preprocess, example_contents.read_content(example)
    content = witness_images.shrunk(raw, spec) if isinstance(raw, bytes) else raw
    extractor = start_engine(plan.backbone, plan.cut, root=root)
    rows, _ = embed_uncached(member("preprocess", spec.kind).prepare([content], spec), spec, plan.cut, extractor)
    return [content], rows


def answers_of(objective: Objective, scores: np.ndarray) -> dict[str, np.ndarray]:
    """What an objective makes of scores, as arrays: `answers` and, of labels, `probabilities`."""
    facts = {"objective": objective.facts(), "labels": objective.decode(scores)}
    arrays = {"answers": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    if objective.link == "identity":
        return arrays
    return {**arrays, "probabilities": objective.probabilities(scores).astype(np.float32)}


def preprocessing_stages(contents: Sequence[bytes | str], spec: Preprocess) -> dict[str, np.ndarray]:
    """Each stage's output for inputs: `units`, and for images `decoded`, `sizes`, `grids` and `normal`."""
    prepare = member("preprocess", spec.kind)
    prepared = prepare.prepare(contents, spec)
    arrays = {"units": np.array([_units_digest(units) for units in prepared])}
    if spec.kind != "image":
        return arrays
    sizes, decoded, grids, normal = [], [], [], []
    photos = [content for content in contents if isinstance(content, bytes)]
    for content, (cropped,) in zip(photos, prepared, strict=True):
        # One by one: a photo may have 100 megapixels.
        image = np.asarray(image_decoding.decode_image(content, 0, spec.pixel_range))
        sizes.append((image.shape[1], image.shape[0]))
        decoded.append(digest.of_bytes(np.ascontiguousarray(image).tobytes()))
        grids.append([_block_means(image), _block_means(cropped)])
        (pixels,) = next(iter(prepare.batch([cropped], spec).values()))
        normal.append([pixels.mean((1, 2)), pixels.std((1, 2))])
    return arrays | {
        "decoded": np.array(decoded),
        "sizes": np.array(sizes, np.int32),
        "grids": np.array(grids),
        "normal": np.array(normal, np.float32),
    }


def _units_digest(units: list[np.ndarray] | Unreadable) -> str:
    return "" if isinstance(units, Unreadable) else digest.of_bytes(b"".join(u.tobytes() for u in units))


def _block_means(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (8, 8, 3) uint8: the mean of each block; of a smaller image, its pixels."""
    h, w = image.shape[:2]
    rows, columns = (np.unique(np.arange(GRID_SIZE) * size // GRID_SIZE) for size in (h, w))
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), rows, 0), columns, 1)
    counts = np.diff([*rows, h])[:, None, None] * np.diff([*columns, w])[None, :, None]
    means = np.zeros((GRID_SIZE, GRID_SIZE, 3), np.uint8)
    means[: len(rows), : len(columns)] = np.rint(sums / counts)
    return means


def select_witnesses(task: Task, indices: np.ndarray) -> list[int]:
    """Positions in `indices`: one a label in turn, the smallest first, while they fit into MAX_INPUT_BYTES."""
    sizes = [_size(task.examples[i]) for i in indices]
    by_label: dict[str, list[int]] = {}
    for position in sorted(range(len(indices)), key=lambda p: (sizes[p], task.examples[indices[p]].id)):
        by_label.setdefault(str(task.examples[indices[position]].label), []).append(position)
    selected: list[int] = []
    total = 0
    for depth in range(WITNESS_COUNT):
        for label in sorted(by_label):
            if depth >= len(by_label[label]) or len(selected) == WITNESS_COUNT:
                continue
            position = by_label[label][depth]
            if not selected or total + sizes[position] <= MAX_INPUT_BYTES:
                selected.append(position)
                total += sizes[position]
    return selected


def _size(example: Example) -> int:
    if isinstance(example.content, Path):
        return example.content.stat().st_size
    return len(example.content) if isinstance(example.content, bytes | str) else 0


def embed_uncached(
    prepared: list, spec: Preprocess, cut: Cut, extractor: Extractor
) -> tuple[Any, dict[int, Unreadable]]:
    """Embeds prepared inputs without the cache: features of the readable ones, and why the others are not.

    prepared: units of each input, or Unreadable
    """
    reasons = {i: units for i, units in enumerate(prepared) if isinstance(units, Unreadable)}
    crossed = features_at_cut([units for units in prepared if not isinstance(units, Unreadable)], spec, cut, extractor)
    windows = [w for _, w in crossed if w]
    return stack_rows([row for row, _ in crossed], windows) if crossed else np.zeros((0, 0), np.float32), reasons
