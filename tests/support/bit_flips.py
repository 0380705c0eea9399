"""One bit of one file of each kind that is written turned over, and what its reader makes of that."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import headstart
from headstart.backbones.cards import find_card
from headstart.core import digest
from headstart.core.errors import HeadstartError
from headstart.core.options import DataOptions
from headstart.data.read import read
from headstart.evaluation.transferability.random_init_baseline import random_init_embeddings
from headstart.features import precision, preprocessing_check
from headstart.features.cache import maintenance
from headstart.features.cached_views import cached_views
from headstart.features.engines import openvino
from headstart.features.extract import embed
from tests.support.disk_faults import essence, small_fit, write_pictures
from tests.support.paths import ROOT

OWN = ROOT / "tests" / "golden" / "backbones" / "photos"
PEOPLE = "for people"  # its value is None: what is written for people to read is not believed by anything
HANG_SECONDS = 120
CUT = 1  # below the top


@dataclass(frozen=True, slots=True)
class Kind:
    """Files of one kind, and who reads them.

    files: globs below the folder.  value: what the reader makes of them, comparable by ==
    """

    files: tuple[str, ...]
    value: Callable[[Path], Any]


def fit(folder: Path) -> Any:
    """A fit on `stats`, from the cache."""
    return small_fit(folder / "data", folder / "again", folder / "cache")


def fit_own(folder: Path) -> Any:
    """A fit on a backbone folder, from the cache."""
    options = {"backbone": f"own:{folder / 'backbone'}", "method": "probe", "budget": "quick"}
    headstart.fit(folder / "data", into=folder / "again", root=folder / "cache", **options)
    return essence(folder / "again")


def fit_both(folder: Path) -> Any:
    """Both fits."""
    return fit(folder), fit_own(folder)


def fit_own_anew(folder: Path) -> Any:
    """A fit on a backbone folder whose features are not cached."""
    shutil.rmtree(folder / "cache" / "features")
    return fit_own(folder)


def predict(folder: Path) -> Any:
    """The answers of two models."""
    inputs = [str(file) for file in sorted((folder / "data").rglob("*.png"))[:5]]
    with environment(HEADSTART_CACHE=str(folder / "cache")):
        return [a.facts() for run in ("run", "own") for a in headstart.predict(folder / run, inputs)]


def show(folder: Path) -> Any:
    """The pages of a run."""
    headstart.report(folder / "run")
    headstart.card(folder / "run")
    return PEOPLE


def repeat(folder: Path) -> Any:
    """The run that a plan.toml tells; users edit that, so another one is no fault."""
    headstart.fit(folder / "data", config=folder / "run" / "plan.toml", into=folder / "again", root=folder / "cache")
    return PEOPLE


def compare(folder: Path) -> Any:
    """The table of a comparison, of which all runs are there."""
    asked = {"methods": ["centroid", "ridge"], "seeds": 1, "backbone": "stats", "budget": "quick"}
    with environment(HEADSTART_CACHE=str(folder / "cache")):
        table = headstart.compare(folder / "data", into=folder / "compared", **asked).facts["methods"]
    return [(row["method"], row["mean"]) for row in table]


def below(folder: Path) -> Any:
    """Features below the top, and of views."""
    examples, card = _examples(folder), _own(folder)
    rows = embed(examples, card, card.cut(CUT), folder / "cache").x
    views = cached_views(examples, card, card.cut(CUT), 1, 0, folder / "cache")
    return [digest.of_bytes(np.ascontiguousarray(x).tobytes()) for x in (rows, *views)]


def compiled(folder: Path) -> Any:
    """What a compiled graph gives."""
    card = _own(folder)
    side = int(card.preprocess["input_size"][1])  # type: ignore[index]
    units = list(np.random.default_rng(0).integers(0, 256, (4, side, side, 3), dtype=np.uint8))
    rows = np.ascontiguousarray(openvino.start(card, card.cut(CUT), folder / "cache").rows(units))
    return digest.of_bytes(rows.astype(np.float16).tobytes())


def untrained(folder: Path) -> Any:
    """Embeddings by random weights."""
    return random_init_embeddings(_examples(folder), _own(folder), folder / "cache").tolist()


def reference(folder: Path) -> Any:
    """The rendered photos."""
    photos = preprocessing_check.reference_photos(folder / "cache")
    return digest.of_files(sorted(photos.rglob("*.jpg")))


def precisions(folder: Path) -> Any:
    """Which measurements count: none where they are damaged."""
    found = precision._load_candidates(folder / "cache" / "engines" / "some.json", "task")
    return found in ([], MEASURED)


MEASURED = [
    precision.CandidatePrecision("float32", 10.0, 1.0, 1.0),
    precision.CandidatePrecision("mixed", 30.0, 0.9999, 1.0),
]
QUICK = {
    "rows and thumbnails": Kind(("cache/features/*/*.seg",), fit_both),
    "shelf.json": Kind(("cache/features/*/shelf.json",), fit),
    "receipts": Kind(("cache/features/*/receipt-*.json",), fit_both),
    "previews (glances)": Kind(("cache/glances/*",), fit),
    "looks at a test part": Kind(("cache/judged/*",), fit),
    "stages of witnesses": Kind(("cache/witness/*",), fit),
    "remembered cards": Kind(("cache/cards/*",), fit_own),
    "model card": Kind(("run/model/card.json", "own/model/card.json"), predict),
    "model delta": Kind(("run/model/delta.safetensors", "own/model/delta.safetensors"), predict),
    "model witness": Kind(("run/model/witness.npz", "own/model/witness.npz"), predict),
    "result.json, journal, plots": Kind(("run/*.json", "run/*.jsonl", "run/*.csv", "run/plots/*"), show),
    "runs of a comparison": Kind(("compared/*.json", "compared/*/*.json"), compare),
    "plan.toml": Kind(("run/plan.toml",), repeat),
    "backbone card": Kind(("backbone/backbone/card.json",), fit_own_anew),
    "backbone weights": Kind(("backbone/backbone/model.*",), fit_own_anew),
    "measured precisions": Kind(("cache/engines/*",), precisions),
}
SLOW = {
    "compiled graph": Kind(("cache/compiled/*/*.*",), compiled),  # first: what is cached later is computed by it
    "features below the top, views": Kind(("cache/features/*/*.seg",), below),
    "untrained embeddings": Kind(("cache/untrained/*",), untrained),
    "rendered photos": Kind(("cache/reference/*/*/*.jpg", "cache/reference/*.json"), reference),
}


def build(into: Path, *, slow: bool) -> dict[str, Kind]:
    """Writes a file of each kind below `into`. Gives the kinds.  slow: those too that need torch"""
    write_pictures(into / "data")
    shutil.copytree(OWN, into / "backbone")
    small_fit(into / "data", into / "run", into / "cache")
    fit_own(into)
    (into / "again").rename(into / "own")
    compare(into)
    precision._save_candidates(into / "cache" / "engines" / "some.json", MEASURED, "task")
    if slow:
        for kind in SLOW.values():
            kind.value(into)
    return {**QUICK, **(SLOW if slow else {})}


def outcome_of_flip(live: Path, clean: Path, kind: Kind, expected: Any, rng: np.random.Generator) -> tuple[str, str]:
    """What the reader makes of one bit turned over at random, and what `cache verify` says.

    live: a folder that becomes a copy of `clean`.  Gives "right", "refused" or what is wrong; "found", "missed" or ""
    """
    file, at, bit = _draw(clean, kind, rng)
    flip(live, clean, file, at, bit)
    try:
        with watchdog():
            found = "right" if kind.value(live) == expected else f"SILENT: {file} byte {at} bit {bit}"
    except HeadstartError as error:
        found = "refused" if len(str(error)) > 20 else f"no words: {error}"
    except TimeoutError:
        found = f"HANG: {file} byte {at} bit {bit}"
    except Exception as error:  # whatever is raised here would have been shown as a traceback
        found = f"TRACEBACK: {file} byte {at} bit {bit}: {type(error).__name__}: {str(error)[:200]}"
    if file.parts[0] != "cache":
        return found, ""
    flip(live, clean, file, at, bit)
    told = maintenance.verify(live / "cache")
    return found, "found" if any(file.name in line or file.parts[2] in line for line in told) else "missed"


def flip(live: Path, clean: Path, file: Path, at: int, bit: int) -> None:
    """A copy of a folder with one bit of one of its files turned over, which is as old as it was."""
    restore(live, clean)
    before = (live / file).stat()
    content = bytearray((live / file).read_bytes())
    content[at] ^= 1 << bit
    (live / file).write_bytes(content)
    os.utime(live / file, ns=(before.st_atime_ns, before.st_mtime_ns))


def restore(live: Path, clean: Path) -> None:
    """`live` as a copy of `clean`."""
    shutil.rmtree(live, ignore_errors=True)
    shutil.copytree(clean, live)


def _draw(clean: Path, kind: Kind, rng: np.random.Generator) -> tuple[Path, int, int]:
    """A file of a kind, relative to the folder, and a byte and a bit of it."""
    files = sorted(f for pattern in kind.files for f in clean.glob(pattern) if f.is_file() and f.stat().st_size)
    file = files[rng.integers(len(files))]
    return file.relative_to(clean), int(rng.integers(file.stat().st_size)), int(rng.integers(8))


@contextmanager
def watchdog() -> Iterator[None]:
    """Raises TimeoutError in what takes too long."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables of the environment, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            with suppress(KeyError):
                del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _own(folder: Path) -> Any:
    return find_card(f"own:{folder / 'backbone'}", folder / "cache")


def _examples(folder: Path) -> list:
    return list(read(folder / "data", DataOptions(seed=0)).examples)
