"""Copies of photos, however they were made, are found on their pixels; other photos of the same kind are none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.guards.copies import KINDS, load_photos, make_copy
from headstart.data.demo.photos import render_photo
from headstart.data.duplicates import nearest, pixel_descriptors
from headstart.data.duplicates.copies import find_copies
from headstart.data.duplicates.copy_names import name_clues, root_name
from headstart.data.duplicates.pixel_grids import SIDE, find_fill, pixel_grid


def grid(raw: bytes) -> np.ndarray:
    """Of the photo's thumbnail, as the cache keeps it."""
    with Image.open(io.BytesIO(raw)) as picture:
        small = picture.convert("RGB")
    small.thumbnail((96, 96))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return pixel_grid(out.getvalue())


def pairs_among(photos: list[bytes], features: np.ndarray | None = None, hints=()) -> set[tuple[int, int]]:
    """Who is a copy of whom; told without a backbone unless features are given."""
    features = np.zeros((len(photos), 1), np.float32) if features is None else features
    pairs, likeness = find_copies(np.stack([grid(raw) for raw in photos]), features, hints)
    assert (likeness <= 1).all() and (pairs[:, 0] < pairs[:, 1]).all()
    return {(i, j) for i, j in pairs.tolist()}


def with_copies(photos: list[bytes], each: int) -> tuple[list[bytes], set[tuple[int, int]], list[str]]:
    """Photos, `each` copies of every kind of as many photos, which pairs they make, and their kinds in order."""
    rng, kinds = np.random.default_rng(0), [kind for kind in KINDS for _ in range(each)]
    origin = [i % len(photos) for i in range(len(kinds))]
    copies = [make_copy(photos[i], kind, rng) for i, kind in zip(origin, kinds, strict=True)]
    return [*photos, *copies], {(i, len(photos) + k) for k, i in enumerate(origin)}, kinds


def test_copies_of_every_kind_are_found_among_photos_of_one_machine():
    photos, planted, kinds = with_copies([render_photo(0, i) for i in range(2 * len(KINDS))], 1)
    found = pairs_among(photos)
    missed = [kinds[j - 2 * len(KINDS)] for i, j in planted - found]
    assert len(missed) <= 3, missed
    assert not found - planted, "photos of two parts were taken for copies"


@pytest.mark.parametrize("name", ["hymenoptera", "neu_defects", "flowers102_64px", "pacs/sketch"])
def test_copies_in_real_sets(real_data, name):
    photos, planted, kinds = with_copies(load_photos(name, 4 * len(KINDS), 5), 3)
    found = pairs_among(photos)
    n = 4 * len(KINDS)
    made_of = np.array([*range(n), *(i % n for i in range(len(kinds)))])
    wrong = [(i, j) for i, j in found if made_of[i] != made_of[j]]
    assert len(planted & found) >= 0.8 * len(planted)
    assert len(wrong) <= 0.05 * len(found) or (name == "neu_defects" and len(wrong) <= 8), "plates that overlap"


def test_photos_that_features_alone_would_join_are_no_copies():
    photos = [render_photo(1, i) for i in range(8)]
    assert pairs_among(photos, np.ones((8, 4), np.float32), hints=[(0, 1), (2, 5)]) == set()


def test_none_one_and_flat_photos_have_no_copies():
    flat = np.full((3, 2, SIDE, SIDE), 128, np.uint8)
    for n in range(4):
        assert len(find_copies(flat[:n], np.zeros((n, 5), np.float32), [])[0]) == 0


def test_a_square_has_the_descriptors_of_its_symmetries():
    squares = np.random.default_rng(0).standard_normal((3, SIDE, SIDE)).cumsum(1).cumsum(2)
    rows = pixel_descriptors.descriptors(squares)
    told = pixel_descriptors.symmetric(rows)
    for number in range(pixel_descriptors.N_SYMMETRIES):
        changed = pixel_descriptors.descriptors(pixel_descriptors.apply_symmetry(squares, number))
        np.testing.assert_allclose(changed, told[:, number], atol=1e-5)
        same = pixel_descriptors.without_symmetry(changed), pixel_descriptors.without_symmetry(rows)
        np.testing.assert_allclose(*same, atol=1e-5)


def test_the_nearest_are_those_of_brute_force_and_very_many_are_compared_in_part(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((300, 8)).astype(np.float32)
    rows[150:] = rows[:150] + 0.01 * rng.standard_normal((150, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similar = rows @ rows.T
    np.fill_diagonal(similar, -2)
    i, j = nearest.nearest(lambda index: rows[index, None], rows, 3, rows)
    assert {*zip(i.tolist(), j.tolist(), strict=True)} == {
        (a, b) for a in range(300) for b in np.argsort(-similar[a])[:3]
    }
    monkeypatch.setattr(nearest, "MAX_COMPARED", 100)
    i, j = nearest.nearest(lambda index: rows[index, None], rows, 3, rows)
    assert {(a, a + 150) for a in range(150)} <= {*zip(i.tolist(), j.tolist(), strict=True)}


def test_bars_are_cut_off_and_the_corners_of_a_turned_photo_are_no_photo():
    texture = np.random.default_rng(0).integers(60, 200, (60, 96), np.uint8)
    barred = np.zeros((96, 96), np.uint8)
    barred[18:78] = texture
    out = io.BytesIO()
    Image.fromarray(barred).save(out, "PNG")
    cut = pixel_grid(out.getvalue())[0]
    assert cut.min() > 40, "a bar is left"
    assert not find_fill(cut[None]).any()
    turned = np.asarray(Image.fromarray(np.kron(cut, np.ones((4, 4), np.uint8))).rotate(12).resize((SIDE, SIDE)))
    fill = find_fill(turned[None])[0]
    assert fill[0, 0] and fill[-1, -1] and not fill[SIDE // 2, SIDE // 2] and 0.05 < fill.mean() < 0.3


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("train/ant_aug3.jpg", "ant"),
        ("ant_flip.png", "ant"),
        ("Ant_HFlip_rot90.JPG", "ant"),
        ("ant (2).jpg", "ant"),
        ("ant - Copy (3).jpg", "ant"),
        ("Copy of ant.jpg", "ant"),
        ("rot90_ant.jpg", "ant"),
        ("ant_jpg.rf.9f86d081884c7d659a2feaa0c55ad015.jpg", "ant"),
        ("ant.jpg_0a1b2c3d-0000-1111-2222-0123456789ab.jpg", "ant"),
        ("aug_0_ant12.jpg", "ant12"),
        ("0001_crop_2.jpg", "0001"),
    ],
)
def test_names_that_mark_copies(name, root):
    assert root_name(name) == (root, True)


@pytest.mark.parametrize("name", ["IMG_1234.jpg", "rotor_3.jpg", "copyright_2.png", "flip.jpg", "scratches_12.jpg"])
def test_names_that_mark_nothing(name):
    assert root_name(name) == (name.rpartition(".")[0].lower(), False)


def test_a_name_is_a_clue_to_whose_copy_it_is():
    assert name_clues(["a/ant.jpg", "b/ant.jpg", "a/bee.jpg", "a/ant_flip.jpg"]) == [(0, 3), (1, 3)]
    assert len(name_clues([f"photo ({i}).jpg" for i in range(1000)])) <= 2000, "numbered photos are no family"
