"""The demo's own data: the same bytes everywhere in a run, and no way to guess a defect without seeing it."""

import csv
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from headstart.core.errors import SourceError
from headstart.data.demo.photos import DEFECTS, render_photo, write_photos
from headstart.data.demo.tickets import tickets, write_tickets


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("demo") / "photos", 120)


def files(folder):
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.glob("*/*")}


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(BytesIO(jpeg)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (256, 256))
        return np.asarray(picture, np.float32) / 255


def out_of_sample(x: np.ndarray, y: np.ndarray) -> float:
    """Accuracy of a least-squares classifier on the rows that it did not see, five folds."""
    x = np.c_[(x - x.mean(0)) / x.std(0), np.ones(len(x))]
    targets = np.eye(y.max() + 1)[y]
    fold, right = np.arange(len(y)) % 5, []
    for k in range(5):
        head = np.linalg.lstsq(x[fold != k], targets[fold != k], rcond=None)[0]
        right.extend((x[fold == k] @ head).argmax(1) == y[fold == k])
    return float(np.mean(right))


def test_every_photo_is_there_once_and_decodes(rendered):
    found = files(rendered)
    assert sorted(name.split("/")[1] for name in found) == [f"part_{i:04d}.jpg" for i in range(120)]
    assert all(4_000 < len(jpeg) < 30_000 and pixels(jpeg).std() > 0.02 for jpeg in found.values())
    assert len(set(found.values())) == 120
    counts = Counter(name.split("/")[0] for name in found)
    assert counts.keys() == DEFECTS.keys()
    assert min(counts.values()) >= 25


def test_bytes_depend_on_seed_and_index_alone(rendered, tmp_path):
    few = files(write_photos(tmp_path / "few", 9, workers=1))
    assert few.items() <= files(rendered).items()
    assert render_photo(0, 3) == render_photo(0, 3) != render_photo(1, 3)
    other = write_photos(tmp_path / "other", 9, seed=1, workers=3)
    assert not set(few.values()) & set(files(other).values())


def test_rendering_again_changes_nothing(tmp_path):
    first = files(write_photos(tmp_path, 6))
    (tmp_path / ".DS_Store").write_bytes(b"left by a file manager")
    assert files(write_photos(tmp_path, 6)) == first


@pytest.mark.parametrize("name", ["dent/holiday.jpg", "dent/part_0006.jpg", "notes.txt"])
def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path, name):
    write_photos(tmp_path, 6)
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(SourceError, match=name):
        write_photos(tmp_path, 6)
    assert (tmp_path / name).read_bytes() == b"mine"


def test_neither_colour_nor_size_nor_number_tells_the_defect(rendered):
    # 120 photos, 3 classes: chance is 0.36 and 0.52 is 3.5 standard errors above it. On 800: 0.39, 0.41, 0.35, 0.36.
    kinds, found = list(DEFECTS), sorted(files(rendered).items(), key=lambda item: item[0].split("/")[1])
    y = np.array([kinds.index(name.split("/")[0]) for name, _ in found])
    seen = np.stack([pixels(jpeg) for _, jpeg in found])
    mean, spread = seen.mean((1, 2)), seen.std((1, 2))
    size = np.array([[len(jpeg)] for _, jpeg in found], np.float64)
    for cheap in (mean, np.c_[mean, spread], size, np.arange(120.0)[:, None]):
        assert out_of_sample(cheap, y) < 0.52


def test_a_defect_changes_what_it_should():
    from headstart.data.demo.shapes import random_part

    for seed in range(12):
        piece = random_part(np.random.default_rng(seed))
        scratch, dent, stain = (make(np.random.default_rng(seed), piece) for make in DEFECTS.values())
        assert scratch.film is None
        assert np.ptp(scratch.relief) > 1
        assert dent.film is None
        assert np.all(dent.tone == 1)
        assert dent.relief.min() < -5
        assert np.all(stain.relief == 0)
        assert 0.2 < stain.film[piece.edge < 0].max() <= 1


def test_tickets_are_distinct_and_every_class_has_enough():
    texts, labels = zip(*tickets(), strict=True)
    assert len({" ".join(t.lower().split()) for t in texts}) == len(texts) >= 160
    assert Counter(labels).keys() == {"billing", "delivery", "feature", "login", "returns"}
    assert min(Counter(labels).values()) >= 25
    assert all(t == t.strip() and len(t) > 10 for t in texts)


def test_the_label_shows_neither_in_the_order_nor_in_the_length_of_tickets():
    texts, labels = zip(*tickets(), strict=True)
    y = np.array([sorted(set(labels)).index(label) for label in labels])
    assert out_of_sample(np.c_[np.arange(len(y)), [len(t) for t in texts]], y) < 0.35


def test_the_ticket_table_reads_back(tmp_path):
    table = write_tickets(tmp_path / "new")
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["text", "label"]
    assert [tuple(row) for row in rows[1:]] == tickets()
