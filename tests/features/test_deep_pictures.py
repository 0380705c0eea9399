"""Pictures of more than 8 bits are read in the range that those learned from have, everywhere."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

import headstart
from headstart.core.errors import PlanError, Unreadable
from headstart.core.options import DataOptions
from headstart.core.task import Example
from headstart.data.deep_pixels import deep_pixels
from headstart.data.image_bytes import encode_array
from headstart.data.pixel_range import judge_depth
from headstart.data.read import read_source
from headstart.deployment.export.predict_script import NARROW
from headstart.deployment.model_folder import load
from headstart.features.image_decoding import decode_image

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
    for raw in (encode_array(np.full((9, 9), 60000, np.uint16)), tiff(np.full((9, 9), np.nan, np.float32))):
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


def test_the_program_of_an_export_narrows_alike():
    code = {"np": np, "Image": Image, "sys": sys}
    exec(NARROW.format(low=0.0, high=4095.0), code)
    for write in (STORED["12 in 16"][0], STORED["fractions"][0]):
        raw = write(picture(4))
        expected = np.asarray(decode_image(raw, 0, (0, 4095)).convert("L"))
        assert np.array_equal(np.asarray(code["narrowed"](Image.open(io.BytesIO(raw)))), expected)
    plain = Image.fromarray(picture(4))
    assert code["narrowed"](plain) is plain
    with pytest.raises(SystemExit, match="Colours of 16 bits"):
        code["narrowed"](Image.open(io.BytesIO(encode_array(picture(4, 3).astype(np.uint16) * 16))))
