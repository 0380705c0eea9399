"""Pictures to learn from without labels: decoded once, shrunk, kept in one file, and seen in views."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data import contents
from headstart.features.augmentation import Policy, dice, drawn, plain, shown

SHARD = 256  # pictures decoded between two words of progress


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """n pictures on disk.

    pixels: all of them, one after the other, a map.  offsets: (n,) int64 where each begins.  shapes: (n, 2) int64
    digests: of each file's bytes.  aside: what could not be read
    """

    pixels: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    digests: tuple[str, ...]
    aside: tuple[SetAside, ...] = ()

    def __len__(self) -> int:
        return len(self.digests)

    def picture(self, i: int) -> np.ndarray:
        """(h, w, 3) uint8"""
        h, w = self.shapes[i]
        return self.pixels[self.offsets[i] : self.offsets[i] + 3 * h * w].reshape(h, w, 3)

    def view(self, i: int, number: int, policy: Policy, seed: int, side: int) -> np.ndarray:
        """(side, side, 3) uint8: view `number` of picture i; view 0 is the plain one."""
        if number == 0:
            return plain(self.picture(i), side)
        rng = dice(seed, self.digests[i], number)
        one = shown(self.picture(i), drawn(rng, policy, *map(int, self.shapes[i])), side)
        if policy.mix and rng.random() < policy.mix:
            j, share = int(rng.integers(len(self))), rng.uniform(0.1, 0.5)
            other = shown(self.picture(j), drawn(rng, policy, *map(int, self.shapes[j])), side)
            mixed = (1 - share) * one + share * other
            one = np.rint(mixed).astype(np.uint8)
        return one

    def name(self) -> str:
        """The digest of all of them: blended views depend on which pictures there are."""
        return digest.of_value(list(self.digests))


def gather(
    examples: Sequence[Example], folder: Path, edge: int, say: Callable[[str, dict], None] = lambda event, facts: None
) -> Pictures:
    """Decodes what is not decoded yet; equal files count once.

    edge: pixels that the shorter side is shrunk to where it is longer.  say: told of progress, (event, facts)
    Raises SourceError when not one picture can be read.
    """
    wanted = list({e.digest: e for e in examples}.values())
    key = digest.of_value({"edge": edge, "digests": [e.digest for e in wanted]})
    table, pixels = folder / "pictures.json", folder / "pictures.bin"
    kept = _kept(table)
    if kept is None or kept["key"] != key or not pixels.is_file() or pixels.stat().st_size != kept["bytes"]:
        kept = _decode(wanted, folder, edge, key, say)
    if not kept["digests"]:
        first = kept["aside"][0] if kept["aside"] else {"id": "nothing", "reason": "there are no files"}
        raise SourceError(f"Not one picture can be read (first: {first['id']}: {first['reason']}).")
    shapes = np.array(kept["shapes"], np.int64)
    offsets = np.concatenate([[0], np.cumsum(3 * shapes.prod(1))[:-1]])
    aside = tuple(SetAside(a["id"], a["reason"]) for a in kept["aside"])
    return Pictures(np.memmap(pixels, np.uint8, "r"), offsets, shapes, tuple(kept["digests"]), aside)


def _kept(table: Path) -> dict | None:
    try:
        return json.loads(table.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _decode(wanted: list[Example], folder: Path, edge: int, key: str, say: Callable[[str, dict], None]) -> dict:
    from concurrent.futures import ThreadPoolExecutor
    from itertools import islice

    folder.mkdir(parents=True, exist_ok=True)
    shapes: list[list[int]] = []
    digests: list[str] = []
    aside: list[dict] = []
    temporary, total, done, began = folder / ".pictures.tmp", 0, 0, time.perf_counter()
    items = iter(contents.stream(wanted))
    with open(temporary, "wb") as file, ThreadPoolExecutor(2) as pool:
        while some := list(islice(items, SHARD)):
            for (example, _), picture in zip(some, pool.map(lambda pair: _small(pair[1], edge), some), strict=True):
                if isinstance(picture, Unreadable):
                    aside.append({"id": example.id, "reason": str(picture)})
                    continue
                total += file.write(picture.tobytes())
                shapes.append(list(picture.shape[:2]))
                digests.append(example.digest)
            done += len(some)
            say(
                "progress",
                {"stage": "decode", "done": done, "total": len(wanted), "rate": done / (time.perf_counter() - began)},
            )
    temporary.replace(folder / "pictures.bin")
    facts = {"key": key, "bytes": total, "shapes": shapes, "digests": digests, "aside": aside}
    (folder / "pictures.json").write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _small(content: bytes | str | Unreadable, edge: int) -> np.ndarray | Unreadable:
    from PIL import Image

    from headstart.features.image_decoding import decode

    if isinstance(content, Unreadable):
        return content
    try:
        picture = decode(content if isinstance(content, bytes) else content.encode())
    except Unreadable as reason:
        return reason
    share = edge / min(picture.size)
    if share < 1:
        size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture)
