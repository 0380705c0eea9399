"""The exported page in a real browser, opened from disk: its answers are Python's, and what it learns is taken back."""

import base64
import io
import json
import shutil
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from PIL import Image
from test_report_browser import CHROMIUM, QUIET

from headstart.backbones import wordpiece
from headstart.cli import web as web_verbs
from headstart.core.errors import ArtifactError, PlanError
from headstart.core.features import Features
from headstart.data.objectives.classes import Classes
from headstart.deployment import predict, zip_model
from headstart.deployment.export import onnxruntime_web
from headstart.deployment.export.calibration_inputs import witnesses
from headstart.deployment.export.formats import web
from headstart.deployment.export.parity import ours
from headstart.deployment.model_folder import load
from headstart.features.cache import store
from headstart.features.preprocess.image import _fitted
from headstart.training.heads import cross_validation
from headstart.training.methods import logistic
from headstart.workflows import fit

KEPT = onnxruntime_web.folder(
    store.default_root()
)  # where `headstart runtime web` has put it; each test has another cache
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
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
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=[*QUIET, *CAMERA])
        yield started
        started.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A cache of this file's own, with the runtime where it was fetched, and the shared weights."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("web")
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        patch.setenv("HF_HOME", str(SHARED / "hub"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        if KEPT.is_dir():
            shutil.copytree(KEPT, onnxruntime_web.folder(root / "cache"))
        yield root


def exported(place: Path, run: Path) -> Path:
    model, running = load(run, place / "cache")
    (place / f"page-{run.name}").mkdir()
    written = web.write(model, running, place / f"page-{run.name}", web.Settings())
    contents = witnesses(model)
    assert np.abs(written.answer(contents).probabilities - ours(model, running, contents).probabilities).max() < 1e-3
    return place / f"page-{run.name}"


@pytest.fixture(scope="module")
def texts(place) -> tuple[Path, Path]:
    """(run, page) of a probe on our own static vectors."""
    some = [(f"{text} {n}", label) for label, lines in TEXTS.items() for n in range(6) for text in lines]
    run = fit.fit(([t for t, _ in some], [label for _, label in some]), into=place / "texts").folder
    return run, exported(place, run)


@pytest.fixture(scope="module")
def photos(place) -> tuple[Path, Path]:
    """(run, page) of a probe of ants and bees on a real MobileNetV2."""
    if not KEPT.is_dir():
        pytest.skip(f"no ONNX Runtime for browsers at {KEPT}: {onnxruntime_web.COMMAND}")
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real data at {SHARED / 'data'}: set HEADSTART_SHARED to the folder that has them")
    backbone = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    run = fit.fit(SHARED / "data" / "hymenoptera", into=place / "photos", backbone=backbone, shots=40).folder
    return run, exported(place, run)


class Sheet:
    """An opened page, and what it said and asked for."""

    def __init__(self, browser, folder: Path, width: int = 1280):
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto((folder / "index.html").as_uri())
        self.page.locator("body.ready").wait_for(timeout=60_000)

    def until(self, script: str, seconds: float = 30):
        """Once a script gives something true. Playwright's own waiting is forbidden by the page's policy."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.page.evaluate(script):
                return found
            time.sleep(0.05)
        raise AssertionError(f"{script} was not so within {seconds} s; the page says {self.page.inner_text('main')}")

    def answers(self, content: bytes | str) -> dict:
        """{"own", "taught"}: shares by name of what came with the page, and of what it learned; or {"error"}."""
        given = [base64.b64encode(content).decode(), True] if isinstance(content, bytes) else [content, False]
        return self.page.evaluate(
            """async ([text, bytes]) => {
                const input = bytes ? Uint8Array.from(atob(text), (c) => c.charCodeAt(0)) : text;
                try {
                    const found = await Model.embed(await Model.prepare(input)), own = Model.own(found);
                    const state = Teach.state(), said = { own: Object.fromEntries(own.shares) };
                    if (state) {
                        const told = Model.told(Head.scores(state.head, found.row), state.names, "softmax");
                        said.taught = Object.fromEntries(told.shares);
                    }
                    return said;
                } catch (error) { return { error: error.message }; }
            }""",
            given,
        )

    def download(self, into: Path) -> Path:
        with self.page.expect_download() as waiting:
            self.page.click("#download")
        waiting.value.save_as(into / waiting.value.suggested_filename)
        return into / waiting.value.suggested_filename

    def close(self):
        """Nothing was said, nothing came from elsewhere."""
        assert self.said == []
        assert [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))] == []
        self.page.close()


def same(said: dict, answer) -> float:
    """The largest difference of a probability; labels are equal."""
    assert max(said, key=said.get) == answer.label
    return max(abs(p - answer.probabilities[name]) for name, p in said.items())


def test_texts_are_answered_as_in_python_also_odd_ones(texts, browser):
    run, page = texts
    sheet = Sheet(browser, page)
    assert sheet.page.inner_text("#verdict").startswith("Yes: 12 of 12")
    for text, answer in zip(ASKED, predict.predict(run, ASKED), strict=True):
        assert same(sheet.answers(text)["own"], answer) < 1e-4
    assert sheet.answers(" \n") == {"error": "the text is empty"}
    sheet.page.fill("#words", "Please refund my order 2")
    sheet.until("!document.getElementById('answer').hidden")
    assert sheet.page.inner_text("#said bdi") == "refund"
    assert "refund, " in sheet.page.inner_text("#heard")
    sheet.close()


@pytest.mark.parametrize("task", ["tags", "number"])
def test_tags_and_numbers_are_answered_as_in_python(place, browser, task):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice("cheap old red big fast slow".split(), 4)) for _ in range(120)]
    tags = [[word for word in ("red", "big") if word in text] for text in texts]
    labels = tags if task == "tags" else [float(len(some) + rng.normal() / 9) for some in tags]
    run = fit.fit((texts, labels), into=place / task, task=task).folder
    sheet = Sheet(browser, exported(place, run))
    assert sheet.page.inner_text("#verdict").startswith("Yes: 12 of 12")
    (answer,) = predict.predict(run, ["a big red car"])
    sheet.page.fill("#words", "a big red car")
    sheet.until("!document.getElementById('answer').hidden")
    said = sheet.page.inner_text("#said bdi")
    assert said == ", ".join(answer.label) if task == "tags" else float(said) == pytest.approx(answer.label, rel=1e-3)
    sheet.close()


def test_texts_are_taught_in_the_page_and_predict_takes_the_download(texts, browser, tmp_path, place):
    sheet = Sheet(browser, texts[1], width=390)
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
    assert card["method"] == "logistic" and card["objective"]["names"] == ["parcel", "refund"]
    assert card["summary"]["accuracy"]["n"] == 8
    for text, answer in zip(ASKED, predict.predict(file, ASKED), strict=True):
        assert same(sheet.answers(text)["taught"], answer) < 1e-4
    folder = zip_model.unpack(file, tmp_path / "unpacked")
    assert [a.label for a in predict.predict(folder, ["refund me"])] == ["refund"]
    sheet.close()


def test_the_head_in_the_page_is_the_head_in_python(texts, browser, monkeypatch):
    sheet = Sheet(browser, texts[1])
    rng = np.random.default_rng(0)
    for n, d, width, apart in [(40, 20, 2, 0.3), (90, 200, 3, 0.15), (120, 30, 4, 0.3), (60, 100, 5, 0.1)]:
        y = np.arange(n) % min(width, 4)  # of five classes one has no example
        x = (rng.normal(size=(width, d))[y] * apart + rng.normal(size=(n, d)) * rng.gamma(1, 1, d) + 5).astype(
            np.float32
        )
        x[:, 3] = 2.5
        data = Features(x, y, tuple(map(str, range(n))), ())
        fold = rng.permutation(n) % 5
        monkeypatch.setattr(cross_validation, "deal", lambda *given, fold=fold: fold)
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


def test_folds_keep_recordings_whole_and_classes_in_proportion(texts, browser):
    sheet = Sheet(browser, texts[1])
    truth = [0] * 10 + [1] * 10
    fold = sheet.page.evaluate("(y) => Folds.deal(y, y.map(() => ''), 5, 1)", truth)
    assert all(sorted(fold[a:b]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] for a, b in ((0, 10), (10, 20)))
    takes = [f"t{i // 5}" for i in range(20)]
    fold = sheet.page.evaluate("([y, g]) => Folds.deal(y, g, 5, 1)", [truth, takes])
    assert all(len(set(fold[i : i + 5])) == 1 for i in range(0, 20, 5)) and fold[0] != fold[5] and fold[10] != fold[15]
    sheet.close()


def test_tokens_are_those_of_python(texts, browser):
    sheet = Sheet(browser, texts[1])
    lines = (Path(web.__file__).parents[1] / "weights" / "text-static" / "vocab.txt").read_text(encoding="utf-8")
    pieces = wordpiece.of(lines)
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
def test_resizing_is_that_of_pillow_to_the_last_bit(texts, browser, mode):
    sheet = Sheet(browser, texts[1])
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
            assert zlib.crc32(np.asarray(_fitted(Image.fromarray(x), facts)).tobytes()) == theirs, (size, facts)
    sheet.close()


def odd_photos() -> dict[str, bytes]:
    """Files that browsers and Pillow could read otherwise."""
    rng = np.random.default_rng(0)
    plain = Image.fromarray(rng.integers(0, 256, (14, 20, 3), dtype=np.uint8)).resize(
        (301, 203), Image.Resampling.BICUBIC
    )
    large = np.asarray(plain.resize((1601, 1203), Image.Resampling.BICUBIC)) + rng.normal(0, 4, (1203, 1601, 3))
    large = Image.fromarray(large.clip(0, 255).astype(np.uint8))
    alpha = plain.copy()
    alpha.putalpha(Image.fromarray(rng.integers(0, 256, (203, 301), dtype=np.uint8)))
    kinds = {
        **{f"turned{n}": (plain, {"format": "JPEG", "exif": turned(n)}) for n in (3, 5, 6, 8)},
        "turned.webp": (plain, {"format": "WEBP", "exif": turned(6), "quality": 90}),
        "turned.png": (plain, {"format": "PNG", "exif": turned(7)}),
        "gray": (plain.convert("L"), {"format": "JPEG"}),
        "bits": (plain.convert("1"), {"format": "PNG"}),
        "palette": (plain.quantize(32), {"format": "PNG"}),
        "palette with a hole": (plain.quantize(32), {"format": "PNG", "transparency": 3}),
        "alpha": (alpha, {"format": "PNG"}),
        "alpha.webp": (alpha, {"format": "WEBP", "lossless": True}),
        "cmyk": (plain.convert("CMYK"), {"format": "JPEG", "quality": 90}),
        "progressive": (plain, {"format": "JPEG", "progressive": True, "subsampling": 1}),
        "one row": (plain.resize((200, 1)), {"format": "PNG"}),
        "one column": (plain.resize((1, 150)), {"format": "JPEG"}),
        "gif": (plain, {"format": "GIF"}),
        "bmp": (plain, {"format": "BMP"}),
        "avif": (plain, {"format": "AVIF", "quality": 90}),
        **{f"turned large{n}": (large, {"format": "JPEG", "exif": turned(n), "quality": 90}) for n in (1, 2, 5, 8)},
        **{f"large{n}": (large, {"format": "JPEG", "subsampling": n}) for n in (0, 1)},
        "large gray": (large.convert("L"), {"format": "JPEG"}),
        "12 megapixels": (large.resize((4000, 3000), Image.Resampling.BICUBIC), {"format": "JPEG", "quality": 85}),
    }
    found = {}
    for name, (picture, how) in kinds.items():
        buffer = io.BytesIO()
        picture.save(buffer, **how)
        found[name] = buffer.getvalue()
    return found


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_photos_are_answered_as_in_python_also_odd_ones(photos, browser):
    run, page = photos
    sheet = Sheet(browser, page)
    assert sheet.page.inner_text("#verdict").startswith("Yes: 12 of 12 answers are Python's")
    held = sorted((SHARED / "data" / "hymenoptera" / "val").glob("*/*.jpg"))[::30]
    odd = {**{f.name: f.read_bytes() for f in held}, **odd_photos()}
    for name, answer in zip(odd, predict.predict(run, list(odd.values())), strict=True):
        assert same(sheet.answers(odd[name])["own"], answer) < 1e-3, name
    for name, refused in {
        "TIFF": b"II*\0....",
        "HEIC": b"\0\0\0\x18ftypheic",
        "PDF": b"%PDF-1.4",
        "0 bytes": b"",
    }.items():
        assert name in sheet.answers(refused)["error"]
    assert "ends early" in sheet.answers(odd["gray"][:900])["error"]
    sheet.page.set_input_files("#files", [str(f) for f in held[:2]])
    sheet.until("document.querySelectorAll('#strip li').length === 2")
    sheet.close()


def test_photos_are_taught_in_the_page_and_predict_takes_the_download(photos, browser, tmp_path):
    sheet, data = Sheet(browser, photos[1], width=390), SHARED / "data" / "neu_defects"
    for n, name in enumerate(("scratches", "crazing")):
        sheet.page.locator(".class .head input").nth(n).fill(name)
        files = sorted((data / "train" / name).glob("*"))[:8]
        sheet.page.locator(".class input[type=file]").nth(n).set_input_files([str(f) for f in files])
    sheet.until("Teach.state()?.all.length === 16 && Teach.state().judged")
    assert sheet.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert sheet.page.locator("[name=which][value=taught]").is_checked()
    file = sheet.download(tmp_path)
    asked = [sorted((data / "test" / name).glob("*"))[0] for name in ("scratches", "crazing")]
    for photo, answer in zip(asked, predict.predict(file, asked), strict=True):
        assert same(sheet.answers(photo.read_bytes())["taught"], answer) < 1e-3
        assert answer.label == photo.parent.name
    sheet.close()


def test_the_camera_is_asked_frame_by_frame_and_records_examples(photos, browser):
    sheet = Sheet(browser, photos[1])
    sheet.page.click("#camera")
    sheet.until("!document.getElementById('answer').hidden")
    sheet.page.click("#camera")
    record = sheet.page.locator(".class >> nth=0").get_by_role("button", name="Record")
    record.click()
    sheet.until("Teach.classes[0].examples.length >= 3")
    sheet.page.get_by_role("button", name="Stop recording").click()
    assert "Two are the least" in sheet.until("document.getElementById('learned').textContent")
    sheet.close()


def test_everything_that_can_be_pressed_has_a_name(texts, browser):
    sheet = Sheet(browser, texts[1])
    nameless = """[...document.querySelectorAll("button, input, textarea, summary, [role=region]")].filter((node) =>
        !(node.ariaLabel || node.textContent.trim() || [...(node.labels || [])].some((l) => l.textContent.trim())))
        .map((node) => node.outerHTML)"""
    assert sheet.page.evaluate(nameless) == []
    sheet.close()


def test_the_page_forbids_itself_to_send_anything(texts, browser):
    sheet = Sheet(browser, texts[1])
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


def test_the_runtime_is_kept_only_when_it_is_the_pinned_one(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime_web.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"another package"))
    with pytest.raises(ArtifactError, match=r"is not onnxruntime-web .* Nothing was kept"):
        onnxruntime_web.fetch(tmp_path, "https://registry.example")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.tgz").write_bytes(b"another package")
    with pytest.raises(ArtifactError, match=r"x.tgz is not onnxruntime-web .* Nothing was kept"):
        onnxruntime_web.take(tmp_path, tmp_path / "x.tgz")
    assert [p.name for p in tmp_path.iterdir()] == ["x.tgz"] and not onnxruntime_web.kept(tmp_path)
    with pytest.raises(ArtifactError, match="no address of a registry"):
        onnxruntime_web.fetch(tmp_path, "file:///etc")


def test_no_registry_is_assumed_where_nobody_names_one(monkeypatch):
    monkeypatch.setenv("npm_config_registry", "https://registry.example")
    assert web_verbs.registry() == "https://registry.example"
    monkeypatch.delenv("npm_config_registry")
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    monkeypatch.setattr(web_verbs.shutil, "which", lambda name: None)
    with pytest.raises(ArtifactError, match=r"npm_config_registry=https://.* --from FILE.tgz"):
        web_verbs.registry()


def zipped(names: dict[str, bytes], file: Path) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file


GOOD = {"card.json": b"{}", "delta.safetensors": b"", "witness.npz": b""}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({**GOOD, "../escaped.json": b""}, "no file of a model"),
        ({**GOOD, "/etc/passwd": b""}, "no file of a model"),
        ({**GOOD, "peft/adapter.pickle": b""}, "no file of a model"),
        ({"card.json": b"{}", "witness.npz": b""}, "holds no delta.safetensors"),
        ({**GOOD, "card.json": b" " * (17 << 20)}, "more than 16 MB"),
    ],
)
def test_a_zip_file_that_is_no_model_is_refused_and_nothing_is_written(names, said, tmp_path):
    file = zipped(names, tmp_path / "odd.zip")
    with pytest.raises(ArtifactError, match=said):
        zip_model.unpack(file, tmp_path / "into")
    assert [p.name for p in tmp_path.iterdir()] == ["odd.zip"]


def test_what_is_no_zip_file_is_refused(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(ArtifactError, match="no ZIP file"):
        predict.predict(tmp_path / "model.zip", ["a"])
