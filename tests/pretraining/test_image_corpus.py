"""The image corpus: decoded once, seen in the same views by student and teachers, which are each asked once."""

import shutil

import numpy as np
import pytest

from headstart.backbones.providers import stats
from headstart.core.errors import SourceError
from headstart.core.options import DataOptions
from headstart.data.demo.photos import write_photos
from headstart.data.read import read_source
from headstart.features import augmentation
from headstart.pretraining import image_corpus, teacher_targets


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("parts") / "photos", 60)


def decode(parts, tmp_path, edge=96):
    return image_corpus.decode_images(read_source(parts, DataOptions(label="")).examples[""], tmp_path / "work", edge)


def test_a_view_is_a_function_of_picture_number_policy_and_seed(parts, tmp_path):
    images = decode(parts, tmp_path)
    first = images.view(3, 5, augmentation.PATIENT, 0, 64)
    assert np.array_equal(first, images.view(3, 5, augmentation.PATIENT, 0, 64))
    others = [
        (3, 6, augmentation.PATIENT, 0),
        (3, 5, augmentation.PATIENT, 1),
        (3, 5, augmentation.STRONG, 0),
        (4, 5, augmentation.PATIENT, 0),
    ]
    assert all(not np.array_equal(first, images.view(*what, 64)) for what in others)
    assert np.array_equal(
        images.view(3, 0, augmentation.STRONG, 0, 64), images.view(3, 0, augmentation.GENTLE, 9, 64)
    ), "view 0 is plain"


def test_a_view_shows_the_same_at_any_size(parts, tmp_path):
    images = decode(parts, tmp_path)
    for number in range(1, 6):
        small, large = (images.view(1, number, augmentation.GENTLE, 0, side).astype(float) for side in (32, 96))
        shrunk = large.reshape(32, 3, 32, 3, 3).mean((1, 3))
        assert np.abs(small - shrunk).mean() < 6


def test_unreadable_pictures_are_set_aside_and_equal_ones_count_once(parts, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(parts, folder)
    one = next(folder.glob("*/*.jpg"))
    shutil.copy(one, folder / "again.jpg")
    (folder / "bad.jpg").write_bytes(b"no picture")
    images = decode(folder, tmp_path)
    assert len(images) == 60
    assert [(a.id, "not an image" in a.reason) for a in images.aside] == [("bad.jpg", True)]
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "bad.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match=r"bad\.jpg"):
        decode(tmp_path / "none", tmp_path)


def test_a_teacher_is_asked_once_about_each_view(parts, tmp_path):
    images, card = decode(parts, tmp_path), stats.card("")
    events = []

    def targets(count, policy):
        views = teacher_targets.StoredViews(images, count, policy, 0)
        return teacher_targets.compute_teacher_targets(
            card, views, tmp_path, lambda event, facts: events.append((event, facts))
        )

    first, second, again = (targets(count, augmentation.GENTLE) for count in (1, 2, 2))
    assert [facts["todo"] for event, facts in events if event == "opening"] == [60, 60]
    assert np.array_equal(first.rows, second.rows[:60])
    assert np.array_equal(again.rows, second.rows)
    assert not np.array_equal(targets(1, augmentation.STRONG).rows, first.rows), "another policy is another view"
