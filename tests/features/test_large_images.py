"""A large image is converted strip by strip, with the same pixels as at once."""

import io

import numpy as np
import pytest
from PIL import Image

from headstart.features import image_decoding

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 41, 4), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **settings) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


IMAGES = {
    "alpha": saved(Image.fromarray(PIXELS), "PNG"),
    "gray and alpha": saved(Image.fromarray(PIXELS[..., :2]), "PNG"),
    "palette": saved(Image.fromarray(PIXELS[..., :3]).quantize(20), "PNG", transparency=3),
    "16 bits": saved(Image.fromarray(257 * PIXELS[..., 0].astype(np.uint16)), "PNG"),
    "float": saved(Image.fromarray(PIXELS[..., 0].astype(np.float32) * 3 - 100), "TIFF"),
    "whole numbers": saved(Image.fromarray(PIXELS[..., 0].astype(np.int32) * 300), "TIFF"),
    "cmyk": saved(Image.fromarray(PIXELS, "CMYK"), "TIFF"),
    "plain": saved(Image.fromarray(PIXELS[..., :3]), "BMP"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", IMAGES)
def test_strips_have_the_pixels_of_the_whole(name, monkeypatch):
    whole = np.asarray(image_decoding.decode_image(IMAGES[name]))
    monkeypatch.setattr(image_decoding, "LARGE", 100)
    monkeypatch.setattr(image_decoding, "STRIP", 41 * 7)
    assert np.array_equal(np.asarray(image_decoding.decode_image(IMAGES[name])), whole)
    assert not image_decoding._one_large_image.locked()
