"""The witness: a dozen inputs as file bytes, the scores that they must give, and what each stage made of them.

witness.npz, n inputs:
    input0 …    (b,) uint8, the file's bytes
    scores      (n, k) float32.   rows (n, …), or row0 … and windows0 … of texts below the top: what left the cut
    units       n digests of what the network is fed: token ids, or pixels after the crop
    decoded     n digests of a photo's pixels as they came out of the file; sizes (n, 2), width and height
    grids       (n, 2, 8, 8, 3) uint8, the photo as it came out of the file and after the crop, each in 64 fields
    normal      (n, 2, 3) float32, mean and spread of each channel of the numbers that the network sees
The last four are there where a photo was opened while the model was made, or had been before.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Cut, Preprocess
from headstart.core.errors import ArtifactError, Unreadable
from headstart.core.features import Ragged, stacked
from headstart.core.files import kept
from headstart.core.plan import Fitted, Plan
from headstart.core.plugins import member
from headstart.core.task import Example, Task
from headstart.data import contents as example_contents
from headstart.deployment import validate_folder
from headstart.features.extract import Running, crossing

if TYPE_CHECKING:
    from headstart.core.plan import Model


WITNESSES = 12
WITNESS_BYTES = (
    2_000_000  # a model folder stays small: larger photos are not taken as witnesses where others are at hand
)
# What scores may move by, in shares of the largest, by the precision in which the network computes. Single: another
# batch size or thread count moves sums by 2e-5 at most over the three hub backbones; a wrong mean or crop by more than
# 1e-1. Half and bfloat16 round each product to 11 and 8 bits.
TOLERANCES = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2, "mixed": 5e-2}
GRID = 8
SHIFTED = 6.0  # of 255: a field of a grid moves by more when the crop lies elsewhere, by less with another filter


def write(file: Path, task: Task, plan: Plan, fitted: Fitted, rows: Any, taken: np.ndarray, root: Path, opened: bool):
    """Writes the witness of a model.

    rows: m features, as left the cut; taken: (m,) int64 which examples they are
    root: the cache folder, where what photos looked like is kept.  opened: whether this run has opened photos anyway
    """
    some = [int(i) for i in chosen(task, taken)]
    mine = rows[np.array(some)]
    arrays: dict[str, np.ndarray] = {"scores": fitted.scores(mine)}
    if isinstance(mine, Ragged):
        for n, (item, windows) in enumerate(zip(mine.items, mine.windows, strict=True)):
            arrays |= {f"row{n}": np.asarray(item), f"windows{n}": np.array(windows)}
    else:
        arrays["rows"] = np.asarray(mine)
    examples = [task.examples[taken[i]] for i in some]
    contents = [example_contents.content(example) for example in examples]
    for n, content in enumerate(contents):
        arrays[f"input{n}"] = np.frombuffer(content.encode() if isinstance(content, str) else content, np.uint8)
    spec = plan.backbone.preprocess
    # Decoding costs a photo library's import (0.1 s): a fit from the cache takes what an earlier one saw, or nothing.
    seen = root / "witness" / f"{digest.of_value([spec.kind, list(spec.settings), [e.digest for e in examples]])}.npz"
    if task.kind != "image":
        arrays |= stages(contents, spec)
    elif opened or seen.is_file():
        arrays |= kept(seen, root, lambda: stages(contents, spec))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    file.write_bytes(buffer.getvalue())


def stages(contents: Sequence[bytes | str], spec: Preprocess) -> dict[str, np.ndarray]:
    """What each stage makes of inputs: `units`, and of photos `decoded`, `sizes`, `grids` and `normal`."""
    prepare = member("preprocess", spec.kind)
    ready = prepare.prepare(contents, spec)
    found = {"units": np.array([_units_digest(some) for some in ready])}
    if spec.kind != "image":
        return found
    from headstart.features.image_decoding import decode

    pictures = [np.asarray(decode(content)) for content in contents if isinstance(content, bytes)]
    fed = [some[0] for some in ready]
    pixels = [next(iter(prepare.batch([unit], spec).values()))[0] for unit in fed]
    return found | {
        "decoded": np.array([digest.of_bytes(np.ascontiguousarray(p).tobytes()) for p in pictures]),
        "sizes": np.array([(p.shape[1], p.shape[0]) for p in pictures], np.int32),
        "grids": np.stack([[_grid(p), _grid(u)] for p, u in zip(pictures, fed, strict=True)]),
        "normal": np.stack([[p.mean((1, 2)), p.std((1, 2))] for p in pixels]).astype(np.float32),
    }


def _units_digest(units: list[np.ndarray] | Unreadable) -> str:
    return "" if isinstance(units, Unreadable) else digest.of_bytes(b"".join(u.tobytes() for u in units))


def _grid(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (8, 8, 3) uint8: the mean of each field; of a picture that is smaller, its pixels."""
    h, w = picture.shape[:2]
    rows, columns = (np.unique(np.arange(GRID) * size // GRID) for size in (h, w))
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float64), rows, 0), columns, 1)
    counts = np.diff([*rows, h])[:, None, None] * np.diff([*columns, w])[None, :, None]
    out = np.zeros((GRID, GRID, 3), np.uint8)
    out[: len(rows), : len(columns)] = np.rint(sums / counts)
    return out


def chosen(task: Task, taken: np.ndarray) -> list[int]:
    """Positions in `taken`: one a label in turn, the smallest first, while they fit into WITNESS_BYTES."""
    sizes = [_size(task.examples[i]) for i in taken]
    by_label: dict[str, list[int]] = {}
    for position in sorted(range(len(taken)), key=lambda p: (sizes[p], task.examples[taken[p]].id)):
        by_label.setdefault(str(task.examples[taken[position]].label), []).append(position)
    found: list[int] = []
    total = 0
    for depth in range(WITNESSES):
        for label in sorted(by_label):
            some = by_label[label]
            if (
                depth < len(some)
                and len(found) < WITNESSES
                and (not found or total + sizes[some[depth]] <= WITNESS_BYTES)
            ):
                found.append(some[depth])
                total += sizes[some[depth]]
    return found


def _size(example: Example) -> int:
    if isinstance(example.content, Path):
        return example.content.stat().st_size
    return len(example.content) if isinstance(example.content, bytes | str) else 0


def read(file: Path, width: int) -> dict[str, np.ndarray]:
    """The arrays of a witness. width: of scores. Raises ArtifactError where one is missing or has another shape."""
    found = validate_folder.arrays(file)
    scores = found.get("scores", np.zeros(0))
    n, texts = len(scores), "windows0" in found
    needed = [f"input{i}" for i in range(n)]
    needed += [f"{name}{i}" for i in range(n) for name in ("row", "windows")] if texts else ["rows"]
    lacking = [name for name in needed if name not in found]
    if lacking or scores.ndim != 2 or not n or (not texts and len(found["rows"]) != n):
        raise ArtifactError(f"{file} lacks {', '.join(lacking[:3]) or 'scores of its inputs'}. {validate_folder.AGAIN}")
    if scores.shape[1] != width:
        raise ArtifactError(
            f"{file} has {scores.shape[1]} scores an input where card.json names {width} labels. "
            f"{validate_folder.AGAIN}"
        )
    shapes = {"units": (n,), "decoded": (n,), "sizes": (n, 2), "grids": (n, 2, GRID, GRID, 3), "normal": (n, 2, 3)}
    odd = [name for name, shape in shapes.items() if name in found and found[name].shape != shape]
    if odd or any(found[f"input{i}"].dtype != np.uint8 for i in range(n)) or scores.dtype.kind != "f":
        raise ArtifactError(
            f"{file}: {odd or 'its inputs or scores'} have another form than ours. {validate_folder.AGAIN}"
        )
    return found


def recall(fitted: Fitted, known: dict[str, np.ndarray], place: Path) -> None:
    """Holds what was learned against the rows of the witness, before a network is opened below it.

    Raises ArtifactError where they cannot be answered, or not as they were.
    """
    try:
        moved = relative(fitted.scores(_rows(known)), known["scores"])
    except Exception as error:  # arrays that do not fit one another: libraries raise what they like
        why = f"{type(error).__name__}: {str(error)[:160]}"
        raise ArtifactError(
            f"{place}: what was learned cannot answer its witness ({why}). {validate_folder.AGAIN}"
        ) from error
    if not moved <= max(TOLERANCES.values()):
        raise ArtifactError(
            f"{place}: witness: scores: the head gives other answers for the same embedding (moved by {moved:.2%}). "
            f"{validate_folder.AGAIN}"
        )


def _rows(known: dict[str, np.ndarray]) -> Any:
    """What left the cut when the witness was written."""
    if "windows0" not in known:
        return known["rows"]
    windows = [tuple(known[f"windows{i}"].tolist()) for i in range(len(known["scores"]))]
    return stacked([known[f"row{i}"] for i in range(len(windows))], windows)


def testify(model: Model, running: Running, precision: str = "float32") -> float:  # noqa: PT028  no test
    """Replays the witness; gives the largest difference of a score, relative to the scores' size.

    precision: in which `running` computes; says which of TOLERANCES is allowed
    Raises ArtifactError naming the first stage that differs: decode, resize, crop, normalise or tokens, embedding,
    scores.
    """
    known = read(model.folder / "witness.npz", model.objective.width)
    spec, allowed, n = model.backbone.preprocess, TOLERANCES[precision], len(known["scores"])
    contents = [known[f"input{i}"].tobytes() for i in range(n)]
    then, text = _rows(known), model.facts["kind"] == "text"
    raws: Sequence[bytes | str] = [c.decode("utf-8", "replace") for c in contents] if text else contents
    now, reasons = embed_fresh(member("preprocess", spec.kind).prepare(raws, spec), spec, model.cut, running)
    if reasons:
        reason = next(iter(reasons.values()))
        raise ArtifactError(
            f"{model.folder}: witness: an input that was read when the model was saved cannot be read now: {reason}."
        )
    moved = relative(model.fitted.scores(now), known["scores"])
    if moved <= allowed:
        return moved
    stage = _first_apart(model, known, raws, now, then, allowed)
    raise ArtifactError(
        f"{model.folder}: witness: this installation gives other answers than were measured. First to differ is the "
        f"{stage}. Scores moved by {moved:.2%}, {allowed:.1%} is allowed. Install the versions of the fit, or fit "
        "again."
    )


def _first_apart(
    model: Model, known: dict[str, np.ndarray], raws: Sequence, now: Any, then: Any, allowed: float
) -> str:
    """Which stage is the first that does not do as it did, and by how much."""
    apart = _apart(now, then)
    if apart <= allowed:
        return "scores: the head gives other answers for the same embedding"
    before = _before_network(known, stages(raws, model.backbone.preprocess))
    if before:
        return before
    unseen = "" if "decoded" in known or model.facts["kind"] != "image" else "decoding, resizing or "
    return f"embedding: it moved by {apart:.1%} for the same file bytes: {unseen}the network differs here"


def _before_network(known: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> str:
    """The first stage before the network that differs; "" where none does, or none was kept."""
    if "decoded" in known:
        if not np.array_equal(known["sizes"], now["sizes"]):
            return "decode: pictures come out of their files in another size, or turned otherwise"
        other = known["decoded"] != now["decoded"]
        if other.any():
            by = f"fields by up to {_levels(known, now, 0):.0f} of 255"
            return f"decode: {other.sum()} of {len(other)} pictures come out of their files otherwise ({by})"
    if "units" in known and (known["units"] != now["units"]).any():
        if "grids" not in known:
            return "tokens: the same text becomes other tokens" if "sizes" not in now else ""
        levels = _levels(known, now, 1)
        stage = (
            "crop: other parts of the pictures are shown" if levels > SHIFTED else "resize: another filter is at work"
        )
        return f"{stage} (fields by up to {levels:.0f} of 255)"
    if "normal" in known and np.abs(known["normal"] - now["normal"]).max() > 1e-3:
        return "normalise: another mean or spread is taken off the pixels"
    return ""


def _levels(known: dict[str, np.ndarray], now: dict[str, np.ndarray], which: int) -> float:
    a, b = (found["grids"][:, which].astype(np.float64) for found in (known, now))
    return float(np.abs(a - b).max())


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two arrays of one shape, in shares of the largest of b; NaN where one is."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-6))


def _apart(a: Any, b: Any) -> float:
    """The same of rows of unequal length: 1 where even the lengths differ."""
    if not isinstance(a, Ragged):
        return relative(a, b)
    return max(relative(x, y) if x.shape == y.shape else 1.0 for x, y in zip(a.items, b.items, strict=True))


def embed_fresh(ready: list, spec: Preprocess, cut: Cut, running: Running) -> tuple[Any, dict[int, Unreadable]]:
    """Prepared inputs straight through the network, past the cache: rows of the readable ones, and why of the others.

    ready: units of each input, or Unreadable
    """
    reasons = {i: some for i, some in enumerate(ready) if isinstance(some, Unreadable)}
    crossed = crossing([some for some in ready if not isinstance(some, Unreadable)], spec, cut, running)
    windows = [w for _, w in crossed if w]
    return stacked([row for row, _ in crossed], windows) if crossed else np.zeros((0, 0), np.float32), reasons
