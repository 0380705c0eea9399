"""The main job, end to end, as a user runs it."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.data.demo.photos import write_photos
from headstart.data.demo.tickets import write_tickets
from tests.support.command_line import run_command

MOBILENET = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
HEAVY = ("torch", "timm", "transformers", "PIL", "scipy", "sklearn")


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("parts") / "photos", 90)


@pytest.fixture(scope="module")
def fitted(parts) -> tuple[Path, dict]:
    """A run on these photos, and the result that it printed. Its cache holds their features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(parts.parent / "cache"))
        done = run_command("fit", str(parts), "--into", str(parts.parent / "run"), "--json")
    return parts.parent / "run", json.loads(done.stdout)


@pytest.fixture
def run(fitted, tmp_path, monkeypatch) -> Path:
    """A copy of that run, beside a warm cache."""
    monkeypatch.setenv("HEADSTART_CACHE", str(fitted[0].parent / "cache"))
    return shutil.copytree(fitted[0], tmp_path / "run")


def test_fit_photos_then_predict(parts, fitted, run, tmp_path):
    result = fitted[1]
    assert result["schema"] == 2
    assert result["task"]["n"] == {"train": 63, "val": 14, "test": 13} or sum(result["task"]["n"].values()) == 90
    assert result["metrics"]["accuracy"]["low"] <= result["metrics"]["accuracy"]["value"]
    assert result["plan"]["backbone"] == "own:vision-small", "what comes with Headstart is the default"
    assert result["frozen"]["tensors"] > 100 and result["frozen"]["moved"] == 0
    for name in ("journal.jsonl", "plan.toml", "result.json", "report.html", "predictions.csv", "model/card.json"):
        assert (run / name).stat().st_size > 0
    (tmp_path / "bad.jpg").write_bytes(b"")
    one = next(parts.glob("*/*.jpg"))
    done = run_command("predict", str(run), str(one), str(tmp_path / "bad.jpg"), "no-such.jpg", "--json")
    good, empty, missing = json.loads(done.stdout)["predictions"]
    assert good["label"] in result["task"]["classes"]
    assert sum(good["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert "empty" in empty["error"]
    assert "no such file" in missing["error"].lower()


def test_predict_gives_what_was_measured(parts, run):
    with open(run / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    files = [str(parts / r["id"]) for r in rows]
    again = json.loads(run_command("predict", str(run), *files, "--json").stdout)["predictions"]
    assert [a["label"] for a in again] == [r["predicted"] for r in rows]
    assert [a["confidence"] for a in again] == pytest.approx([float(r["confidence"]) for r in rows], abs=2e-6)


def test_texts_from_a_table_and_from_stdin(tmp_path):
    table = write_tickets(tmp_path)
    result = json.loads(run_command("fit", str(table), "--into", str(tmp_path / "run"), "--json").stdout)
    assert result["metrics"]["accuracy"]["low"] > result["metrics"]["accuracy"]["chance"]
    done = run_command("predict", str(tmp_path / "run"), "where is it?", " ", "--json")
    said, nothing = json.loads(done.stdout)["predictions"]
    assert said["label"] in result["task"]["classes"]
    assert "empty" in nothing["error"]
    done = run_command("predict", str(tmp_path / "run"), "-", "--csv", stdin="I cannot log in\nwhere is my parcel?\n")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [r["input"] for r in rows] == ["I cannot log in", "where is my parcel?"]
    assert all(r["label"] in result["task"]["classes"] for r in rows)


def test_two_runs_with_one_seed_are_bit_identical_cold_or_cached(parts, tmp_path, monkeypatch):
    for name, cache in (("a", "one"), ("b", "one"), ("c", "two")):
        monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / cache))
        run_command("fit", str(parts), "--into", str(tmp_path / name), "--seed", "3", "--quiet")
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in "abc"]
    assert [r["cache"]["misses"] for r in results] == [90, 0, 90]
    for key in ("metrics", "baselines", "details", "mistakes", "verdict"):
        assert results[0][key] == results[1][key] == results[2][key]
    deltas = [(tmp_path / name / "model" / "delta.safetensors").read_bytes() for name in "abc"]
    assert deltas[0] == deltas[1] == deltas[2]


def test_ten_more_photos_embed_ten(run, tmp_path):
    grown = write_photos(tmp_path / "photos", 100)  # photo i is drawn from (seed, i): the first 90 are the same bytes
    result = json.loads(run_command("fit", str(grown), "--into", str(tmp_path / "b"), "--json", "--quiet").stdout)
    assert result["cache"] == {"hits": 90, "misses": 10}


def test_a_cached_fit_wakes_nothing_heavy(parts, run, tmp_path):
    code = (
        "import sys, headstart\n"
        f"headstart.fit({str(parts)!r}, into={str(tmp_path / 'b')!r})\n"
        f"print(*(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_unreadable_files_are_set_aside_by_name(parts, tmp_path):
    shutil.copytree(parts, tmp_path / "photos")
    victims = sorted((tmp_path / "photos").glob("dent/*.jpg"))[:2]
    victims[0].write_bytes(b"")
    victims[1].write_bytes(victims[1].read_bytes()[:600])
    result = json.loads(run_command("fit", str(tmp_path / "photos"), "--into", str(tmp_path / "run"), "--json").stdout)
    assert {a["id"] for a in result["aside"]} == {f"dent/{v.name}" for v in victims}
    assert sum(result["task"]["n"].values()) == 88
    assert victims[0].name in (tmp_path / "run" / "report.html").read_text()


def test_too_many_unreadable_files_stop_the_run(parts, tmp_path):
    shutil.copytree(parts, tmp_path / "photos")
    for victim in sorted((tmp_path / "photos").glob("dent/*.jpg"))[:12]:
        victim.write_bytes(b"not a photo")
    done = run_command("fit", str(tmp_path / "photos"), "--into", str(tmp_path / "run"), code=3)
    assert re.search(r"1[02] of 90|12", done.stderr)
    assert "dent/" in done.stderr


def test_a_changed_model_folder_is_refused(parts, run):
    delta = run / "model" / "delta.safetensors"
    data = bytearray(delta.read_bytes())
    data[-1] ^= 1
    delta.write_bytes(data)
    done = run_command("predict", str(run), str(next(parts.glob("*/*.jpg"))), code=2)
    assert "delta.safetensors has changed" in done.stderr


def test_the_witness_refuses_a_head_that_answers_otherwise(parts, run):
    from headstart.core.digest import of_files

    model = run / "model"
    with np.load(model / "witness.npz", allow_pickle=False) as kept:
        arrays = dict(kept)
    arrays["scores"] = arrays["scores"] + 1
    np.savez(model / "witness.npz", **arrays)
    card = json.loads((model / "card.json").read_text())
    card["files"]["witness.npz"] = of_files([model / "witness.npz"])
    (model / "card.json").write_text(json.dumps(card))
    done = run_command("predict", str(model), str(next(parts.glob("*/*.jpg"))), code=2)
    assert "witness" in done.stderr


def test_an_earlier_run_is_kept(parts, run, tmp_path):
    run_command("fit", str(parts), "--into", str(run), "--quiet")
    assert (tmp_path / "run.previous" / "result.json").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("not a run")
    assert "not a run" in run_command("fit", str(parts), "--into", str(tmp_path / "mine"), code=2).stderr


def test_few_examples_are_judged_by_cross_validation(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((24, 5)).astype(np.float32)
    y = np.repeat(["left", "right"], 12)
    x[y == "left", 0] += 4
    outcome = headstart.fit((x, y), into=tmp_path / "run")
    assert outcome.result["task"]["folds"] == 5
    assert outcome.result["metrics"]["accuracy"]["n"] == 24
    assert outcome.result["metrics"]["accuracy"]["value"] > 0.9


def test_numbers_and_tags(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 8)).astype(np.float32)
    price = (50 + 10 * x[:, 0] + rng.standard_normal(300)).astype(float)
    result = headstart.fit((x, price), into=tmp_path / "number").result
    assert result["metrics"]["mae"]["value"] < 1.5 < result["metrics"]["mae"]["chance"]
    tags = [[name for name, column in (("red", 0), ("round", 1)) if row[column] > 0] for row in x]
    result = headstart.fit((x, tags), into=tmp_path / "tags", task="tags").result
    assert result["metrics"]["micro_f1"]["value"] > 0.9


def test_real_photos_on_a_real_backbone(hub, real_data, tmp_path, monkeypatch):
    few = tmp_path / "hymenoptera"
    for part, most in (("train", 40), ("val", 20)):
        for name in ("ants", "bees"):
            (few / part / name).mkdir(parents=True)
            for photo in sorted((real_data / "hymenoptera" / part / name).iterdir())[:most]:
                os.symlink(photo, few / part / name / photo.name)
    first = json.loads(
        run_command("fit", str(few), "--backbone", MOBILENET, "--into", str(tmp_path / "a"), "--json").stdout
    )
    assert first["metrics"]["accuracy"]["value"] >= 0.9
    assert first["frozen"]["tensors"] > 100  # of the compiled graph, where BatchNorm is folded into its neighbours
    assert first["frozen"]["moved"] == 0
    second = json.loads(
        run_command("fit", str(few), "--backbone", MOBILENET, "--into", str(tmp_path / "b"), "--json").stdout
    )
    assert second["cache"]["misses"] == 0
    assert second["metrics"] == first["metrics"]
    photo = next((few / "val" / "bees").iterdir())
    answer = json.loads(run_command("predict", str(tmp_path / "a"), str(photo), "--json").stdout)["predictions"][0]
    assert answer["label"] == "bees"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    assert "hf download" in run_command("predict", str(tmp_path / "a"), str(photo), code=2).stderr
