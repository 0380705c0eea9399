"""`headstart check` finds what is wrong with data before anything is trained, shows it, and writes a clean list."""

import csv
import errno
import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from headstart.cli import app
from headstart.core.errors import DiskError, SourceError
from headstart.data.demo.photos import write_photos
from headstart.evaluation import cleaning
from headstart.evaluation.guards.shortcut import naive_bayes_accuracy
from headstart.workflows import check, fit
from tests.support.browser import TEXT_CLASHES


@pytest.fixture(scope="module")
def flawed(tmp_path_factory):
    """Rendered photos: one broken, one under two labels, test photos in training as they are and saved again."""
    folder = tmp_path_factory.mktemp("flawed")
    source = write_photos(folder / "all", 160)
    files = sorted(p for p in source.rglob("*.jpg"))
    data = folder / "data"
    for n, path in enumerate(files):
        part = "test" if n % 4 == 0 else "train"
        into = data / part / path.parent.name / path.name
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_bytes(path.read_bytes())
    kinds = sorted(p.name for p in (data / "train").iterdir())
    test = sorted((data / "test" / kinds[0]).iterdir())
    first = min((data / "train" / kinds[0]).iterdir())
    (data / "train" / kinds[0] / "leaked.jpg").write_bytes(test[0].read_bytes())
    (data / "train" / kinds[1] / "clash.jpg").write_bytes(first.read_bytes())
    for n, path in enumerate(test[1:4]):
        with Image.open(path) as picture:
            picture.resize((200, 200)).save(data / "train" / kinds[0] / f"again{n}.jpg", quality=70)
    (data / "train" / kinds[0] / "broken.jpg").write_bytes(test[0].read_bytes()[:200])
    return folder, data


def checked(folder, source, name="out", **given):
    return check.check(source, into=folder / name, backbone="stats", root=folder / "cache", **given).facts


def test_flaws_are_found_and_shown(flawed):
    folder, data = flawed
    facts = checked(folder, data)
    found = {f["guard"]: f for f in facts["findings"]}
    assert {"aside", "conflict", "leak", "twins"} <= found.keys()
    assert found["leak"]["evidence"]["examples"][0]["with"].endswith("leaked.jpg")
    shown = {e["with"].rpartition("/")[2] for e in found["twins"]["evidence"]["examples"]}
    assert {"again0.jpg", "again1.jpg", "again2.jpg"} <= shown
    assert [a["id"].rpartition("/")[2] for a in facts["aside"]] == ["broken.jpg"]
    page = (folder / "out" / "check.html").read_text()
    assert page.count("data:image/jpeg") >= 8 and "again1.jpg" in page, "both sides of a pair are shown"
    assert json.loads((folder / "out" / "check.json").read_text())["findings"] == facts["findings"]


def test_a_clean_list_has_none_of_them_and_the_data_are_left_alone(flawed, tmp_path):
    folder, data = flawed
    before = {p: p.read_bytes() for p in data.rglob("*.jpg")}
    done = checked(folder, data, "fixing", fix=tmp_path / "cleaned")["cleaned"]
    assert {p: p.read_bytes() for p in data.rglob("*.jpg")} == before
    with open(tmp_path / "cleaned" / "removed.csv", newline="") as file:
        gone = {line["id"].rpartition("/")[2]: line["why"] for line in csv.DictReader(file)}
    assert {"leaked.jpg", "clash.jpg", "broken.jpg", "again0.jpg", "again1.jpg", "again2.jpg"} <= gone.keys()
    assert done["removed"] == len(gone)
    again = checked(folder, tmp_path / "cleaned", "again")
    assert not [f for f in again["findings"] if f["guard"] in ("aside", "conflict", "leak", "twins")]
    assert sum(again["task"]["n"].values()) == done["kept"]
    with pytest.raises(SourceError, match="exists"):
        checked(folder, data, "fixing", fix=tmp_path / "cleaned")


def test_texts_are_cleaned_too(tmp_path):
    rows = [("my parcel is late", "post"), ("I want my money back", "money")]
    rows = [(f"{text}, case {i}{i} of {'abcdefghijklmnop'[i]}", label) for i in range(16) for text, label in rows]
    rows += [rows[0], (rows[1][0], "post")]
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    facts = check.check(
        tmp_path / "t.csv",
        into=tmp_path / "out",
        backbone="stats:text",
        root=tmp_path / "cache",
        fix=tmp_path / "clean",
    ).facts
    assert any(f["guard"] == "conflict" for f in facts["findings"])
    with open(tmp_path / "clean" / "train.csv", newline="") as file:
        kept = list(csv.DictReader(file))
    assert len(kept) == 31, "one repeated text, and two that contradict each other, are gone"
    assert (tmp_path / "out" / "check.html").is_file()


FORMULAS = ["=cmd|' /C calc'!A0", "@SUM(1+1)", "-1+1|x", "fine"]


def test_no_cell_of_a_clean_list_is_run_by_a_spreadsheet_and_all_are_read_back(tmp_path):
    rows = [{"text": f"{FORMULAS[i % 4]} word{i % 4} and more of it {i}", "label": FORMULAS[i % 4]} for i in range(48)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, [*rows, rows[0]])))
    options = {"backbone": "stats:text", "root": tmp_path / "cache"}
    done = check.check(tmp_path / "t.jsonl", into=tmp_path / "a", fix=tmp_path / "clean", **options).facts["cleaned"]
    assert done["kept"] == 48 and {p.name for p in (tmp_path / "clean").iterdir()} == {"train.jsonl", "removed.csv"}
    kept = [json.loads(line) for line in (tmp_path / "clean" / "train.jsonl").read_text().splitlines()]
    assert [{"text": row["text"], "label": row["label"]} for row in kept] == rows
    assert sum(check.check(tmp_path / "clean", into=tmp_path / "b", **options).facts["task"]["n"].values()) == 48


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are not UTF-8")
def test_a_photo_whose_name_is_no_text_stands_in_the_clean_list_as_a_copy(flawed, tmp_path):
    folder, data = flawed
    shutil.copytree(data, tmp_path / "data")
    odd = min((tmp_path / "data" / "train").iterdir()) / os.fsdecode(b"\xff\xfe.jpg")
    with Image.open(sorted(odd.parent.iterdir())[-1]) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(odd, "JPEG")
    checked(folder, tmp_path / "data", "odd", fix=tmp_path / "clean")
    (copy,) = (tmp_path / "clean" / "images").iterdir()
    assert copy.read_bytes() == odd.read_bytes()
    assert sum(checked(folder, tmp_path / "clean", "odd-again")["task"]["n"].values()) > 100


def test_a_full_disk_leaves_no_half_of_a_clean_list(flawed, tmp_path, monkeypatch):
    folder, data = flawed

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(cleaning, "write_atomic", full)
    with pytest.raises(DiskError, match=r"clean.*The disk is full"):
        checked(folder, data, "full", fix=tmp_path / "clean")
    assert not list(tmp_path.iterdir())


def test_twins_stay_on_one_side_when_asked(flawed):
    folder, data = flawed
    again = checked(folder, data, "grouped", group_twins=True)
    assert not [f for f in again["findings"] if f["guard"] in ("leak", "twins") and f["level"] == "warn"]
    assert "--group-twins" in again["command"]
    outcome = fit.fit(
        data, into=folder / "fit", backbone="stats", method="centroid", root=folder / "cache", group_twins=True
    )
    assert "--group-twins" in outcome.result["command"]
    assert any("left out of training" in note for note in outcome.result["task"]["notes"])


def test_what_judges_is_looked_for_in_a_reference(flawed, tmp_path):
    folder, data = flawed
    (tmp_path / "seen").mkdir()
    kind = min((data / "test").iterdir())
    for n, path in enumerate(sorted(kind.iterdir())[4:7]):
        with Image.open(path) as picture:
            picture.resize((180, 180)).save(tmp_path / "seen" / f"{n}.jpg", quality=80)
    facts = checked(folder, data, "known", against=tmp_path / "seen")
    (found,) = (f for f in facts["findings"] if f["guard"] == "known")
    assert found["level"] == "warn" and found["evidence"]["judged"] == 3


def test_a_fit_shows_the_same_findings(flawed):
    folder, data = flawed
    outcome = fit.fit(data, into=folder / "plain", backbone="stats", method="centroid", root=folder / "cache")
    assert {"conflict", "leak", "twins"} <= {f["guard"] for f in outcome.result["findings"]}
    assert "twins-00-with.jpg" in {p.name for p in (outcome.folder / "thumbnails").iterdir()}


def test_the_command(flawed, monkeypatch, capsys):
    folder, data = flawed
    monkeypatch.setenv("HEADSTART_CACHE", str(folder / "cache"))
    asked = ["headstart", "check", str(data), "--backbone", "stats", "--into", str(folder / "said")]
    monkeypatch.setattr(sys, "argv", [*asked, "-q", "--json"])
    assert app.run() == 0 and json.loads(capsys.readouterr().out)["findings"]
    monkeypatch.setattr(sys, "argv", asked)
    assert app.run() == 0
    out = capsys.readouterr().out
    assert "leaked.jpg" in out and "fix:" in out and max(map(len, out.splitlines())) <= 130


@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_nothing_overflows_or_overlaps(flawed, browser, width):
    folder, data = flawed
    checked(folder, data)
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto((folder / "out" / "check.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(TEXT_CLASHES) == []


def test_sizes_that_tell_are_a_shortcut_and_sizes_that_do_not_are_none():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    noise = rng.normal(size=(300, 2))
    assert naive_bayes_accuracy(noise, y) < 0.45
    assert naive_bayes_accuracy(np.stack([y * 10 + noise[:, 0], noise[:, 1]], 1), y) > 0.95


def test_how_a_network_is_fed_is_held_against_its_own_library(hub, tmp_path):
    """DeiT's normalisation before ViT-tiny: the classic mistake that gives no error."""
    source = write_photos(tmp_path / "some", 60)
    right = "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k"
    wrong = f"{right}?mean=0.485,0.456,0.406&std=0.229,0.224,0.225"
    said = {}
    for name in (right, wrong):
        facts = check.check(source, into=tmp_path / "out", backbone=name, root=tmp_path / "cache").facts
        said[name] = {f["guard"]: f for f in facts["findings"]}
    assert "preprocess" not in said[right]
    assert (
        said[wrong]["preprocess"]["evidence"]["cosine"] < 0.95 and "mean=0.485" in said[wrong]["preprocess"]["message"]
    )


def test_the_old_classifier_is_asked_without_labels(hub, real_data, tmp_path):
    name = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    files = [p for k in ("ants", "bees") for p in sorted((real_data / "hymenoptera" / "val" / k).iterdir())[:24]]
    facts = check.check(
        (files, [p.parent.name for p in files]), into=tmp_path / "out", backbone=name, root=tmp_path / "cache"
    ).facts
    (found,) = (f for f in facts["findings"] if f["guard"] == "overlap")
    assert found["evidence"]["zero_shot"] > 0.9 and "Few-shot results are inflated" in found["message"]


def test_a_photo_is_glanced_at_once(tmp_path, monkeypatch):
    from headstart.data.duplicates import image_stats

    source = write_photos(tmp_path / "some", 60)
    check.check(source, into=tmp_path / "a", backbone="stats", root=tmp_path / "cache")
    monkeypatch.setattr(image_stats, "_compute", lambda *_: pytest.fail("it was looked at again"))
    check.check(source, into=tmp_path / "b", backbone="stats", root=tmp_path / "cache")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8).astype(np.uint8))
    small = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX))
    brighter = np.clip(small.astype(int) + 9, 0, 255)
    assert image_stats.difference_hash(small) == image_stats.difference_hash(brighter), "brightness moves no bit"


def test_classes_in_several_spellings_are_named_and_merged_in_the_cleaned_list(tmp_path):
    rows = [(f"a sentence about {'dogs' if i % 2 else 'cats'}, number {i}", i) for i in range(120)]
    names = {i: ("Dog", "dog")[i % 4 == 1] if i % 2 else ("cat", "CAT ")[i % 8 == 0] for _, i in rows}
    source = tmp_path / "t.csv"
    source.write_text("text,label\n" + "".join(f'"{text}",{names[i]}\n' for text, i in rows))
    facts = check.check(source, into=tmp_path / "out", root=tmp_path / "cache", fix=tmp_path / "clean").facts
    found = [f for f in facts["findings"] if f["guard"] == "spelling"]
    assert [f["level"] for f in found] == ["warn"]
    assert found[0]["evidence"]["groups"][0].keys() == {"cat", "CAT"}
    assert facts["cleaned"]["merged"] == {"CAT": "cat", "dog": "Dog"}
    cleaned = list(csv.DictReader((tmp_path / "clean" / "train.csv").read_text().splitlines()))
    assert {r["label"] for r in cleaned} == {"cat", "Dog"}
    assert any("was 'CAT'" in r["look"] for r in cleaned)
