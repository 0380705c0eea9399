"""Cold `headstart fit` against what a good engineer writes in 30 lines: timm in float32 and scikit-learn.

    python -m benchmarks.speed.fit [--quick]

Whole processes in turns, on at most 800 photos of each of four sets, the same folders for both. Two rows of ours: with
an empty cache, and with only the compiled graph left by an earlier fit on other data.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.harness import (
    MOBILENET,
    Done,
    Missing,
    accuracy,
    both,
    data,
    facts,
    fit,
    fresh,
    parser,
    peers_script,
    process,
    repeats,
    report,
    row,
    tried,
    turns,
)

# Classes, and photos of each class to train on and to judge on: 800 at most together. None is all there is.
SETS: dict[str, tuple[int, int, int] | None] = {
    "hymenoptera": None, "neu_defects": (6, 100, 33), "trashnet": (6, 100, 33), "flowers102_64px": (40, 10, 10),
}  # fmt: skip
GOAL = 5.0
PEER = "timm + scikit-learn"


def folders(name: str, into: Path) -> tuple[Path, Path, Path]:
    """A set as class folders: its root, its training and its test part. Raises Missing."""
    source, wanted = data(name), SETS[name]
    if wanted is None:
        return source, source / "train", source / "val"
    root = into / name
    for part, most in (("train", wanted[1]), ("test", wanted[2])):
        count: dict[str, int] = defaultdict(int)
        for label, suffix, content in _photos(source, part):
            known = label in count or len(count) < wanted[0]
            if known and count[label] < most:
                folder = root / part / label
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{count[label]:04d}{suffix}").write_bytes(content)
                count[label] += 1
    return root, root / "train", root / "test"


def _photos(source: Path, part: str) -> Iterator[tuple[str, str, bytes]]:
    """(class, suffix, bytes) of a part in its own order; of a table in the order of its labels."""
    if (source / part).is_dir():
        for file in sorted((source / part).glob("*/*")):
            yield file.parent.name, file.suffix, file.read_bytes()
        return
    from pyarrow.parquet import ParquetFile

    table = ParquetFile(source / f"{part}.parquet")
    labels = table.read(columns=["label"]).column("label").to_pylist()
    photos = table.read(columns=["image"]).column("image").to_pylist()
    for i in sorted(range(len(labels)), key=lambda i: (labels[i], i)):
        yield f"{labels[i]:03d}", Path(photos[i]["path"] or ".jpg").suffix or ".jpg", photos[i]["bytes"]


def counted(part: Path) -> int:
    """Photos in a part."""
    return sum(1 for file in part.glob("*/*") if file.is_file())


def compared(name: str, places: dict[str, tuple[Path, Path, Path]], donor: Path, work: Path, times: int) -> list[dict]:
    """Both rows of a set and the one of accuracies."""
    root, train, test = places[name]
    cache = work / "cache"
    script = peers_script()
    theirs_line = [sys.executable, script, "sk", train, test, "--backbone", MOBILENET]

    def theirs() -> tuple[Done, float]:
        done = process(theirs_line)
        return done, float(done.document()["acc"])

    def ours(kept: Path | None) -> tuple[Done, float]:
        done, result = fit(root, fresh(cache, kept))
        return done, accuracy(result)

    found = turns({"theirs": theirs, "cold": lambda: ours(None), "kept": lambda: ours(donor)}, times)
    done = {way: [one for one, _ in some] for way, some in found.items()}
    right = {way: some[-1][1] for way, some in found.items()}
    beside = f"accuracy {right['cold']:.4f} / {right['theirs']:.4f}"
    n = counted(train) + counted(test)
    shared = {"against": PEER, "n": n, "least": GOAL}
    return [
        {**both(f"{name}, everything cold", done["cold"], done["theirs"], beside=beside, **shared)}
        | {"accuracy": [right["cold"], right["theirs"]], "set": name},
        both(f"{name}, compiled graph kept", done["kept"], done["theirs"], beside=beside, **shared),
    ]


def precisions(name: str, root: Path, donor: Path, work: Path, n: int) -> list[dict]:
    """Accuracy in float32 and in bfloat16."""
    took, right = {}, {}
    for precision in ("float32", "bfloat16"):
        options = ("--engine", f"openvino:{precision}")
        took[precision], result = fit(root, fresh(work / "cache", donor), f"timm:{MOBILENET}", *options)
        right[precision] = accuracy(result)
    beside = f"accuracy in bfloat16 {right['bfloat16']:.4f}, in float32 {right['float32']:.4f}"
    more = {"against": "our float32", "n": n, "beside": beside, "figure": False}
    return [both(f"{name}, bfloat16", [took["bfloat16"]], [took["float32"]], **more)]


def main() -> None:
    """Prints one JSON document."""
    asked = parser(__doc__).parse_args()
    before, times = facts("openvino", "torch", "timm", "scikit-learn", "pillow"), repeats(asked)
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as place:
        work, places = Path(place), {}
        for name in list(SETS)[: 2 if asked.quick else None]:
            try:
                places[name] = folders(name, work)
            except Missing as missing:
                rows.append({**row(name), "missing": str(missing)})
        known = list(places)
        for i, name in enumerate(known):
            donor = work / f"donor-{i}"
            other = known[(i + 1) % len(known)]

            def given(donor: Path = donor, other: str = other) -> Path:
                if not donor.is_dir():
                    fit(places[other][0], fresh(donor))
                return donor

            def measured(name: str = name, given=given) -> list[dict]:
                return compared(name, places, given(), work, times)

            def rounded(name: str = name, given=given) -> list[dict]:
                n = counted(places[name][1]) + counted(places[name][2])
                return precisions(name, places[name][0], given(), work, n)

            rows += tried(name, measured)
            rows += tried(f"{name}, bfloat16", rounded)
            shutil.rmtree(donor, ignore_errors=True)
    report("fit", asked, before, [*rows, *_mean(rows)])


def _mean(rows: list[dict]) -> list[dict]:
    """The mean accuracy over the sets, ours less theirs."""
    pairs = [r["accuracy"] for r in rows if "accuracy" in r]
    if not pairs:
        return []
    ours, theirs = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    made = row(f"mean accuracy of {len(pairs)} sets", [ours], [theirs], against=PEER, unit="accuracy", least=1.0)
    return [{**made, "figure": False, "n": len(pairs)}]


if __name__ == "__main__":
    main()
