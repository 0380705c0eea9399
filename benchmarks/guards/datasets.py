"""Small parts of real data sets, as they are and with a bug in them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from benchmarks.paths import SHARED

Data = dict[str, tuple[list, list]]


DRAW = 0  # which photos and questions are taken; detection.py sets it


def photos(train: int = 40, test: int = 20) -> Data:
    """Ants and bees as files in memory: `train` and `test` of each."""
    found: Data = {}
    for part, folder, count in (("train", "train", train), ("test", "val", test)):
        files = [p for k in ("ants", "bees") for p in _drawn(SHARED / "data/hymenoptera" / folder / k)[:count]]
        found[part] = [p.read_bytes() for p in files], [p.parent.name for p in files]
    return found


def _drawn(folder: Path) -> list[Path]:
    """The files of a folder, in their order for draw 0, in another for others."""
    files = sorted(folder.iterdir())
    return files if not DRAW else [files[i] for i in np.random.default_rng(DRAW).permutation(len(files))]


def texts(each: int = 16, test: int = 120) -> Data:
    """Questions of six kinds: `each` of a kind to learn from, `test` in all to judge."""
    from headstart.core.options import DataOptions
    from headstart.data.read import read
    from headstart.data.subset import limit_shots

    task = limit_shots(read(SHARED / "data/text_trec6", DataOptions(seed=0)), each, DRAW)
    from headstart.data.contents import read_content

    found: Data = {}
    for part, rows in (("train", task.parts["train"]), ("test", task.parts["test"][:test])):
        some = [task.examples[i] for i in rows]
        found[part] = [read_content(e) for e in some], [e.label for e in some]
    return found


def saved_again(data: bytes, quality: int = 60, scale: float = 1.0) -> bytes:
    """A photo decoded and saved once more."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        size = [max(8, round(side * scale)) for side in picture.size]
        buffer = io.BytesIO()
        picture.convert("RGB").resize((size[0], size[1])).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def with_leak() -> Data:
    """Ten test photos are in the training part too."""
    data = photos()
    (x, y), (tx, ty) = data["train"], data["test"]
    return {**data, "train": ([*x, *tx[:10]], [*y, *ty[:10]])}


def with_twins() -> Data:
    """The same, saved again."""
    data = photos()
    (x, y), (tx, ty) = data["train"], data["test"]
    return {**data, "train": ([*x, *(saved_again(b) for b in tx[:10])], [*y, *ty[:10]])}


def with_text_twins() -> Data:
    """Ten test questions are in the training part, with other capitals and marks."""
    data = texts()
    (x, y), (tx, ty) = data["train"], data["test"]
    return {**data, "train": ([*x, *(t.upper().rstrip("? ") + " !" for t in tx[:10])], [*y, *ty[:10]])}


def with_wrong_labels() -> Data:
    """One label in ten is turned."""
    data = photos(80, 30)
    x, y = data["train"]
    return {
        **data,
        "train": (x, [({"ants": "bees", "bees": "ants"}[v] if i % 10 == 0 else v) for i, v in enumerate(y)]),
    }


def with_conflict() -> Data:
    """Three photos stand there under both labels."""
    data = photos()
    x, y = data["train"]
    return {**data, "train": ([*x, *x[:3]], [*y, "bees", "bees", "bees"])}


def with_sizes() -> Data:
    """Ants were saved at half the size of the bees."""
    data = photos()
    return {
        part: ([saved_again(b, 90, 0.5 if k == "ants" else 1.0) for b, k in zip(x, y, strict=True)], y)
        for part, (x, y) in _fixed(data).items()
    }


def _fixed(data: Data) -> Data:
    """All photos of one size."""
    from PIL import Image

    def fixed(raw: bytes) -> bytes:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(raw)) as picture:
            picture.convert("RGB").resize((256, 256)).save(buffer, "PNG")
        return buffer.getvalue()

    return {part: ([fixed(b) for b in x], y) for part, (x, y) in data.items()}


def with_lengths() -> Data:
    """Questions of one kind end in the signature of the desk that collected them."""
    data = texts()
    return {
        part: ([t + " -- sent from the desk of numbers" * (k == "NUM") for t, k in zip(x, y, strict=True)],
               ["NUM" if k == "NUM" else "other" for k in y])
        for part, (x, y) in data.items()
    }  # fmt: skip


def with_chance() -> Data:
    """Labels that have nothing to do with the photos."""
    data = photos()
    rng = np.random.default_rng(0)
    return {part: (x, [y[i] for i in rng.permutation(len(y))]) for part, (x, y) in data.items()}


def with_rare() -> Data:
    """Forty ants and five bees."""
    data = photos()
    x, y = data["train"]
    return {**data, "train": (x[:45], y[:45])}


def with_unreadable() -> Data:
    """Two photos are cut off."""
    data = photos()
    x, y = data["train"]
    return {**data, "train": ([x[0][:300], x[1][:300], *x[2:]], y)}
