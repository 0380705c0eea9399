"""Which inputs a folder stands for: `predict` reads the files that `fit` reads."""

import io

import pytest
from PIL import Image

from headstart.data.contents import IMAGE_SUFFIXES
from headstart.data.read import read_source
from headstart.deployment.predict import collect_inputs
from headstart.features.image_decoding import decode_image
from tests.support.sources import png_bytes


def test_predict_takes_every_image_of_a_folder_that_fit_takes(tmp_path):
    for n, suffix in enumerate((*IMAGE_SUFFIXES, ".PNG", ".zip")):
        for label in ("cat", "dog"):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / f"{n}{suffix}").write_bytes(png_bytes(2 * n + (label == "dog")))
    learned_from = {example.id for examples in read_source(tmp_path).examples.values() for example in examples}
    asked_for = {item.id for item in collect_inputs([tmp_path], "image", None, None)}
    assert asked_for == {str(tmp_path / id) for id in learned_from}
    assert len(asked_for) == 2 * (len(IMAGE_SUFFIXES) + 1)


@pytest.mark.parametrize("suffix", [".ico", ".jp2", ".dib", ".apng", ".pbm"])
def test_files_that_only_one_of_the_two_took_are_decoded(suffix):
    buffer, kinds = io.BytesIO(), {".ico": "ICO", ".jp2": "JPEG2000", ".dib": "DIB", ".apng": "PNG", ".pbm": "PPM"}
    Image.new("RGB", (32, 32), (200, 30, 30)).save(buffer, kinds[suffix])
    assert suffix in IMAGE_SUFFIXES
    assert decode_image(buffer.getvalue()).size == (32, 32)
