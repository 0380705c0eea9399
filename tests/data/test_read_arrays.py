"""Arrays, pictures, texts and paths in memory, and data sets of the Hugging Face Hub."""

import sys

import numpy as np
import pytest

from headstart.core.errors import MissingExtra, SourceError
from headstart.core.options import DataOptions
from headstart.data.contents import iter_contents, read_content
from headstart.data.read import read, read_source
from tests.support.sources import has_note, part_sizes, png_bytes, write_class_folders, write_text


def test_vectors_texts_and_pictures_in_memory():
    x = np.random.default_rng(0).standard_normal((60, 5))
    task = read((x, ["a", "b"] * 30))
    assert task.kind == "vector"
    assert np.frombuffer(read_content(task.examples[7]), "<f4") == pytest.approx(x[7], rel=1e-6)
    task = read({"train": (x[:40], [0, 1] * 20), "test": (x[40:], [0, 1] * 10)})
    assert part_sizes(task)["test"] == 20
    assert read(([f"t {i}" for i in range(60)], ["a", "b"] * 30)).kind == "text"
    groups = [str(i // 6) for i in range(60)]
    task = read((x, ["a", "b"] * 30, groups))
    assert not {e.group for e in task.part("train")} & {e.group for e in task.part("test")}
    hot = np.random.default_rng(0).integers(0, 2, (120, 3))
    assert read((np.arange(240).reshape(120, 2), hot)).examples[5].label == tuple(
        str(i) for i in np.flatnonzero(hot[5])
    )


@pytest.mark.parametrize("shape", [(60, 6, 5), (60, 6, 5, 3), (60, 6, 5, 4)])
def test_uint8_pictures_keep_their_pixels(shape):
    pil = pytest.importorskip("PIL.Image")
    import io

    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    task = read((x, [0, 1] * 30))
    for i in (0, 59):
        example = next(e for e in task.examples if e.id == str(i))
        assert np.array_equal(np.asarray(pil.open(io.BytesIO(read_content(example)))), x[i])


def test_pil_pictures_keep_their_pixels_and_orientation():
    pil = pytest.importorskip("PIL.Image")
    import io

    pictures = [pil.fromarray(np.full((4, 6, 3), i, np.uint8)) for i in range(40)]
    pictures[0].getexif()[0x0112] = 6
    pictures[1] = pictures[1].convert("CMYK")
    found = read_source((pictures, [0, 1] * 20)).examples[""]
    turned = pil.open(io.BytesIO(read_content(found[0])))
    assert turned.getexif()[0x0112] == 6
    assert pil.open(io.BytesIO(read_content(found[1]))).mode == "CMYK"
    assert np.asarray(pil.open(io.BytesIO(read_content(found[9]))))[0, 0].tolist() == [9, 9, 9]


def test_paths_in_memory(tmp_path):
    files = sorted(write_class_folders(tmp_path, {"a": 4}).glob("*/*.png"))
    assert read_source((files, [0, 1, 0, 1])).kind == "image"
    assert read_source(([str(f) for f in files], [0, 1, 0, 1])).kind == "image"
    found = read_source(([*files[:3], tmp_path / "none.png"], [0, 1, 0, 1]))
    assert [(a.id, a.reason) for a in found.aside] == [("3", "there is no such file")]
    assert read_source((["a", "b"], None), DataOptions(label="")).examples[""][1].label is None


ARRAYS = [
    ((np.ones((3, 2)), ["a", "b"]), "X has 3 examples and there are 2 labels"),
    ((np.ones((3, 2)), None), "y is missing"),
    ((np.ones((3, 4, 4, 7)), [0, 1, 0]), "a picture of shape"),
    (("abc", [0, 1, 0]), "X is a str"),
    (([object()] * 3, [0, 1, 0]), "X holds object"),
    ((np.ones((3, 2)), np.ones((3, 2)) * 7), "y has shape"),
    (([], []), "X is empty"),
    (
        {"train": (np.ones((40, 2)), [0, 1] * 20), "test": (np.ones((40, 3)), [0, 1] * 20)},
        "vectors of 2 and of 3 numbers",
    ),
    ({"left": (np.ones((3, 2)), [0, 1, 0])}, "named 'left'"),
    ((1, 2, 3, 4), "A pair"),
    ([1, 2], "type list cannot be read"),
    (None, "type NoneType cannot be read"),
    ("no/such/place", "does not exist"),
    ("hub:", "needs a name"),
]


@pytest.mark.parametrize(("source", "message"), ARRAYS, ids=range(len(ARRAYS)))
def test_nonsense_is_refused_in_words(source, message):
    with pytest.raises(SourceError, match=message):
        read(source)


def test_a_misspelt_path_and_an_unknown_suffix(tmp_path):
    write_class_folders(tmp_path / "photos", {"a": 1, "b": 1})
    with pytest.raises(SourceError, match=r"does not exist. Did you mean .*photos\?"):
        read(tmp_path / "fotos")
    with pytest.raises(SourceError, match=r"unknown suffix '\.zip'"):
        read(write_text(tmp_path / "x.zip", "x"))
    with pytest.raises(SourceError, match=r"no kind 'images'\. Did you mean 'image'"):
        read(tmp_path / "photos", DataOptions(kind="images"))
    with pytest.raises(SourceError, match="--label is for tables"):
        read(tmp_path / "photos", DataOptions(label="x"))
    with pytest.raises(SourceError, match="Git LFS pointer"):
        read(write_text(tmp_path / "x.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"))


def test_a_data_set_of_the_hub(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    columns = {"image": [{"bytes": png_bytes(i), "path": None} for i in range(60)], "label": [i % 2 for i in range(60)]}
    train = datasets.Dataset.from_dict(columns, features=features)
    hidden = datasets.Dataset.from_dict({**columns, "label": [-1] * 60}, features=features)
    whole = datasets.DatasetDict(
        {"train": train, "validation": train.select(range(20)).flatten_indices(), "test": hidden}
    )
    whole["unsupervised"] = hidden
    whole.save_to_disk(str(tmp_path / "d"))
    asked = []

    def load_dataset(name, configuration):
        asked.append((name, configuration))
        return datasets.load_from_disk(str(tmp_path / "d"))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task = read("hub:owner/pets:small")
    assert asked == [("owner/pets", "small")]
    assert task.objective.names == ("cat", "dog")
    assert part_sizes(task)["test"] == 20, "hidden labels leave validation as the held-out part"
    assert [c for _, c in iter_contents(task.part("test"))] == [png_bytes(i) for i in range(20)]
    assert has_note(task, "Splits left out")
    assert task.examples[0].id.startswith("train/")


def test_the_hub_offline_and_without_its_library(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def load_dataset(name, configuration):
        raise ConnectionError("Couldn't reach 'owner/pets' on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(SourceError, match=r"neither in the cache nor reachable.*load_dataset\('owner/pets'\)"):
        read("hub:owner/pets")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"headstart\[hub\]"):
        read("hub:owner/pets")
