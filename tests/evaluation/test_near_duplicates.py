"""Near-duplicates: copies of real photos and texts are found across the split, different ones are not."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart import testing
from headstart.core.features import Features
from headstart.core.observations import DataSurvey, ImageStats
from headstart.core.plan import Plan
from headstart.core.plugins import member
from headstart.core.task import Example, Task
from headstart.data.connected_components import connected_components
from headstart.data.duplicates import near_duplicates
from headstart.data.duplicates.fingerprint_pairs import find_fingerprint_pairs
from headstart.workflows.check import check
from headstart.workflows.planner import method_of

twins = member("guards", "twins")


def surveyed(labels, x=None, contents=None, copies=None, test=(), folds=None, kind="text") -> DataSurvey:
    """A task with these labels, rows (n, d), contents and pairs of copies, whose last `test` positions judge."""
    n = len(labels)
    contents = contents or [str(i) for i in range(n)]
    x = np.zeros((n, 3), np.float32) if x is None else x.astype(np.float32)
    examples = tuple(
        Example(f"e{i}", c, f"d{i}", label) for i, (c, label) in enumerate(zip(contents, labels, strict=True))
    )
    objective = member("objectives", "classes").of(labels)
    held = np.array(sorted(test), np.int64)
    parts = {"train": np.setdiff1d(np.arange(n), held), "val": np.zeros(0, np.int64), "test": held}
    card = member("backbones", "vector").card(str(x.shape[1]))
    task = Task(kind, objective, examples, parts, None if folds is None else np.array(folds))
    whole = Features(x, objective.encode(labels), tuple(e.id for e in examples))
    image_stats = None
    if copies is not None:
        size, prints = np.full((n, 2), 64, np.int32), np.arange(n, dtype=np.uint64)
        pairs, likeness = np.array(copies, np.int64).reshape(-1, 2), np.full(len(copies), 0.95, np.float32)
        colour, size_bytes = np.full((n, 3), 99, np.float32), np.full(n, 9, np.int64)
        image_stats = ImageStats(prints, colour, size, size_bytes, pairs, likeness)
    plan = Plan(card, card.cut(1), method_of("logistic", {}), 0)
    rows = {name: whole.rows(index) for name, index in parts.items()}
    return DataSurvey(task, plan, rows, lambda positions: [b""] * len(positions), image_stats)


def photos(copies: bool, n=60) -> DataSurvey:
    """Photos of which the last four judge and are, or are not, copies of the first four."""
    pairs = [(i, n - 4 + i) for i in range(4)] if copies else []
    return surveyed(["a", "b"] * (n // 2), copies=pairs, test=range(n - 4, n), kind="image")


def texts(*judged: str) -> DataSurvey:
    """Texts to learn from, and others to judge by."""
    learned = ["The parcel never arrived, please help!", "Card declined at the till", "How do I reset my password?"]
    learned += [f"question {word} about {word}ing" for word in ("bill", "ship", "train", "paint", "rent", "cook")]
    contents = [*learned, *judged]
    n = len(contents)
    labels = ["a" if i % 2 else "b" for i in range(len(learned))] + ["b"] * len(judged)
    return surveyed(labels, contents=contents, test=range(len(learned), n))


PLANTED = {
    "photos": (photos(True), photos(False)),
    "texts": (texts("the parcel never arrived - PLEASE help"), texts("the parcel is far too large")),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_the_guard_sees_twins_across_the_split_and_is_silent_without_them(kind):
    testing.check_guard(twins, *PLANTED[kind])


def test_the_finding_names_who_is_whose_twin():
    (found,) = twins.look(photos(True))
    assert found.level == "warn" and "4 of 4 test examples (100.0%)" in found.message
    assert found.evidence["pairs"] == 4 and found.evidence["judged"] == 4
    assert {e["id"]: e["with"] for e in found.evidence["examples"]} == {f"e{56 + i}": f"e{i}" for i in range(4)}


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        ("Where is my card?", "where is MY card", True),
        ("Please call 08712402902 now, it is urgent", "Please CALL 08712402779 now - it is urgent!", True),
        ("What happened in 1965 in Paris?", "What happened in 1970 in Paris?", False),
        ("What is the capital of Peru?", "What is the capital of Chad?", False),
        ("!!!", "???", False),
    ],
)
def test_which_texts_are_twins(a, b, alike):
    assert bool(near_duplicates.find_near_duplicates(surveyed(["a", "b"], contents=[a, b]))) is alike


def test_texts_of_one_wording_are_paired_with_one_on_either_side():
    contents = [f"Sorry, I'll call later{'!' * i}" for i in range(200)]
    some = surveyed(["a", "b"] * 100, contents=contents, test=range(150, 200))
    found = near_duplicates.find_near_duplicates(some)
    assert len(found) < 1000
    side = near_duplicates.split_sides(some)
    across = {k for p in found if side[p.i] != side[p.j] for k in (p.i, p.j)}
    assert across >= set(range(150, 200))


def saved(picture, quality=95) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def test_copies_of_real_photos_are_found_and_different_photos_are_not(real_data, tmp_path):
    from PIL import Image, ImageEnhance

    folder = tmp_path / "photos"
    for name in ("ants", "bees"):
        (folder / name).mkdir(parents=True)
        for i, path in enumerate(sorted((real_data / "hymenoptera" / "train" / name).glob("*.jpg"))[:30]):
            picture = Image.open(path).convert("RGB")
            w, h = picture.size
            (folder / name / f"{i:02}.jpg").write_bytes(path.read_bytes())
            if i < 6:
                copies = {
                    "again": saved(picture, 40),
                    "small": saved(picture.resize((w * 2 // 3, h * 2 // 3))),
                    "bright": saved(ImageEnhance.Brightness(picture).enhance(1.2)),
                    "crop": saved(picture.crop((w // 10, h // 12, w, h - h // 12)).convert("L")),
                    "mirrored": saved(picture.transpose(Image.Transpose.TRANSVERSE)),
                }
                for copy, data in copies.items():
                    (folder / name / f"{i:02}-{copy}.jpg").write_bytes(data)
    facts = check(folder, into=tmp_path / "run", root=tmp_path / "cache", seed=1).facts
    (found,) = [f for f in facts["findings"] if f["guard"] == "twins" and "test" in f["message"]]
    assert found["level"] == "warn"
    stem = [(e["id"].split("-")[0].removesuffix(".jpg"), e["with"].split("-")[0].removesuffix(".jpg")) for e in
            found["evidence"]["examples"]]  # fmt: skip
    assert all(a == b for a, b in stem), "a photo was taken for the twin of another"
    assert found["evidence"]["judged"] >= 6


def test_fingerprints_speak_for_a_pair_only_where_features_do():
    rng = np.random.default_rng(0)
    x, prints = rng.standard_normal((60, 32)).astype(np.float32), rng.integers(0, 2**63, 60, dtype=np.uint64)
    assert not len(find_fingerprint_pairs(np.full(60, 5, np.uint64), x)[0]), "flat photos have equal prints"
    x[-4:], prints[-4:] = x[:4] + 0.05 * rng.standard_normal((4, 32)), prints[:4] ^ np.uint64(0b1001)
    i, j, cosine = find_fingerprint_pairs(prints, x)
    assert i.tolist() == [0, 1, 2, 3] and j.tolist() == [56, 57, 58, 59] and (cosine > 0.9).all()


def test_photos_without_a_thumbnail_and_vectors_have_no_twins():
    some = surveyed(["a", "b"] * 6, copies=[(0, 1)], test=[1], kind="image")
    blank = replace(some.image_stats, colour=np.zeros((12, 3), np.float32), prints=np.zeros(12, np.uint64))
    assert near_duplicates.find_near_duplicates(replace(some, image_stats=blank)) == []
    assert near_duplicates.find_near_duplicates(surveyed(["a", "b"], kind="vector")) == []


def test_twins_in_other_folds_are_counted_and_those_of_one_fold_are_not():
    contents = ["one two three", "One, two, three!", "four five six", "seven eight nine"]
    apart = surveyed(["a", "b"] * 2, contents=contents, folds=[0, 1, 0, 1])
    (found,) = twins.look(replace(apart, task=replace(apart.task, folds=np.array([0, 1, 0, 1]))))
    assert "2 of 4 examples" in found.message and "another fold" in found.message
    together = surveyed(["a", "a", "a", "b"], contents=contents, folds=[0, 0, 1, 1])
    assert [f.level for f in twins.look(together)] == ["note"]


def test_twins_with_two_labels_in_training_are_noted():
    contents = ["the colour is wrong here", "the colour is wrong HERE", "all is well", "what a pity"]
    (found,) = twins.look(surveyed(["a", "b", "a", "b"], contents=contents))
    assert found.level == "note" and "different labels" in found.message
    assert found.evidence["examples"][0] == {"id": "e0", "with": "e1", "text": "a, its twin b, likeness 1.00"}


@given(st.integers(1, 30), st.data())
def test_groups_are_what_hangs_together(n, data):
    ends = st.integers(0, n - 1)
    some = data.draw(st.lists(st.tuples(ends, ends), max_size=40))
    root = connected_components(n, some)
    assert all(root[a] == root[b] for a, b in some)
    assert (root <= np.arange(n)).all() and (root[root] == root).all()
    apart = len(set(root.tolist()))
    assert apart >= n - len({frozenset(p) for p in some if p[0] != p[1]})


def test_near_duplicates_join_the_groups_of_their_owner():
    contents = ["one two three", "ONE two three", "four five six", "four five, six", "alone at last", "grouped too"]
    some = surveyed(["a", "b"] * 3, contents=contents)
    named = ("", "g1", "", "", "", "g1")
    examples = [replace(e, group=group) for e, group in zip(some.task.examples, named, strict=True)]
    found = near_duplicates.group_near_duplicates("text", examples, None)
    assert found == ("g1", "g1", "twins of e2", "twins of e2", "", "g1")


def test_a_check_of_texts_tells_of_twins(tmp_path):
    from headstart.data.demo.tickets import tickets

    rows = list(tickets())
    with open(tmp_path / "mine.csv", "w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["text", "label"])
        write.writerows(rows)
        write.writerows((text.upper() + " !", label) for text, label in rows[:40])
    facts = check(tmp_path / "mine.csv", into=tmp_path / "run", backbone="stats:text", root=tmp_path / "cache").facts
    assert any(f["guard"] == "twins" and f["level"] == "warn" for f in facts["findings"])
