"""The witness names the first stage that differs."""

from pathlib import Path

import numpy as np
import pytest

from headstart.core.errors import ArtifactError
from headstart.deployment import model_folder
from headstart.features.cache import store
from headstart.workflows import fit


@pytest.fixture(scope="module")
def photos_run(tmp_path_factory) -> tuple[Path, Path]:
    from headstart.data.demo.photos import write_photos

    place = tmp_path_factory.mktemp("parts")
    source = write_photos(place / "photos", 60)
    return fit.fit(source, into=place / "run", backbone="stats", root=place / "cache").folder, place / "cache"


def _lost_mean(units, settings, real):
    return {k: v + 0.5 for k, v in real(units, settings).items()}


def _cut_off(real):
    return lambda raw, *a: real(raw, *a).crop((0, 0, 50, 40))


def _shifted(picture):
    from PIL import Image

    return Image.fromarray(np.roll(np.asarray(picture), 20, 1))


def _otherwise_resized(picture, facts, real):
    from PIL import ImageFilter

    return real(picture, facts).filter(ImageFilter.GaussianBlur(1.2))


def _otherwise_cropped(picture, facts, real):
    return _shifted(real(picture, facts))


STAGES = {
    "decode": ("decode", lambda real: lambda raw, *a: _shifted(real(raw, *a))),
    "size": ("decode: images are decoded to another size", lambda real: _cut_off(real)),
    "resize": ("resize", lambda real: lambda p, f: _otherwise_resized(p, f, real)),
    "crop": ("crop", lambda real: lambda p, f: _otherwise_cropped(p, f, real)),
    "normalise": ("normalise", lambda real: lambda u, s: _lost_mean(u, s, real)),
    "embedding": ("embedding: it moved by", None),
}  # fmt: skip


@pytest.mark.parametrize("case", STAGES)
def test_the_witness_names_the_stage(case, photos_run, monkeypatch):
    from headstart.features import image_decoding
    from headstart.features.preprocess import image

    folder, root = photos_run
    words, change = STAGES[case]
    at = {
        "decode": "decode",
        "size": "decode",
        "resize": "_resize_and_crop",
        "crop": "_resize_and_crop",
        "normalise": "batch",
    }.get(case)
    if change is not None:
        if at == "decode":
            monkeypatch.setattr(image_decoding, "decode_image", change(image_decoding.decode_image))
            monkeypatch.setattr(image, "decode_image", image_decoding.decode_image)
        else:
            monkeypatch.setattr(image, at, change(getattr(image, at)))
    model, running = None, None

    class Astray:
        def __init__(self, inner):
            self.inner = inner

        def rows(self, units):
            return self.inner.rows(units) * 1.5

    real = model_folder.start_engine
    if case in ("normalise", "embedding"):  # the floor normalises nothing: its rows must move for anyone to ask
        monkeypatch.setattr(model_folder, "start_engine", lambda *a, **k: Astray(real(*a, **k)))
    with pytest.raises(ArtifactError, match=f"First to differ is the {words}"):
        model, running = model_folder.load(folder, root)
    assert model is running is None


def test_stages_of_a_cached_fit_are_those_of_the_first(photos_run):
    folder, root = photos_run
    again = fit.fit(folder.parent / "photos", into=folder.parent / "again", backbone="stats", root=root)
    assert again.result["cache"]["misses"] == 0
    with np.load(folder / "model/witness.npz") as a, np.load(again.folder / "model/witness.npz") as b:
        assert set(a.files) == set(b.files) >= {"decoded", "grids", "normal", "units", "sizes"}
        assert all(np.array_equal(a[n], b[n]) for n in a.files)
        assert len(a["scores"]) == 12


def test_tokens_are_a_stage_of_texts(tmp_path, monkeypatch):
    from headstart.data.demo.tickets import write_tickets
    from headstart.features.preprocess import words

    done = fit.fit(write_tickets(tmp_path), into=tmp_path / "run", backbone="stats:text")
    real = words.prepare
    monkeypatch.setattr(words, "prepare", lambda raws, spec: real([f"{r} indeed indeed indeed" for r in raws], spec))
    with pytest.raises(ArtifactError, match="First to differ is the tokens"):
        model_folder.load(done.folder, store.default_root())
