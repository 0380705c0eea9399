"""A small folder from elsewhere may not take much memory or time: each is loaded in a process of its own."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from headstart.core.backbone import Preprocess
from headstart.core.errors import ArtifactError
from headstart.deployment import model_folder, stored_arrays, witness_images
from headstart.deployment.export import calibration_inputs
from headstart.workflows import fit
from tests.support.hostile_folders import array, blank_png, edit, header, npy, preprocess, raw_header, recipe, sparse
from tests.support.sources import png_bytes

MAX_MB, MAX_SECONDS = 512, 10.0  # above what loading the sound folder takes
GOLDEN = Path(__file__).parents[1] / "golden"
LOAD = """
import json, sys, time
from pathlib import Path
from headstart.core.errors import ArtifactError
from headstart.deployment.model_folder import load

began, said = time.perf_counter(), ""
try:
    load(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
except ArtifactError as error:
    said = str(error)
peak = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps({"said": said, "seconds": time.perf_counter() - began, "mb": int(peak[0].split()[1]) / 1024}))
"""
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")


def measured(place: Path, cache: Path, base: str = "") -> dict:
    line = [sys.executable, "-c", LOAD, str(place), str(cache), base]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def photo_model(tmp_path_factory) -> tuple[Path, Path, dict]:
    """A model on photos without a network, its cache, and what loading it takes."""
    place = tmp_path_factory.mktemp("photos")
    for n in range(24):
        file = place / "data" / ("dark" if n % 2 else "light") / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png_bytes(n))
    run = fit.fit(place / "data", into=place / "run", backbone="stats", root=place / "cache").folder
    return run / "model", place / "cache", measured(run / "model", place / "cache")


def bombs(place: Path) -> None:
    """Each photo of the witness as one of 169 megapixels, in 20 KB."""
    picture = np.frombuffer(blank_png(13_000, 13_000), np.uint8)
    with np.load(place / "witness.npz") as kept:
        count = len(kept["scores"])
    assert count > 4
    array(**{f"input{n}": picture for n in range(count)})(place)


EMPTY = {"dtype": "F32", "shape": [0, 2**40], "data_offsets": [0, 0]}
DOZENS = json.dumps({f"t{i}": EMPTY for i in range(200_000)}).encode()
VAST = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 0), }"
HOSTILE = {
    "bombs": (bombs, "take more than 400 MB to decode"),
    "vast and empty": (npy(VAST), "not read|nothing"),
    "empty tensors": (raw_header(DOZENS), "more than 20,000 tensors|cut short"),
    "one empty tensor": (header(lambda facts: {**facts, "x": EMPTY}), "holds nothing"),
    "empty objects": (edit("card.json", lambda raw: b"[" + b"{}," * 5_000_000 + b"{}]"), "more than 1,000,000 values"),
    "a large input": (preprocess(input_size=[3, 100_000, 100_000]), "input_size.1. is 100000"),
    "a small crop": (preprocess(input_size=[3, 2000, 2000], crop_pct=0.06), "photos would be enlarged"),
    "a hole of a terabyte": (sparse("delta.safetensors", 1 << 40), "bytes are the most|are the most that are read"),
    "a hole of 60 gigabytes": (sparse("delta.safetensors", 60 << 30), "most of it is a hole"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_small_folder_takes_little(case, photo_model, tmp_path):
    sound, cache, needed = photo_model
    assert not needed["said"]
    shutil.copytree(sound, tmp_path / "model")
    change, words = HOSTILE[case]
    change(tmp_path / "model")
    taken = measured(tmp_path / "model", cache)
    assert re.search(words, taken["said"]), taken
    assert taken["mb"] <= needed["mb"] + MAX_MB and taken["seconds"] <= needed["seconds"] + MAX_SECONDS, taken


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="this system tells of no holes")
@pytest.mark.parametrize(("written", "refused"), [(range(40), False), (range(0, 40, 4), True), (range(2), True)])
def test_a_hole_is_told_from_a_file_that_takes_few_blocks(written, refused, tmp_path, monkeypatch):
    """ZFS and btrfs count few blocks for whole files: compressed ones, or those written a second ago."""
    piece, file = os.urandom(1 << 20), tmp_path / "delta.safetensors"
    with open(file, "wb") as stream:
        stream.truncate(40 << 20)
        for i in written:
            stream.seek(i << 20)
            stream.write(piece)
    few = SimpleNamespace(st_size=40 << 20, st_blocks=1)
    monkeypatch.setattr(Path, "stat", lambda self, **_: few)
    if refused:
        with pytest.raises(ArtifactError, match="most of it is a hole"):
            stored_arrays.check_file_size(file, 1 << 30)
    else:
        assert stored_arrays.check_file_size(file, 1 << 30) == 40 << 20


RECIPES = {
    "lora": ("", partial(recipe, rank=131_072)),
    "adapter-photos": (f"own:{GOLDEN}/backbones/photos", partial(recipe, width=10_000_000)),
    "compact-photos": (f"own:{GOLDEN}/backbones/photos", partial(recipe, width=5_000_000)),
    "prompt": (f"own:{GOLDEN}/backbones/texts", partial(recipe, tokens=500_000_000)),
    "auto-levels": ("", partial(recipe, width=1 << 33)),
}


@pytest.mark.parametrize("run", RECIPES)
def test_no_more_is_built_than_is_stored(run, tmp_path):
    pytest.importorskip("torch")
    base, change = RECIPES[run]
    shutil.copytree(GOLDEN / "runs" / run / "model", tmp_path / "model")
    change()(tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"asks for a network of [\d,]+ numbers or more|Do not trust"):
        model_folder.load(tmp_path / "model", tmp_path / "cache", base)


SPEC = Preprocess("image", (("crop_pct", 0.9), ("input_size", (3, 224, 224))))


def image_bytes(size: tuple[int, int], mode: str = "RGB", kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("photos", "taken"),
    [
        ([image_bytes((40, 30))] * 12, 12),
        ([image_bytes((40, 30), kind="WEBP")] * 12, 12),
        ([image_bytes((5000, 4000), kind="JPEG")] * 12, 12),  # a camera's: decoded at a quarter
        ([image_bytes((4000, 4000), kind="WEBP")] * 12, 12),
        ([image_bytes((6000, 4000), kind="WEBP")] * 12, 0),
        ([blank_png(13_000, 13_000)], 0),
        ([blank_png(6000, 6000)] * 12, 8),
        ([image_bytes((4000, 4000), "RGBA")], 0),
        ([image_bytes((4000, 4000), "I;16")], 0),
        ([image_bytes((9000, 9000), kind="JPEG", progressive=True)], 0),
        ([b"not an image"], 1),  # decoding it costs nothing, and says so
    ],
)
def test_photos_that_cost_too_much_are_no_witnesses(photos, taken):
    assert len(witness_images.affordable(photos, SPEC)) == taken


def test_a_fit_on_photos_too_large_for_a_witness_loads(tmp_path):
    for n in range(24):
        file = tmp_path / "data" / ("dark" if n % 2 else "light") / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png_bytes(n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(witness_images, "MAX_BYTES", 0)
        patch.setattr(witness_images, "SURELY_SMALL", 0)
        run = fit.fit(tmp_path / "data", into=tmp_path / "run", backbone="stats", root=tmp_path / "cache").folder
    with np.load(run / "model" / "witness.npz") as kept:
        assert len(kept["scores"]) == 1 and "decoded" not in kept
    model_folder.load(run, tmp_path / "cache")


@pytest.mark.parametrize("large", [3, 12])
def test_a_model_of_before_this_bound_replays_the_photos_that_are_within_it(large, tmp_path, monkeypatch):
    shutil.copytree(GOLDEN / "runs" / "centroid" / "model", tmp_path / "model")
    whole = witness_images.affordable
    monkeypatch.setattr(witness_images, "affordable", lambda inputs, spec: whole(inputs, spec)[large:])
    if large == 12:
        with pytest.raises(ArtifactError, match="as an earlier version took them along"):
            model_folder.load(tmp_path / "model", tmp_path / "cache")
    else:
        model, _ = model_folder.load(tmp_path / "model", tmp_path / "cache")
        assert len(calibration_inputs.witness_inputs(model)) == 12 - large


def test_a_word_as_long_as_a_file_gives_no_more_features_than_a_book(monkeypatch):
    from headstart.features.preprocess import words

    spec = Preprocess("words", (("buckets", 2048),))
    (sound,) = words.prepare(["aa bb"], spec)[0]
    whole = ["aa", "bb", "aa bb", "<aa", "aa>", "<aa>", "<bb", "bb>", "<bb>"]
    assert sound.tolist() == [zlib.crc32(feature.encode()) & 0x7FFFFFFF for feature in whole]
    monkeypatch.setattr(words, "MAX_FEATURES", 1000)
    (bounded,) = words.prepare(["x" * 1_000_000], spec)[0]
    assert len(bounded) == 1000
