"""Copies of every kind planted in real sets: how many are found, and how many pairs are none.

    python -m benchmarks.guards.planted_copies [SET …] [--each 20] [--photos 1000] [--draw N] [--fingerprints]

Of each set up to so many photos are taken, and of each kind of copies.py so many copies planted, each of a photo of its
own where there are enough. `recall` is the share of copies paired with the photo they were made of. `precision` is the
share of pairs whose photos were made of one; `of the set` counts pairs of photos as they are, which may be real ones,
and `precision besides` leaves them out with the copies of both. --fingerprints looks as far as fingerprints and
features reach, without laying photos over one another. --show FILE draws pairs of the first set that were not made of
one photo, to be looked at. Prints two Markdown tables: sets, and kinds.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.guards.copies import KINDS, SETS, load_photos, make_copy
from benchmarks.paths import SHARED

BACKBONE = "own:vision-small"


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """Photos and their copies. origin: (n,) int64, of which photo each was made; kinds: "" of a photo itself"""

    raws: list[bytes]
    origin: np.ndarray
    kinds: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Pairs (m, 2) of planted photos with their similarity (m,), and the seconds that looking took beside embedding."""

    pairs: np.ndarray
    similarity: np.ndarray
    seconds: float


def plant(name: str, each: int, limit: int, draw: int) -> Planted:
    """Up to `limit` photos of a set and `each` copies of every kind, of different photos as long as there are."""
    photos, rng = load_photos(name, limit, draw), np.random.default_rng(draw + 1)
    wanted = [(kind, number) for kind in KINDS for number in range(each)]
    origin = np.concatenate([np.arange(len(photos)), np.arange(len(wanted)) % len(photos)])
    copies = [make_copy(photos[i % len(photos)], kind, rng) for i, (kind, _) in enumerate(wanted)]
    return Planted([*photos, *copies], origin, [""] * len(photos) + [kind for kind, _ in wanted])


def find(planted: Planted, *, fingerprints_only: bool, root: Path) -> Found:
    """As `twins` and --group-twins look at them."""
    from headstart.backbones.cards import find_card
    from headstart.core import digest
    from headstart.core.task import Example
    from headstart.data.duplicates import near_duplicates
    from headstart.data.duplicates.fingerprint_pairs import find_fingerprint_pairs
    from headstart.data.duplicates.image_stats import load_image_stats
    from headstart.features.extract import embed
    from headstart.features.precision import pick_top_cut

    examples = [Example(f"photo {i}", raw, digest.of_bytes(raw), "x") for i, raw in enumerate(planted.raws)]
    card = find_card(BACKBONE, root)
    rows = embed(examples, card, pick_top_cut(card, examples, root), root)
    began = time.perf_counter()
    stats = load_image_stats(examples, rows.thumbnails, rows.x, root)
    if fingerprints_only:
        i, j, cosine = find_fingerprint_pairs(stats.prints, rows.x)
        stats = replace(stats, copies=np.stack([i, j], 1), likeness=cosine)
    pairs = near_duplicates.find_pairs("image", examples, stats, np.zeros(len(examples), np.int64))
    seconds = time.perf_counter() - began
    return Found(
        np.array([(p.i, p.j) for p in pairs], np.int64).reshape(-1, 2), np.array([p.similarity for p in pairs]), seconds
    )


def score(planted: Planted, found: Found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(which copies were found, which pairs are right, which pairs or what they were made of are the set's own)."""
    first, second = planted.origin[found.pairs.T]
    right = first == second
    paired = {tuple(p) for p in found.pairs.tolist()}
    n_photos = planted.kinds.count("")
    hit = np.array([(int(planted.origin[i]), i) in paired for i in range(n_photos, len(planted.raws))])
    natural = {(i, j) for i, j in paired if max(i, j) < n_photos}
    own = np.array([(min(p), max(p)) in natural for p in zip(first.tolist(), second.tolist(), strict=True)], bool)
    return hit, right, own


def show(planted: Planted, found: Found, right: np.ndarray, into: Path, count: int = 60) -> None:
    """An image of the least similar pairs that were not made of one photo."""
    from PIL import Image

    sheet = Image.new("RGB", (5 * 280, -(-count // 5) * 135), "white")
    for k, pair in enumerate(found.pairs[~right][-count:].tolist()):
        for side, i in enumerate(pair):
            with Image.open(io.BytesIO(planted.raws[i])) as picture:
                small = picture.convert("RGB")
                small.thumbnail((130, 130))
            sheet.paste(small, (k % 5 * 280 + side * 134, k // 5 * 135))
    sheet.save(into)


def _share(values: Sequence | np.ndarray) -> str:
    return f"{np.mean(values):.3f}" if len(values) else ""


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS, help=f"folders of the shared data; {', '.join(SETS)}")
    parser.add_argument("--each", type=int, default=20, help="copies of each kind")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--draw", type=int, default=0, help="other photos and other copies")
    parser.add_argument("--fingerprints", action="store_true")
    parser.add_argument("--show", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    print("| set | photos | copies | recall | precision | of the set | precision besides | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as root:
        for number, name in enumerate(given.sets):
            planted = plant(name, given.each, given.photos, given.draw)
            found = find(planted, fingerprints_only=given.fingerprints, root=Path(root))
            hit, right, own = score(planted, found)
            n_photos = planted.kinds.count("")
            natural = int((~right & (found.pairs < n_photos).all(1)).sum())
            cells = [n_photos, len(hit), _share(hit), _share(right), natural, _share(right[right | ~own])]
            print(f"| {name} | {' | '.join(map(str, cells))} | {found.seconds:.1f} |", flush=True)
            for kind in KINDS:
                by_kind[kind].append(_share(hit[[k == kind for k in planted.kinds[n_photos:]]]))
            if given.show and number == 0:
                show(planted, found, right, given.show)
    print(f"\n| copy | {' | '.join(given.sets)} |\n|---|{'---|' * len(given.sets)}")
    for kind, shares in by_kind.items():
        print(f"| {kind} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
