"""The floor backbone: the same numbers everywhere, and better than nothing."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from headstart.backbones.providers import stats
from headstart.data.demo.tickets import tickets
from headstart.features.engines import numpy
from headstart.features.preprocess import words


def running(local: str):
    card = stats.card(local)
    return card, numpy.start(card, card.cut(1))


def stripes(axis: int) -> np.ndarray:
    """A 128-pixel picture with black and white bars, 16 pixels wide, along one axis."""
    bars = np.where(np.arange(128) // 16 % 2, 255, 0).astype(np.uint8)
    flat = np.broadcast_to(bars[:, None] if axis == 0 else bars[None, :], (128, 128))
    return np.repeat(flat[:, :, None], 3, axis=2)


def test_edges_fall_into_their_orientation():
    light = np.stack([stripes(axis)[:, :, 0] for axis in (0, 1)]).astype(np.float32)
    by_orientation = (stats._gradient_histograms(light)[:, :128].reshape(2, stats.ORIENTATIONS, 16) ** 2).sum(2)
    # Horizontal bars have vertical gradients (half a turn of 8 bins), vertical bars horizontal ones.
    assert by_orientation.argmax(1).tolist() == [4, 0]
    assert (by_orientation.max(1) / by_orientation.sum(1) > 0.99).all()


def test_a_flat_picture_has_its_colour_and_nothing_else():
    card = stats.card("")
    grey = np.full((128, 128, 3), 51, np.uint8)
    batch = {"pixels": grey.transpose(2, 0, 1)[None].astype(np.float32) / 255}
    row = stats._statistics(stats._opponent_colours(batch))[0]
    assert row[:16] == pytest.approx([0.2] * 16, abs=1e-6)
    assert len(row) == card.width
    assert np.isfinite(row).all()


def test_hashes_are_the_same_in_any_process_and_for_ever():
    assert words._hash_text("Hi")[0].tolist() == [1486039724, 1266351541, 1289457359, 673435608]
    code = "from headstart.features.preprocess import words; print(words._hash_text('where is my parcel?')[0].sum())"
    sums = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(sums) == 1


def test_texts_that_share_words_are_nearer():
    card, engine_ = running("text")
    texts = ["my card was charged twice", "the card was charged again", "the parcel never arrived"]
    rows = engine_.rows([u[0] for u in words.prepare(texts, card.preprocess)])
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert rows[0] @ rows[1] > 0.3 > rows[0] @ rows[2]


@pytest.mark.parametrize("odd", ["\x00\x00a", "\ud800 lone", "🙂🙂", "a" * 1_000_000, "שלום עולם"])
def test_odd_texts_have_rows(odd):
    card, engine_ = running("text")
    (units,) = words.prepare([odd], card.preprocess)
    assert np.isfinite(engine_.rows(units)).all()


def test_it_beats_chance_on_real_questions(real_data):
    card, engine_ = running("text")
    tables = {p: pq.read_table(real_data / "text_trec6" / f"{p}.parquet") for p in ("train", "test")}
    rows = {
        part: engine_.rows([u[0] for u in words.prepare(table["text"].to_pylist(), card.preprocess)])
        for part, table in tables.items()
    }
    head = LogisticRegression(C=10, max_iter=300).fit(rows["train"][:2000], tables["train"]["label"].to_pylist()[:2000])
    assert head.score(rows["test"], tables["test"]["label"].to_pylist()) > 0.7


def test_tickets_are_told_apart():
    card, engine_ = running("text")
    texts, labels = zip(*tickets(), strict=True)
    rows = engine_.rows([u[0] for u in words.prepare(texts, card.preprocess)])
    near = rows @ rows.T - 2 * np.eye(len(rows), dtype=np.float32)
    same = np.mean([labels[i] == labels[j] for i, j in enumerate(near.argmax(1))])
    assert same > 1.5 / len(set(labels))
