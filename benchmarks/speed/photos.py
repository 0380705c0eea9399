"""Large JPEGs from decoding to features, and where the time goes for small ones.

    python -m benchmarks.speed.photos [--quick]

100 photos of 12 megapixels are made from real ones, half enlarged and grained, half as mosaics; ours (reading, hashing,
decoding, thumbnails, engine, cache) takes turns with a plain loop of PIL and timm in float32. For photos of 256 pixels:
the rate of the whole, once it is open, against the engine's own, and the milliseconds of processor of each half.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.harness import (
    KEPT,
    MOBILENET,
    data,
    environment,
    facts,
    fresh,
    parser,
    repeats,
    report,
    row,
    tried,
    turns,
)
from benchmarks.speed.rates import cosine

WIDE, HIGH, GRID = 4000, 3000, 8
GOAL, SHARE = 4.0, 0.9


def large(files: list[Path], count: int, into: Path) -> list[Path]:
    """Photos of 12 megapixels, always the same ones."""
    from PIL import Image

    dice, made = np.random.default_rng(0), []
    grain = dice.normal(0, 6, (HIGH, WIDE, 1)).astype(np.int16)
    for part in ("first", "second"):  # a reader wants two classes
        (into / part).mkdir(parents=True)
    for i in range(count):
        if i % 2:
            picture, side = Image.new("RGB", (WIDE, HIGH)), (WIDE // GRID, HIGH // GRID)
            for k in range(GRID * GRID):
                with Image.open(files[(i * 37 + k) % len(files)]) as one:
                    picture.paste(one.convert("RGB").resize(side), (k % GRID * side[0], k // GRID * side[1]))
        else:
            with Image.open(files[i * 3 % len(files)]) as one:
                pixels = np.asarray(one.convert("RGB").resize((WIDE, HIGH), Image.Resampling.BICUBIC), np.int16)
            shifted = np.roll(grain, (i * 131 % HIGH, i * 97 % WIDE), (0, 1))
            picture = Image.fromarray(np.clip(pixels + shifted, 0, 255).astype(np.uint8))
        made.append(into / ("first" if i < count / 2 else "second") / f"{i:03d}.jpg")
        picture.save(made[-1], "JPEG", quality=90)
    return made


def plain(files: list[Path]):
    """A function of PIL, timm's transform and its network over files in batches of 32: rows (n, d)."""
    import timm
    import torch
    from PIL import Image

    module = timm.create_model(MOBILENET, pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(module))

    def run() -> np.ndarray:
        rows = []
        with torch.inference_mode():
            for first in range(0, len(files), 32):
                pixels = [transform(Image.open(file).convert("RGB")) for file in files[first : first + 32]]
                rows.append(module(torch.stack(pixels)).numpy())
        return np.concatenate(rows)

    return run


def ours(folder: Path, kept: Path, work: Path, precision: str = "float32"):
    """A function from files to rows through an empty feature cache, the graph kept; one that empties; its events."""
    from dataclasses import replace

    from headstart.backbones.cards import find_card
    from headstart.core.run import Run
    from headstart.data.read import read_source
    from headstart.features.extract import embed

    card = find_card(f"timm:{MOBILENET}", kept)
    cut = replace(card.cut(len(card.blocks)), precision=precision)

    def run() -> np.ndarray:
        found = read_source(str(folder))
        examples = [e for some in found.examples.values() for e in some]
        events.clear()
        begun = Run.start(cache / "run", cache, events.append)
        return np.asarray(embed(sorted(examples, key=lambda e: e.id), card, cut, cache, begun).x)

    def emptied() -> None:
        fresh(cache, kept)

    cache, events = work / "cache", []
    return run, emptied, events


def timed(run, before=lambda: None) -> float:
    """Seconds of one call."""
    before()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def twelve(asked, work: Path, kept: Path) -> list[dict]:
    """Decode to features of large photos."""
    sources = sorted(data("hymenoptera").glob("train/*/*.jpg"))
    files = large(sources, 16 if asked.quick else 100, work / "large")
    theirs, (run, emptied, _) = plain(files), ours(work / "large", kept, work)
    emptied()
    like = cosine(run(), theirs())  # and both are warm
    found = turns({"theirs": lambda: timed(theirs), "ours": lambda: timed(run, emptied)}, repeats(asked))
    size = np.mean([file.stat().st_size for file in files]) / 1e6
    beside = f"{size:.1f} MB a photo; smallest cosine between the two {like:.4f}"
    more = {"against": "PIL + timm float32 loop", "n": len(files), "beside": beside, "least": GOAL}
    return [row("12-megapixel JPEGs, decode to features", found["ours"], found["theirs"], **more)]


def varied(files: list[Path], count: int, into: Path) -> Path:
    """A folder of photos as they are, mirrored, upside down and both: no two of the same bytes."""
    from PIL import Image, ImageOps

    for part in ("first", "second"):
        (into / part).mkdir(parents=True)
    for i in range(count):
        with Image.open(files[i % len(files)]) as one:
            picture, turn = one.convert("RGB"), i // len(files) % 4
        picture = ImageOps.mirror(picture) if turn % 2 else picture
        picture = ImageOps.flip(picture) if turn >= 2 else picture
        picture.save(into / ("first" if i < count / 2 else "second") / f"{i:04d}.jpg", "JPEG", quality=88)
    return into


def small(asked, work: Path, kept: Path, precision: str) -> list[dict]:
    """The rate from bytes to the shelf, once all is open, against the engine's own; and what limits it."""
    from dataclasses import replace

    from headstart.backbones.cards import find_card
    from headstart.core.hardware import available_cores
    from headstart.core.plugins import member
    from headstart.features.runner import start_engine

    folder = work / "small"
    if not folder.is_dir():
        varied(sorted(data("hymenoptera").glob("*/*/*.jpg")), 512 if asked.quick else 1536, folder)
    contents = [file.read_bytes() for file in sorted(folder.glob("*/*.jpg"))]
    card = find_card(f"timm:{MOBILENET}", kept)
    top = replace(card.cut(len(card.blocks)), precision=precision)
    prepare, running = member("preprocess", "image"), start_engine(card, top, 10_000, kept)
    units = [some[0] for some in prepare.prepare(contents[:256], card.preprocess)]
    run, emptied, events = ours(folder, kept, work, precision)
    fixed: list[float] = []

    def whole() -> float:
        seconds = timed(run, emptied)
        at = {e["event"]: e["at"] for e in events}  # the last of each
        working = at["progress"] - at["opening"]
        fixed.append(seconds - working)
        return len(contents) / working

    def alone() -> float:
        return len(units) / timed(lambda: running.rows(units))

    running.rows(units[:8])
    found = turns({"whole": whole, "engine": alone}, max(3, repeats(asked)))
    began = time.process_time()
    for content in contents[:100]:
        prepare.look([content], card.preprocess)
    decode = (time.process_time() - began) * 10  # ms a photo, of one core
    began = time.process_time()
    running.rows(units)
    engine = (time.process_time() - began) / len(units) * 1e3
    cores = available_cores()
    able = cores * 1e3 / (decode + engine)
    beside = f"of one core a photo: decoding and thumbnail {decode:.1f} ms, engine {engine:.1f} ms, so {cores} cores "
    beside += (
        f"allow {engine / (decode + engine):.0%} and {able:.0f} a second; {np.median(found['whole']) / able:.0%} of "
    )
    beside += f"that is reached. Before and after it {np.median(fixed):.2f} s: listing, hashing, opening, closing"
    more = {"unit": "images/s", "share": True, "least": SHARE, "n": len(contents), "beside": beside}
    what = f"256-pixel JPEGs, whole against engine, {precision}"
    return [row(what, found["whole"], found["engine"], against="our engine alone", **more)]


def main() -> None:
    """Prints one JSON document."""
    asked = parser(__doc__).parse_args()
    os.environ.update(environment())
    before, rows = facts("openvino", "torch", "timm", "pillow"), []
    with tempfile.TemporaryDirectory() as place:
        work, kept = Path(place), Path(place) / "kept"

        def prepared() -> list[dict]:
            from headstart.backbones.cards import find_card
            from headstart.features.runner import start_engine

            card = find_card(f"timm:{MOBILENET}", fresh(kept))
            start_engine(card, card.cut(len(card.blocks)), 10_000, kept)
            ours(data("hymenoptera") / "val", kept, work)[0]()  # fills what is made once a backbone
            for name in KEPT:
                if not (kept / name).is_dir() and (work / "cache" / name).is_dir():
                    (work / "cache" / name).rename(kept / name)
            return []

        rows += tried("the compiled graph", prepared)
        rows += tried("12-megapixel JPEGs", lambda: twelve(asked, work, kept))
        for precision in ("float32", "bfloat16"):
            rows += tried(f"256-pixel JPEGs, {precision}", lambda p=precision: small(asked, work, kept, p))
    report("photos", asked, before, rows)


if __name__ == "__main__":
    main()
