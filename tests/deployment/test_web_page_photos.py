"""The exported page for photos in a browser: it answers as Python does, odd files included, and learns from photos."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.deployment import predict
from headstart.deployment.export import onnxruntime_web
from headstart.workflows import fit
from tests.support.paths import SHARED
from tests.support.web_page import RUNTIME, OpenedPage, export_page, probability_difference


@pytest.fixture(scope="module")
def photo_page(web_root) -> tuple[Path, Path]:
    """(run, page) of a probe of ants and bees on a real MobileNetV2."""
    if not RUNTIME.is_dir():
        pytest.skip(f"no ONNX Runtime for browsers at {RUNTIME}: {onnxruntime_web.COMMAND}")
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real data at {SHARED / 'data'}: set HEADSTART_SHARED to the folder that has them")
    backbone = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    run = fit.fit(SHARED / "data" / "hymenoptera", into=web_root / "photos", backbone=backbone, shots=40).folder
    return run, export_page(web_root, run)


def odd_photos() -> dict[str, bytes]:
    """Files that browsers and Pillow could read otherwise."""
    rng = np.random.default_rng(0)
    plain = Image.fromarray(rng.integers(0, 256, (14, 20, 3), dtype=np.uint8)).resize(
        (301, 203), Image.Resampling.BICUBIC
    )
    large = np.asarray(plain.resize((1601, 1203), Image.Resampling.BICUBIC)) + rng.normal(0, 4, (1203, 1601, 3))
    large = Image.fromarray(large.clip(0, 255).astype(np.uint8))
    alpha = plain.copy()
    alpha.putalpha(Image.fromarray(rng.integers(0, 256, (203, 301), dtype=np.uint8)))
    kinds = {
        **{f"turned{n}": (plain, {"format": "JPEG", "exif": turned(n)}) for n in (3, 5, 6, 8)},
        "turned.webp": (plain, {"format": "WEBP", "exif": turned(6), "quality": 90}),
        "turned.png": (plain, {"format": "PNG", "exif": turned(7)}),
        "gray": (plain.convert("L"), {"format": "JPEG"}),
        "bits": (plain.convert("1"), {"format": "PNG"}),
        "palette": (plain.quantize(32), {"format": "PNG"}),
        "palette with a hole": (plain.quantize(32), {"format": "PNG", "transparency": 3}),
        "alpha": (alpha, {"format": "PNG"}),
        "alpha.webp": (alpha, {"format": "WEBP", "lossless": True}),
        "cmyk": (plain.convert("CMYK"), {"format": "JPEG", "quality": 90}),
        "progressive": (plain, {"format": "JPEG", "progressive": True, "subsampling": 1}),
        "one row": (plain.resize((200, 1)), {"format": "PNG"}),
        "one column": (plain.resize((1, 150)), {"format": "JPEG"}),
        "gif": (plain, {"format": "GIF"}),
        "bmp": (plain, {"format": "BMP"}),
        "avif": (plain, {"format": "AVIF", "quality": 90}),
        **{f"turned large{n}": (large, {"format": "JPEG", "exif": turned(n), "quality": 90}) for n in (1, 2, 5, 8)},
        **{f"large{n}": (large, {"format": "JPEG", "subsampling": n}) for n in (0, 1)},
        "large gray": (large.convert("L"), {"format": "JPEG"}),
        "12 megapixels": (large.resize((4000, 3000), Image.Resampling.BICUBIC), {"format": "JPEG", "quality": 85}),
    }
    found = {}
    for name, (picture, how) in kinds.items():
        buffer = io.BytesIO()
        picture.save(buffer, **how)
        found[name] = buffer.getvalue()
    return found


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_photos_are_answered_as_in_python_also_odd_ones(photo_page, browser):
    run, page = photo_page
    sheet = OpenedPage(browser, page)
    assert sheet.page.inner_text("#verdict").startswith("Yes: 12 of 12 answers are Python's")
    held = sorted((SHARED / "data" / "hymenoptera" / "val").glob("*/*.jpg"))[::30]
    odd = {**{f.name: f.read_bytes() for f in held}, **odd_photos()}
    for name, answer in zip(odd, predict.predict(run, list(odd.values())), strict=True):
        assert probability_difference(sheet.answers(odd[name])["own"], answer) < 1e-3, name
    for name, refused in {
        "TIFF": b"II*\0....",
        "HEIC": b"\0\0\0\x18ftypheic",
        "PDF": b"%PDF-1.4",
        "0 bytes": b"",
    }.items():
        assert name in sheet.answers(refused)["error"]
    assert "ends early" in sheet.answers(odd["gray"][:900])["error"]
    sheet.page.set_input_files("#files", [str(f) for f in held[:2]])
    sheet.until("document.querySelectorAll('#strip li').length === 2")
    sheet.close()


def test_photos_are_taught_in_the_page_and_predict_takes_the_download(photo_page, browser, tmp_path):
    sheet, data = OpenedPage(browser, photo_page[1], width=390), SHARED / "data" / "neu_defects"
    for n, name in enumerate(("scratches", "crazing")):
        sheet.page.locator(".class .head input").nth(n).fill(name)
        files = sorted((data / "train" / name).glob("*"))[:8]
        sheet.page.locator(".class input[type=file]").nth(n).set_input_files([str(f) for f in files])
    sheet.until("Teach.state()?.all.length === 16 && Teach.state().judged")
    assert sheet.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert sheet.page.locator("[name=which][value=taught]").is_checked()
    file = sheet.download(tmp_path)
    asked = [sorted((data / "test" / name).glob("*"))[0] for name in ("scratches", "crazing")]
    for photo, answer in zip(asked, predict.predict(file, asked), strict=True):
        assert probability_difference(sheet.answers(photo.read_bytes())["taught"], answer) < 1e-3
        assert answer.label == photo.parent.name
    sheet.close()


def test_the_camera_is_asked_frame_by_frame_and_records_examples(photo_page, browser):
    sheet = OpenedPage(browser, photo_page[1])
    sheet.page.click("#camera")
    sheet.until("!document.getElementById('answer').hidden")
    sheet.page.click("#camera")
    record = sheet.page.locator(".class >> nth=0").get_by_role("button", name="Record")
    record.click()
    sheet.until("Teach.classes[0].examples.length >= 3")
    sheet.page.get_by_role("button", name="Stop recording").click()
    assert "Two are the least" in sheet.until("document.getElementById('learned').textContent")
    sheet.close()
