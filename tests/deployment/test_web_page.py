"""The exported page for texts, opened from disk in a browser: it answers as Python does, learns, and is taken back."""

import base64
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.backbones import wordpiece
from headstart.backbones.providers import own
from headstart.core.errors import ArtifactError, PlanError
from headstart.core.features import Features
from headstart.data.objectives.classes import Classes
from headstart.deployment import predict, zip_model
from headstart.deployment.card_file import SCHEMA
from headstart.deployment.export import onnxruntime_web
from headstart.deployment.export.formats import web
from headstart.deployment.model_folder import load
from headstart.features.cache import store
from headstart.features.preprocess.image import _resize_and_crop
from headstart.training.heads import cross_validation
from headstart.training.methods import logistic
from headstart.workflows import fit
from tests.support.web_page import OpenedPage, export_page, probability_difference

TEXTS = {
    "parcel": ["Where is my parcel?", "My package has not arrived", "It is late by a week", "When will you ship it?"],
    "refund": ["I want my money back", "Please refund my order", "I was charged twice", "Pay me back what I paid"],
}


ASKED = [
    "give me my money",
    "Wo ist mein Päckchen? [MASK] 東京 ﬁn",
    "x",
    "many words " * 3000,
    "\t a\x0bb \u200b\u0130",
]


@pytest.fixture(scope="module")
def text_page(web_root) -> tuple[Path, Path]:
    """(run, page) of a probe on our own static vectors."""
    some = [(f"{text} {n}", label) for label, lines in TEXTS.items() for n in range(6) for text in lines]
    run = fit.fit(([t for t, _ in some], [label for _, label in some]), into=web_root / "texts").folder
    return run, export_page(web_root, run)


def test_texts_are_answered_as_in_python_also_odd_ones(text_page, browser):
    run, page = text_page
    sheet = OpenedPage(browser, page)
    assert sheet.page.inner_text("#verdict").startswith("Yes: 12 of 12")
    for text, answer in zip(ASKED, predict.predict(run, ASKED), strict=True):
        assert probability_difference(sheet.answers(text)["own"], answer) < 1e-4
    assert sheet.answers(" \n") == {"error": "the text is empty"}
    sheet.page.fill("#words", "Please refund my order 2")
    sheet.until("!document.getElementById('answer').hidden")
    assert sheet.page.inner_text("#said bdi") == "refund"
    assert "refund, " in sheet.page.inner_text("#heard")
    sheet.close()


@pytest.mark.parametrize("task", ["tags", "number"])
def test_tags_and_numbers_are_answered_as_in_python(web_root, browser, task):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice("cheap old red big fast slow".split(), 4)) for _ in range(120)]
    tags = [[word for word in ("red", "big") if word in text] for text in texts]
    labels = tags if task == "tags" else [float(len(some) + rng.normal() / 9) for some in tags]
    run = fit.fit((texts, labels), into=web_root / task, task=task).folder
    sheet = OpenedPage(browser, export_page(web_root, run))
    assert sheet.page.inner_text("#verdict").startswith("Yes: 12 of 12")
    (answer,) = predict.predict(run, ["a big red car"])
    sheet.page.fill("#words", "a big red car")
    sheet.until("!document.getElementById('answer').hidden")
    said = sheet.page.inner_text("#said bdi")
    assert said == ", ".join(answer.label) if task == "tags" else float(said) == pytest.approx(answer.label, rel=1e-3)
    sheet.close()


def test_texts_are_taught_in_the_page_and_predict_takes_the_download(text_page, browser, tmp_path, web_root):
    sheet = OpenedPage(browser, text_page[1], width=390)
    for n, (name, lines) in enumerate(TEXTS.items()):
        card = sheet.page.locator(".class").nth(n)
        card.locator(".head input").fill(name)
        card.locator("textarea").fill("\n".join([*lines, lines[0]]))
        card.get_by_role("button", name="Add", exact=True).click()
    sheet.until("Teach.state()?.judged")
    assert "8 examples of 2 classes" in sheet.page.inner_text("#learned")
    assert "is already an example of parcel" in sheet.page.inner_text(".class .trouble >> nth=0")
    assert sheet.page.evaluate("document.documentElement.scrollWidth") <= 390
    file = sheet.download(tmp_path)
    assert file.name == "parcel-refund.zip"
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["card.json", "delta.safetensors", "witness.npz"]
        card = json.loads(archive.read("card.json"))
    assert card["schema"] == SCHEMA and card["digest"].startswith("sha256:")
    assert card["method"] == "logistic" and card["objective"]["names"] == ["parcel", "refund"]
    assert card["summary"]["accuracy"]["n"] == 8
    for text, answer in zip(ASKED, predict.predict(file, ASKED), strict=True):
        assert probability_difference(sheet.answers(text)["taught"], answer) < 1e-4
    folder = zip_model.unpack(file, tmp_path / "unpacked")
    assert [a.label for a in predict.predict(folder, ["refund me"])] == ["refund"]
    sheet.close()


def test_the_head_in_the_page_is_the_head_in_python(text_page, browser, monkeypatch):
    sheet = OpenedPage(browser, text_page[1])
    rng = np.random.default_rng(0)
    for n, d, width, apart in [(40, 20, 2, 0.3), (90, 200, 3, 0.15), (120, 30, 4, 0.3), (60, 100, 5, 0.1)]:
        y = np.arange(n) % min(width, 4)  # of five classes one has no example
        x = (rng.normal(size=(width, d))[y] * apart + rng.normal(size=(n, d)) * rng.gamma(1, 1, d) + 5).astype(
            np.float32
        )
        x[:, 3] = 2.5
        data = Features(x, y, tuple(map(str, range(n))), ())
        fold = rng.permutation(n) % 5
        monkeypatch.setattr(cross_validation, "assign_folds", lambda *given, fold=fold: fold)
        objective = Classes(tuple(map(str, range(width))))
        mine = logistic.Settings().fit(data, data.rows(np.zeros(0, np.int64)), objective, above=None, rng=rng)
        given = [x.tolist(), y.tolist(), width, fold.tolist()]
        theirs, strength, temperature = sheet.page.evaluate(
            """([x, y, width, fold]) => {
                const rows = x.map((row) => Float32Array.from(row)), head = Head.train(rows, y, width, fold);
                return [rows.map((row) => Array.from(Head.scores(head, row))), head.strength, head.temperature];
            }""",
            given,
        )
        assert strength == pytest.approx(mine.notes["strength"])
        assert temperature == pytest.approx(mine.notes["temperature"], rel=1e-2)
        mine, theirs = objective.probabilities(mine.scores(x)), objective.probabilities(np.array(theirs))
        assert np.abs(mine - theirs).max() < 1e-3
    sheet.close()


def test_folds_keep_recordings_whole_and_classes_in_proportion(text_page, browser):
    sheet = OpenedPage(browser, text_page[1])
    truth = [0] * 10 + [1] * 10
    fold = sheet.page.evaluate("(y) => Folds.deal(y, y.map(() => ''), 5, 1)", truth)
    assert all(sorted(fold[a:b]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] for a, b in ((0, 10), (10, 20)))
    takes = [f"t{i // 5}" for i in range(20)]
    fold = sheet.page.evaluate("([y, g]) => Folds.deal(y, g, 5, 1)", [truth, takes])
    assert all(len(set(fold[i : i + 5])) == 1 for i in range(0, 20, 5)) and fold[0] != fold[5] and fold[10] != fold[15]
    sheet.close()


def test_tokens_are_those_of_python(text_page, browser):
    sheet = OpenedPage(browser, text_page[1])
    lines = (own.SHIPPED / "text-static" / "vocab.txt").read_text(encoding="utf-8")
    pieces = wordpiece.from_vocabulary(lines)
    codes = [c for c in (*range(1, 0x3000), *range(0x3000, 0x110000, 97)) if not 0xD800 <= c <= 0xDFFF]
    some = [f"a{chr(c)}b {chr(c)}" for c in codes]
    tables = json.dumps(
        {n: getattr(wordpiece, n.upper()) for n in ("dropped", "blank", "alone", "accents", "punctuation")}
    )
    theirs = sheet.page.evaluate(
        """([lines, tables, texts]) => {
            const pieces = WordPiece.of(lines, JSON.parse(tables));
            return texts.map((text) => WordPiece.encode(pieces, text));
        }""",
        [lines, tables, some],
    )
    assert [t for t, ids in zip(some, theirs, strict=True) if pieces.encode(t).tolist() != ids] == []
    sheet.close()


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_resizing_is_that_of_pillow_to_the_last_bit(text_page, browser, mode):
    sheet = OpenedPage(browser, text_page[1])
    rng = np.random.default_rng(0)
    for size in [(341, 256), (200, 1), (1, 150), (500, 333), (128, 300), (3000, 20), (37, 91), (224, 224)]:
        for interpolation, crop, side in [("bicubic", 0.875, [3, 96, 96]), ("bilinear", 1.0, [3, 64, 96])]:
            facts = {"crop_mode": mode, "crop_pct": crop, "input_size": side, "interpolation": interpolation}
            facts["mean"] = [0.485, 0.456, 0.406]
            x = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            theirs = sheet.page.evaluate(
                """([text, width, height, facts]) => {
                    const data = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
                    return Pack.crc32(Pixels.fitted({ width, height, data }, facts));
                }""",
                [base64.b64encode(x.tobytes()).decode(), *size, facts],
            )
            assert zlib.crc32(np.asarray(_resize_and_crop(Image.fromarray(x), facts)).tobytes()) == theirs, (
                size,
                facts,
            )
    sheet.close()


def test_everything_that_can_be_pressed_has_a_name(text_page, browser):
    sheet = OpenedPage(browser, text_page[1])
    nameless = """[...document.querySelectorAll("button, input, textarea, summary, [role=region]")].filter((node) =>
        !(node.ariaLabel || node.textContent.trim() || [...(node.labels || [])].some((l) => l.textContent.trim())))
        .map((node) => node.outerHTML)"""
    assert sheet.page.evaluate(nameless) == []
    sheet.close()


def test_the_page_forbids_itself_to_send_anything(text_page, browser):
    sheet = OpenedPage(browser, text_page[1])
    assert "Failed" in sheet.page.evaluate("fetch('http://127.0.0.1:9/').catch(String)")
    assert any("Content Security Policy" in line and "connect-src" in line for line in sheet.said)
    sheet.page.close()


def test_a_page_without_its_runtime_is_not_written_and_says_what_to_type(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 128)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for n in range(12):
            pixels = rng.integers(low, low + 128, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{n}.png")
    run = fit.fit(tmp_path / "photos", into=tmp_path / "run", backbone="stats").folder
    model, running = load(run, store.default_root())
    with pytest.raises(ArtifactError, match=onnxruntime_web.COMMAND):
        web.write(model, running, tmp_path / "page", web.Settings())


def test_vectors_have_no_page(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    run = fit.fit((x, ["a" if v > 0 else "b" for v in x[:, 0]]), into=tmp_path / "run").folder
    with pytest.raises(PlanError, match="no page"):
        web.write(*load(run, store.default_root()), tmp_path / "page", web.Settings())
