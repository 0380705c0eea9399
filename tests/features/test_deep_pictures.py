"""Pictures of more than 8 bits are read in the range that those learned from have, everywhere."""

import io
import re
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import headstart
from headstart.core.errors import HeadstartError, PlanError, Unreadable
from headstart.core.options import DataOptions
from headstart.core.task import Example
from headstart.data.deep_pixels import deep_pixels, to_eight_bits
from headstart.data.image_bytes import encode_array
from headstart.data.pixel_range import judge_depth
from headstart.data.read import read_source
from headstart.deployment.export.predict_script import deep_functions
from headstart.deployment.model_folder import load
from headstart.features.image_decoding import decode_image
from headstart.workflows.check import check

HEIGHT, WIDTH = 40, 56


def picture(n: int, channels: int = 1) -> np.ndarray:
    """(h, w) or (h, w, channels) uint8 that fills the range."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    plane = (127.5 + 127.5 * np.sin(x / (3 + n % 5) + n) * np.cos(y / 7)).astype(np.uint8)
    return plane if channels == 1 else np.stack([np.roll(plane, 5 * c, 1) for c in range(channels)], axis=2)


def tiff(numbers: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(numbers).save(buffer, "TIFF")
    return buffer.getvalue()


def with_hot_pixel(numbers: np.ndarray) -> np.ndarray:
    numbers = numbers.copy()
    numbers[3, 5] = 65535
    return numbers


STORED = {  # how a picture of 8 bits is written with more
    "all of 16": (lambda a: encode_array(a.astype(np.uint16) * 257), (0, 65535)),
    "12 in 16": (lambda a: encode_array(a.astype(np.uint16) * 16 + 7), (0, 4095)),
    "10 in 16": (lambda a: encode_array(a.astype(np.uint16) * 4 + 2), (0, 1023)),
    "8 in 16": (lambda a: encode_array(a.astype(np.uint16)), (0, 255)),
    "12 in 16, a hot pixel": (lambda a: encode_array(with_hot_pixel(a.astype(np.uint16) * 16)), (0, 4095)),
    "fractions": (lambda a: tiff((a / 255).astype(np.float32)), (0, 1)),
    "fractions to 1.02": (lambda a: tiff((a / 250).astype(np.float32)), (0, 1)),
    "fractions to 255": (lambda a: tiff(a.astype(np.float32)), (0, 255)),
    "from -1024": (lambda a: tiff(a.astype(np.int32) * 12 - 1000), (-1024, 2047)),
}


@pytest.mark.parametrize("how", STORED)
def test_the_range_is_judged_over_all_and_gives_what_8_bits_give(tmp_path, how):
    write, expected = STORED[how]
    raws = [write(picture(n)) for n in range(24)]
    depth = judge_depth([Example(str(n), raw, str(n), "a") for n, raw in enumerate(raws)], tmp_path)
    assert depth.range == expected
    for n, raw in enumerate(raws[:3]):
        decoded = np.asarray(decode_image(raw, 0, depth.range).convert("L")).astype(float)
        plain = picture(n).astype(float)
        span = 255 * 12 * 255 / 3071 / 255 if how == "from -1024" else 1  # less contrast: the range goes on to 2047
        assert np.corrcoef(decoded.ravel(), plain.ravel())[0, 1] > 0.999
        assert abs(decoded.std() / plain.std() - span) < 0.06


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_keep_both_bytes(channels):
    numbers = picture(1, channels).astype(np.uint16) * 16 + 9
    raw = encode_array(numbers)
    assert np.array_equal(deep_pixels(raw), numbers)
    dark = np.asarray(decode_image(raw, 0, None))[:, :, 0]
    assert dark.max() < 17 or channels == 4  # as Pillow reads it: nearly black
    clear = np.asarray(decode_image(raw, 0, (0, 4095)))
    assert clear.shape == (HEIGHT, WIDTH, 3) and clear.max() > 240


def test_pictures_of_8_bits_are_not_touched_by_a_range(tmp_path):
    raw = encode_array(picture(2, 3))
    assert decode_image(raw, 0, (0, 4095)).tobytes() == decode_image(raw).tobytes()
    assert judge_depth([Example(str(n), raw, str(n), "a") for n in range(9)], tmp_path).range is None


def test_what_lies_far_outside_is_refused():
    centred = tiff((picture(3) / 127.5 - 1).astype(np.float32))
    for raw in (encode_array(np.full((9, 9), 60000, np.uint16)), tiff(np.full((9, 9), np.nan, np.float32)), centred):
        with pytest.raises(Unreadable, match=r"those that were learned from|NaN"):
            decode_image(raw, 0, (0, 1023))


def test_a_run_keeps_the_range_and_everything_after_it_uses_it(tmp_path):
    """Fit, predict on the fitted files, the reloaded model, and the guard; a page refuses."""
    root = tmp_path / "photos"
    for n in range(48):
        kind = "ab"[n % 2]
        (root / kind).mkdir(parents=True, exist_ok=True)
        numbers = picture(n, 1 + 2 * (n % 3 == 0)).astype(np.uint16) * 4 // (1 + n % 2)
        (root / kind / f"{n}.png").write_bytes(encode_array(numbers))
    outcome = headstart.fit(root, into=tmp_path / "run", root=tmp_path / "cache")
    model, _ = load(tmp_path / "run", tmp_path / "cache")
    assert model.backbone.preprocess.pixel_range == (0.0, 1023.0)
    assert model.facts["input"]["range"] == [0.0, 1023.0]
    assert "depth" in {finding["guard"] for finding in outcome.result["findings"]}
    answers = headstart.predict(tmp_path / "run", root, root=tmp_path / "cache")
    assert len(answers) == 48 and all(not a.error for a in answers)
    # The same pictures in 8 bits, as a viewer would save them, are answered alike.
    eight = [
        Image.fromarray(np.asarray(decode_image(p.read_bytes(), 0, (0, 1023)))) for p in sorted(root.rglob("*.png"))
    ]
    again = headstart.predict(tmp_path / "run", eight, root=tmp_path / "cache")
    assert [a.label for a in again] == [a.label for a in sorted(answers, key=lambda a: a.id)]
    with pytest.raises(PlanError, match="a browser shows 8"):
        headstart.export(tmp_path / "run", "web", into=tmp_path / "page", root=tmp_path / "cache")


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32, np.float64])
def test_arrays_of_any_numbers_are_pictures(tmp_path, kind):
    x = np.stack([picture(n) for n in range(24)]).astype(kind) * (4 if np.issubdtype(kind, np.integer) else 1 / 255)
    found = read_source((x.astype(kind), ["a", "b"] * 12), DataOptions())
    depth = judge_depth(found.examples[""], tmp_path)
    assert depth.range == ((0, 1023) if np.issubdtype(kind, np.integer) else (0, 1))


def test_the_program_of_an_export_reads_them_alike():
    code = {"np": np, "Image": Image, "open_image": lambda raw: Image.open(io.BytesIO(raw))}
    exec("from __future__ import annotations\n" + deep_functions(), code)
    sixteen = (picture(4, 3).astype(np.uint16) * 16, picture(4, 4).astype(np.uint16) * 16)
    for raw in (STORED["12 in 16"][0](picture(4)), STORED["fractions"][0](picture(4)), *map(encode_array, sixteen)):
        pixels = code["stored_pixels"](raw, Image.open(io.BytesIO(raw)))
        assert np.array_equal(pixels, deep_pixels(raw))
        assert np.array_equal(code["to_eight_bits"](pixels, 0, 4095), to_eight_bits(pixels, 0, 4095))
    with pytest.raises(SystemExit, match="scale them alike"):
        code["to_eight_bits"](np.full((9, 9), 60000, np.uint16), 0, 1023)
    plain = encode_array(picture(4, 3))
    assert code["stored_pixels"](plain, Image.open(io.BytesIO(plain))) is None


def pnm(numbers: np.ndarray, most: int) -> bytes:
    kind, (height, width) = ("P5" if numbers.ndim == 2 else "P6"), numbers.shape[:2]
    return f"{kind}\n{width} {height}\n{most}\n".encode() + numbers.astype(">u2").tobytes()


def plain_tiff(numbers: np.ndarray, order: str = "<", packed: bool = False, tone: int | None = None) -> bytes:
    """A TIFF file of one strip, of numbers that Pillow does not write. tone: 0 where white is 0"""
    (height, width), channels = numbers.shape[:2], 1 if numbers.ndim == 2 else numbers.shape[2]
    data = numbers.astype(numbers.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if packed else data
    bits, form = 8 * numbers.dtype.itemsize, {"u": 1, "i": 2, "f": 3}[numbers.dtype.kind]
    tone = tone if tone is not None else (1 if channels == 1 else 2)
    several = 8 + 2 + 12 * 9 + 4  # where lists of three numbers lie
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 8 if packed else 1), (262, 3, tone)]
    entries += [(273, 4, several + 12), (277, 3, channels), (279, 4, len(data)), (339, 3, form)]
    out = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
    for tag, kind, value in entries:
        if channels == 3 and tag in (258, 339):
            out += struct.pack(f"{order}HHII", tag, kind, 3, several + (6 if tag == 339 else 0))
        else:
            out += struct.pack(f"{order}HHI{'Hxx' if kind == 3 else 'I'}", tag, kind, 1, value)
    return out + bytes(4) + struct.pack(f"{order}6H", bits, bits, bits, form, form, form) + data


WRITTEN = {  # 8-bit pictures -> a file, the range of many such, what it holds
    "int16": (lambda a: plain_tiff(a.astype(np.int16) * 12 - 1000), (-1024, 2047)),
    "int16, big-endian": (
        lambda a: plain_tiff((a.astype(np.int32) * 257 - 32768).astype(np.int16), ">"),
        (-32768, 32767),
    ),
    "uint16, big-endian, packed": (lambda a: plain_tiff(a.astype(np.uint16) * 4, ">", packed=True), (0, 1023)),
    "uint32": (lambda a: plain_tiff(a.astype(np.uint32) * 16843009), (0, 4294967295)),
    "white is 0": (lambda a: plain_tiff(65535 - a.astype(np.uint16) * 16, tone=0), (0, 4095)),
    "-1 to 1": (lambda a: plain_tiff((a / 127.5 - 1).astype(np.float32)), (-1, 1)),
    "a little under 0": (lambda a: plain_tiff((a / 245 - 0.02).astype(np.float32)), (0, 1)),
    "fractions to 65535": (lambda a: plain_tiff(a.astype(np.float32) * 257), (0, 65535)),
    "heat": (lambda a: encode_array((29000 + a * 10.0).astype(np.uint16)), (28928, 31744)),
    "PGM of 12 bits": (lambda a: pnm(a.astype(np.uint16) * 16, 4095), (0, 65535)),
    "colours, packed": (lambda a: plain_tiff(np.stack([a.astype(np.uint16) * 16] * 3, 2), packed=True), (0, 4095)),
    "colours, big-endian": (lambda a: plain_tiff(np.stack([a.astype(np.uint16) * 16] * 3, 2), ">"), (0, 4095)),
    "PPM of 16 bits": (lambda a: pnm(np.stack([a.astype(np.uint16) * 16] * 3, 2), 65535), (0, 4095)),
    "half precision": (lambda a: encode_array((a / 255).astype(np.float16)), (0, 1)),
    "int8": (lambda a: encode_array((a.astype(np.int16) - 128).astype(np.int8)), (-128, 127)),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_files_of_every_kind_are_read_by_their_range(tmp_path, how):
    write, expected = WRITTEN[how]
    depth = judge_depth([Example(str(n), write(picture(n)), f"{how}{n}", "a") for n in range(24)], tmp_path)
    assert depth.range == expected
    decoded = np.asarray(decode_image(write(picture(2)), 0, depth.range).convert("L")).astype(float)
    assert np.corrcoef(decoded.ravel(), picture(2).ravel())[0, 1] > 0.999


@pytest.mark.parametrize("numbers", [np.float64, np.float16])
def test_what_pillow_does_not_read_is_refused_in_words(numbers):
    with pytest.raises(Unreadable, match=r"not read .*save it as PNG of 16 bits"):
        decode_image(plain_tiff((picture(1) / 255).astype(numbers)), 0, (0, 1))


ASKED = {  # of a model of 8-bit pictures: a file, and what is said
    "all of 16": (lambda a: encode_array(a.astype(np.uint16) * 257), ""),
    "fractions": (lambda a: tiff((a / 255).astype(np.float32)), ""),
    "fractions to 255, in memory": (lambda a: encode_array(a.astype(np.float64)), ""),
    "12 in 16": (lambda a: encode_array(a.astype(np.uint16) * 16), "which number is white is not known"),
    "colours of 12 in 16": (
        lambda a: encode_array(np.stack([a.astype(np.uint16) * 16] * 3, 2)),
        "which number is white is not known",
    ),
    "from -1024": (lambda a: plain_tiff(a.astype(np.int16) * 12 - 1000), "which number is white is not known"),
    "-1 to 1": (lambda a: tiff((a / 127.5 - 1).astype(np.float32)), "which number is white is not known"),
    "damaged": (lambda a: encode_array(a.astype(np.uint16) * 257)[:60], "truncated|damaged"),
}


def test_a_model_of_8_bits_answers_deeper_ones_where_they_say_what_is_white(tmp_path):
    x = np.stack([picture(n) // (1 + n % 2) for n in range(40)])
    headstart.fit((x, ["bright", "dark"] * 20), into=tmp_path / "run", root=tmp_path / "cache")
    asked = [encode_array(picture(6)), *(write(picture(6)) for write, _ in ASKED.values())]
    plain, *answers = headstart.predict(tmp_path / "run", asked, root=tmp_path / "cache")
    for answer, (how, (_, words)) in zip(answers, ASKED.items(), strict=True):
        if words:
            assert re.search(words, answer.error), how
        else:
            assert answer.probabilities == pytest.approx(plain.probabilities, abs=0.01), how


def test_frames_of_arrays_and_estimators_read_alike(tmp_path):
    y = ["bright", "dark"] * 20
    x = [picture(n).astype(np.uint16) * 16 // (1 + n % 2) for n in range(40)]
    headstart.fit(pd.DataFrame({"image": x, "label": y}), into=tmp_path / "run", root=tmp_path / "cache")
    answers = headstart.predict(tmp_path / "run", pd.DataFrame({"image": x}), root=tmp_path / "cache")
    assert [a.label for a in answers] == y
    deep = headstart.TransferClassifier(cache_dir=tmp_path / "cache").fit(x, y)
    eight = np.stack([a >> 4 for a in x]).astype(np.uint8)
    assert deep.score(eight, y) == 1
    plain = headstart.TransferClassifier(cache_dir=tmp_path / "cache").fit(eight, y)
    assert plain.score(eight / 255, y) == 1
    with pytest.raises(HeadstartError, match="which number is white is not known"):
        plain.predict(x)


def test_a_class_that_differs_by_its_depth_is_a_finding(tmp_path):
    for n in range(48):
        numbers = picture(n).astype(np.uint16) * 16 if n % 2 else picture(n)
        (tmp_path / "photos" / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / "ab"[n % 2] / f"{n}.png").write_bytes(encode_array(numbers))
    report = check(tmp_path / "photos", into=tmp_path / "check", root=tmp_path / "cache")
    levels = [
        (f["level"], "tells the class" in f["message"]) for f in report.facts["findings"] if f["guard"] == "depth"
    ]
    assert ("warn", True) in levels
