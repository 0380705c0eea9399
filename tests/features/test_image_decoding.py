"""Photos of every odd kind decode to the right values, or say why not, and never raise anything else."""

import io
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from headstart.core.backbone import Preprocess
from headstart.core.errors import PlanError, Unreadable
from headstart.features.image_decoding import decode_image
from headstart.features.preprocess import image


def spec(size=32, crop=1.0, mode="squash", interpolation="bilinear", mean=0.0, std=1.0) -> Preprocess:
    height, width = size if isinstance(size, tuple) else (size, size)
    facts = {"crop_mode": mode, "crop_pct": crop, "input_size": (3, height, width), "interpolation": interpolation}
    return Preprocess("image", (*facts.items(), ("mean", (mean,) * 3), ("std", (std,) * 3)))


SPEC = spec()


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def read(raw: bytes, settings_: Preprocess = SPEC) -> np.ndarray:
    (units,) = image.prepare([raw], settings_)
    assert not isinstance(units, Unreadable), str(units)
    return units[0]


def refusal(raw: bytes) -> str:
    (reason,) = image.prepare([raw], SPEC)
    assert isinstance(reason, Unreadable)
    return str(reason)


def scene(width=40, height=30, seed=0) -> Image.Image:
    """A smooth picture without symmetry."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


RED = Image.new("RGB", (40, 30), (200, 30, 40))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG", "JPEG2000", "AVIF", "ICO", "MPO"])
def test_a_colour_survives_every_format(kind):
    assert np.abs(read(saved(RED, kind)).astype(int) - [200, 30, 40]).max() <= 6


@pytest.mark.parametrize(
    ("mode", "colour", "kind"),
    [("CMYK", (0, 255, 255, 0), "JPEG"), ("CMYK", (0, 255, 255, 0), "TIFF"), ("YCbCr", (76, 85, 255), "TIFF")],
)
def test_other_colour_spaces_become_red(mode, colour, kind):
    assert np.abs(read(saved(Image.new(mode, (20, 20), colour), kind)).astype(int) - [254, 0, 0]).max() <= 12


def test_lab_becomes_red():
    lab = Image.merge("LAB", [Image.new("L", (20, 20), v) for v in (136, 208, 195)])
    r, g, b = read(saved(lab, "TIFF"))[0, 0].astype(int)
    assert r > 200
    assert max(g, b) < 60


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp = np.tile(np.linspace(0, 65535, 32).astype(np.uint16), (32, 1))
    wanted = np.tile(np.linspace(0, 255, 32), (32, 1))
    for kind in ("PNG", "TIFF"):
        assert np.abs(read(saved(Image.fromarray(ramp), kind))[:, :, 1] - wanted).max() <= 1
    unit = Image.fromarray(np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1)))
    assert np.abs(read(saved(unit, "TIFF"))[:, :, 1] - wanted).max() <= 1
    assert "NaN" in refusal(saved(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"))


def test_what_is_transparent_lies_on_white():
    clear = Image.new("RGBA", (20, 20), (10, 20, 30, 0))
    assert (read(saved(clear, "PNG")) == 255).all()
    half = Image.new("LA", (20, 20), (0, 128))
    assert np.abs(read(saved(half, "PNG")).astype(int) - 127).max() <= 1
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert (read(saved(palette, "PNG")) == 9).all()
    assert (read(saved(palette, "PNG", transparency=1)) == 255).all()
    assert (read(saved(Image.new("1", (20, 20), 1), "PNG")) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_upright(orientation):
    upright = scene()
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = saved(stored, "PNG", exif=exif)
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).size == upright.size
    assert np.array_equal(read(raw), read(saved(upright, "PNG")))


def test_of_an_animation_the_first_frame_is_read():
    blue = Image.new("RGB", RED.size, (0, 0, 255))
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        raw = saved(RED, kind, save_all=True, append_images=[blue, blue])
        assert np.abs(read(raw).astype(int) - [200, 30, 40]).max() <= 8


def test_reasons_are_words_for_the_owner():
    photo = saved(scene(200, 200), "JPEG")
    assert "empty" in refusal(b"")
    assert "truncated" in refusal(photo[: len(photo) // 2])
    assert "text" in refusal(b"this is a note, renamed to jpg")
    assert "PDF" in refusal(b"%PDF-1.7 ...")
    assert "SVG" in refusal(b"<?xml version='1.0'?><svg></svg>")
    assert "HEIC" in refusal(b"\x00\x00\x00\x18ftypheic" + b"\0" * 30)
    assert "EPS" in refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    assert "zeros" in refusal(bytes(1000))
    bomb = bytearray(saved(Image.new("L", (10, 10)), "PNG"))
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    bomb[29:33] = crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    assert "bomb" in refusal(bytes(bomb))


def test_a_needed_setting_is_named_when_it_is_missing():
    with pytest.raises(PlanError, match="crop_pct"):
        image.prepare([b""], Preprocess("image", tuple(p for p in SPEC.settings if p[0] != "crop_pct")))


def reference(raw: bytes, settings_: Preprocess) -> np.ndarray:
    from timm.data import create_transform

    facts = dict(settings_.settings)
    transform = create_transform(
        input_size=facts["input_size"], interpolation=facts["interpolation"], crop_pct=facts["crop_pct"],
        crop_mode=facts["crop_mode"], mean=facts["mean"], std=facts["std"], is_training=False,
    )  # fmt: skip
    return transform(Image.open(io.BytesIO(raw)).convert("RGB")).numpy()


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize(("size", "crop"), [(64, 0.875), ((48, 64), 0.9), (64, 1.0)])
def test_equal_to_timms_own_transform(mode, size, crop):
    for interpolation in ("bilinear", "bicubic"):
        how = spec(size, crop, mode, interpolation, 0.4, 0.2)
        for width, height in ((300, 200), (65, 64), (20, 31), (1, 1), (3, 90), (640, 97)):
            raw = saved(scene(width, height), "PNG")
            ours = image.batch([read(raw, how)], how)["pixels"][0]
            assert np.abs(ours - reference(raw, how)).max() <= 1e-5, (interpolation, width, height)


def test_real_photos_are_equal_to_timms_own_transform(real_data):
    how = spec(224, 0.875, "center", "bilinear", 0.5, 0.5)
    for path in sorted((real_data / "hymenoptera" / "val" / "ants").iterdir())[:5]:
        raw = path.read_bytes()
        assert np.abs(image.batch([read(raw, how)], how)["pixels"][0] - reference(raw, how)).max() <= 1e-5


def test_a_very_long_picture_does_not_exhaust_memory():
    how = spec(224, 0.875, "center")
    assert read(saved(Image.new("L", (60_000, 1), 77), "PNG"), how).shape == (224, 224, 3)


def test_thumbnails_are_small_and_upright():
    raw = saved(scene(900, 300), "JPEG", quality=95)
    ((_, thumbnail),) = image.look([raw], SPEC)
    assert Image.open(io.BytesIO(thumbnail)).size == (96, 32)
    assert len(thumbnail) < 5000


def test_inputs_keep_their_order_whatever_fails():
    raws = [saved(Image.new("L", (9, 9), n), "PNG") if n % 3 else b"bad" for n in range(40)]
    for n, units in enumerate(image.prepare(raws, SPEC)):
        assert isinstance(units, Unreadable) if n % 3 == 0 else (units[0] == n).all()


SEEDS = [saved(scene(), kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")]
SEEDS.append(saved(scene(), "JPEG", progressive=True))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8), st.floats(0, 1)
)
def test_damaged_files_never_raise(raw, flips, keep):
    data = bytearray(raw[: max(1, int(len(raw) * keep))])
    for at, value in flips:
        data[at % len(data)] = value
    ((units, thumbnail),) = image.look([bytes(data)], SPEC)
    if isinstance(units, Unreadable):
        assert str(units)
    else:
        assert units[0].shape == (32, 32, 3)
        assert thumbnail


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_never_raise(raw):
    (units,) = image.prepare([raw], SPEC)
    assert isinstance(units, Unreadable) or units[0].shape == (32, 32, 3)


def big(width: int, height: int) -> Image.Image:
    """A photo-like picture: coloured clouds from coarse to fine, and grain."""
    dice = np.random.default_rng(0)
    picture = np.full((height, width, 3), 120.0)
    for cells in (4, 16, 64, 256):
        coarse = Image.fromarray(dice.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += 0.3 * (np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float) - 127.5)
    picture += dice.normal(0, 6, (height, width, 1))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "kept"), [((1600, 1200), (200, 150)), ((500, 260), (250, 130)), ((260, 127), (260, 127))]
)
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size_and_looks_the_same(size, kept):
    raw = saved(big(*size), "JPEG", quality=92)
    assert decode_image(raw, 96).size == kept  # at least a thumbnail, and twice what the network reads
    assert decode_image(raw).size == size
    (fast,), (slow,) = image.prepare([raw, saved(decode_image(raw), "PNG")], SPEC)
    apart = np.abs(fast.astype(int) - slow)
    assert (kept == size and not apart.any()) or (0 < apart.mean() < 1.0 and apart.max() <= 12)


def test_a_large_jpeg_is_turned_upright_at_any_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = saved(big(1600, 800), "JPEG", exif=exif)
    assert decode_image(raw, 96).size == (100, 200)
