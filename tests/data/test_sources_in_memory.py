"""What people hold in memory: frames, data sets, pairs one after the other; each is read, or refused in words."""

import base64

import numpy as np
import pytest

from headstart.core.errors import SourceError
from headstart.core.options import DataOptions
from headstart.data.contents import read_content
from headstart.data.read import read, read_source
from headstart.data.read_inputs import read_inputs
from tests.support.sources import image_column, png_bytes

N = 40
TEXTS = [f"some words {i}" for i in range(N)]
LABELS = ["who", "where"] * (N // 2)


def frame(**columns):
    return pytest.importorskip("pandas").DataFrame(columns)


class Pictures:
    """As torch and torchvision lay data sets out."""

    classes = ("cat", "dog")

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return N

    def __getitem__(self, i):
        return self.make(i), i % 2


def pil(i):
    return pytest.importorskip("PIL.Image").fromarray(np.full((4, 5, 3), i, np.uint8))


def tensor(i):
    return pytest.importorskip("torch").full((3, 4, 5), i / 255)


def data_set(**columns):
    return pytest.importorskip("datasets").Dataset.from_dict(columns)


SOURCES = {
    "a frame": (lambda: frame(id=range(N), text=TEXTS, label=LABELS), "text", {"who", "where"}),
    "parts of frames": (
        lambda: {"train": frame(text=TEXTS, label=LABELS), "test": frame(text=TEXTS, label=LABELS)},
        "text",
        {"who", "where"},
    ),
    "a frame of pictures": (lambda: frame(image=[pil(i) for i in range(N)], label=LABELS), "image", {"who", "where"}),
    "a frame as X": (lambda: (frame(text=TEXTS, id=range(N)), frame(y=LABELS)), "text", {"who", "where"}),
    "a data set": (lambda: data_set(text=TEXTS, label=LABELS), "text", {"who", "where"}),
    "an arrow table": (
        lambda: pytest.importorskip("pyarrow").table(
            {"image": image_column([png_bytes(i) for i in range(N)]), "label": LABELS}
        ),
        "image",
        {"who", "where"},
    ),
    "pairs of pictures": (lambda: Pictures(pil), "image", {"cat", "dog"}),
    "pairs of tensors": (lambda: Pictures(tensor), "image", {"cat", "dog"}),
    "a generator": (lambda: ((t, y) for t, y in zip(TEXTS, LABELS, strict=True)), "text", {"who", "where"}),
    "a generator as X": (lambda: ((t for t in TEXTS), LABELS), "text", {"who", "where"}),
    "base64": (
        lambda: frame(image=[base64.b64encode(png_bytes(i)).decode() for i in range(N)], label=LABELS),
        "image",
        {"who", "where"},
    ),
    "names of tags": (
        lambda: (TEXTS, frame(who=[1, 0] * (N // 2), where=[1] * N, how=[0.0, 1.0] * (N // 2))),
        "text",
        {"who", "where", "how"},
    ),
    "lists of 0 and 1": (lambda: (TEXTS, [[1, 0, 1], [0, 1, 1]] * (N // 2)), "text", {"0", "1", "2"}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_people_bring_is_read(name):
    make, kind, classes = SOURCES[name]
    task = read(make())
    assert task.kind == kind
    assert set(task.objective.names) == classes
    assert len(task.examples) >= N
    if "generator" not in name:
        source = make()
        asked = source[0] if isinstance(source, tuple) else source
        whole = asked if not isinstance(asked, list) else (asked, None)
        items = list(read_inputs(whole, task.contract)) if not hasattr(whole, "to_list") else []
        assert len(items) in (N, 2 * N, 0)


def test_a_picture_of_torch_keeps_its_pixels():
    from headstart.features.image_decoding import decode_image

    found = read_source(Pictures(tensor)).examples[""]
    assert np.asarray(decode_image(read_content(found[7])))[0, 0].tolist() == [7, 7, 7]


def test_what_is_missing_is_set_aside_by_row():
    pd = pytest.importorskip("pandas")
    for x in (pd.Series(TEXTS).mask(pd.Series(range(N)) == 3), [*TEXTS[:3], None, *TEXTS[4:]],
              frame(text=[*TEXTS[:3], float("nan"), *TEXTS[4:]])):  # fmt: skip
        found = read_source((x, LABELS))
        assert [(a.id, a.reason) for a in found.aside] == [("3", "empty text")]
        assert len(found.examples[""]) == N - 1


REFUSED = {
    "several columns of words": (lambda: (frame(a=TEXTS, b=TEXTS), LABELS), "'a', 'b'"),
    "paths that are not there": (lambda: ([f"{y}/{i}.jpg" for i, y in enumerate(LABELS)], LABELS), "none of the 40"),
    "ids": (lambda: ([f"d{i:03}" for i in range(N)], LABELS), 'kind="text"'),
    "a normalised picture": (lambda: Pictures(lambda i: tensor(i) - 3), "normalisation"),
    "a frame of scores as y": (lambda: (TEXTS, frame(a=range(N), b=range(N))), r"y is a frame of 2 columns"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_unclear_is_refused_in_words(name):
    make, message = REFUSED[name]
    with pytest.raises(SourceError, match=message):
        read(make())


def test_the_first_path_alone_decides_nothing(tmp_path):
    for i in range(N):
        (tmp_path / f"{i}.png").write_bytes(png_bytes(i))
    paths = [str(tmp_path / ("none.png" if i == 0 else f"{i}.png")) for i in range(N)]
    found = read_source((paths, LABELS))
    assert found.kind == "image"
    assert [(a.id, a.reason) for a in found.aside] == [("0", "there is no such file")]
    assert read_source((paths, LABELS), DataOptions(kind="text")).kind == "text"
