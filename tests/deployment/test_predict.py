"""Which inputs a folder stands for: `predict` reads what `fit` reads, and answers it as the model scores it."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import headstart
from headstart.core.options import DataOptions
from headstart.core.result import SetAside
from headstart.data.collect_inputs import FILES, VALUES, WORDS, collect_inputs
from headstart.data.contents import IMAGE_SUFFIXES
from headstart.data.read import read, read_source
from headstart.features.extract import embed
from headstart.features.image_decoding import decode_image
from tests.support.sources import png_bytes, write_text


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


def sources(folder, draw):
    """(source, options) of each container, of the same examples in a random order with some that cannot be used."""
    pd = pytest.importorskip("pandas")
    order = draw.permutation(48)
    texts = [" ".join(draw.choice(["who", "where", "what", "old", "big"], 4)) + f" {i}" for i in order]
    labels = [("3.1" if i % 2 else "3.10") for i in order]
    texts[int(draw.integers(48))] = ""
    options = {"task": "classes", "label": "version"}
    buffer = "\r\n".join(f"{i // 2},{t},{v}" for i, (t, v) in enumerate(zip(texts, labels, strict=True)))
    table = write_text(folder / "t.csv", f"nr,question,version\r\n{buffer}\r\n", str(draw.choice(["utf-8", "utf-16"])))
    for n, i in enumerate(order):
        place = folder / "my photos" / f"kind {i % 2}" / ("" if n % 3 else "more")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(png_bytes(int(i)) if n else b"")
    frame = pd.DataFrame({"version": labels, "question": texts}, index=order)
    numbers = pd.DataFrame(draw.standard_normal((48, 3)), columns=["a", "b", "c"])
    yield table, table, {**options, "input": "question"}
    yield folder / "my photos", folder / "my photos", {}
    yield frame, frame, options
    yield (frame[["question"]], frame["version"]), frame, {"task": "classes"}
    yield (numbers, labels), numbers[["c", "a", "b"]].assign(extra=1), {"task": "classes"}
    yield (numbers.to_numpy(), labels), numbers.to_numpy(), {"task": "classes"}


@given(st.integers(0, 2**31))
@settings(max_examples=3, deadline=None)
def test_what_was_fitted_is_answered_as_the_model_scores_it(seed):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for n, (source, asked, options) in enumerate(sources(folder, np.random.default_rng(seed))):
            done = headstart.fit(source, into=folder / f"run {n}", root=folder / "cache", **options)
            model, task = done.model, read(source, DataOptions(**options))
            answers = headstart.predict(done.folder, asked, root=folder / "cache")
            assert len(answers) == 48
            prefix = f"{source}/" if isinstance(source, Path) and source.is_dir() else ""
            found = {answer.id.removeprefix(prefix): answer for answer in answers}
            scores = model.fitted.scores(embed(task.examples, model.backbone, model.cut, folder / "cache").x)
            readable = [e for e in task.examples if not found[e.id].error]
            assert len(readable) == len(scores) >= 47
            for example, row in zip(readable, model.objective.probabilities(scores), strict=True):
                expected = dict(zip(model.objective.names, row.tolist(), strict=True))
                assert found[example.id].probabilities == pytest.approx(expected, abs=1e-5)
            assert all(found[a.id].error for a in task.aside)


def test_strings_are_texts_and_paths_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "data/secret.txt", "README"):
        write_text(tmp_path / name, "who wrote it")
    (tmp_path / "ant.jpg").write_bytes(png_bytes(1))

    def asked(inputs, how=VALUES, lines=None):
        items = collect_inputs(inputs, "text", None, lines, how)
        return [i.reason if isinstance(i, SetAside) else i.content for i in items]

    words = ["notes.txt", "data", ".", "ant.jpg", "", "none.csv"]
    assert asked(words) == ["notes.txt", "data", ".", "ant.jpg", "empty text", "none.csv"]
    assert asked(["-"], WORDS, [f"{w}\n" for w in words]) == asked(words)
    image, missing = "is an image, and this model reads texts", "no such file"
    assert asked(words[:2] + words[3:], WORDS) == ["who wrote it", "who wrote it", image, "empty text", missing]
    assert asked(["README", "bee.png"], WORDS) == ["README", missing]
    assert asked(["README", "none", "ant.jpg"], FILES) == ["who wrote it", missing, image]
    assert asked(["-"], FILES, ["README\n", "\n"]) == ["who wrote it", "no file is named"]
    assert asked([Path("ant.jpg"), Path("README"), None]) == [
        image,
        "who wrote it",
        "there is nothing: the value is missing",
    ]
