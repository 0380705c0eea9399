"""What an earlier commit wrote still works: models answer, runs are reported, comparisons go on, caches do no harm.

What the folders are and how they were made: golden/README.md.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.features.cache import maintenance

GOLDEN = Path(__file__).with_name("golden")
RUNS = sorted(folder.name for folder in (GOLDEN / "runs").iterdir())
PHOTOS, TEXTS = "own:backbones/photos", "own:backbones/texts"
CACHED = [line.split() for line in (GOLDEN / "cached.txt").read_text(encoding="utf-8").splitlines()[1:]]
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks as small as these only lose time to threads, a lot of it on a busy machine."""
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def golden(tmp_path, monkeypatch) -> Path:
    """A copy of the old folders to work in: models name their backbone, and comparisons their data, from there on."""
    shutil.copytree(GOLDEN, tmp_path / "golden", ignore=shutil.ignore_patterns("*.py", "*.md"))
    monkeypatch.chdir(tmp_path / "golden")
    return tmp_path / "golden"


def read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def trains(run: str) -> bool:
    """Whether a run's model holds more of a network than a head, so that torch opens it."""
    card = read(GOLDEN / "runs" / run / "model" / "card.json")
    return card["cut"] < len(card["backbone"]["blocks"])


@pytest.mark.parametrize("run", RUNS)
def test_an_old_model_answers_as_it_did(run, golden):
    if trains(run):
        pytest.importorskip("torch")
    expected = read(golden / "runs" / run / "expected.json")
    inputs = expected["inputs"]
    base = read(golden / "runs" / run / "model" / "card.json")["backbone"]["name"]
    answers = headstart.predict(
        golden / "runs" / run, inputs if isinstance(inputs[0], str) else np.array(inputs, np.float32), base=base
    )
    for answer, old in zip(answers, expected["answers"], strict=True):
        number = isinstance(old["label"], float)
        assert answer.error == old["error"] == ""
        assert answer.label == (pytest.approx(old["label"], rel=1e-5) if number else old["label"])
        assert answer.confidence == (None if number else pytest.approx(old["confidence"], abs=1e-5))
        assert answer.probabilities == (None if number else pytest.approx(old["probabilities"], abs=1e-5))


def test_an_old_model_answers_without_its_run(golden):
    shutil.move(golden / "runs" / "probe-texts" / "model", golden / "alone")
    expected = read(golden / "runs" / "probe-texts" / "expected.json")
    answers = headstart.predict(golden / "alone", expected["inputs"])
    assert [a.label for a in answers] == [old["label"] for old in expected["answers"]]
    assert all(file.stat().st_size for file in headstart.card(golden / "alone"))


@pytest.mark.parametrize("run", RUNS)
def test_an_old_run_is_reported_with_every_plot(run, golden):
    folder = golden / "runs" / run
    page = headstart.report(folder)[0].read_text(encoding="utf-8")
    assert page.count("<svg") >= read(folder / "expected.json")["plots"], (
        "a note that a plot is drawn from was not found"
    )
    assert all(file.stat().st_size for file in headstart.card(folder))


def test_an_old_comparison_goes_on_and_runs_nothing_again(golden):
    old = read(golden / "compared" / "compare.json")
    if headstart.__version__ != old["version"]:
        pytest.skip("another version of Headstart is another question")
    kept = {file: file.read_bytes() for file in (golden / "compared").glob("*/*")}
    methods = [row["method"] for row in old["methods"]]
    asked = {"methods": methods, "into": "compared", "backbone": PHOTOS, "seeds": 1, "budget": "quick"}
    rows = headstart.compare("photos", **asked).facts["methods"]
    assert {file: file.read_bytes() for file in (golden / "compared").glob("*/*")} == kept
    assert [(r["method"], r["mean"], r["reused"]) for r in rows] == [
        (r["method"], r["mean"], 1) for r in old["methods"]
    ]
    assert (golden / "compared" / "compare.html").read_text(encoding="utf-8").count("<svg") >= 6


@pytest.mark.parametrize(("data", "test", "backbone", "method"), CACHED)
def test_an_old_cache_does_no_harm(data, test, backbone, method, golden, tmp_path):
    if method == "bias":
        pytest.importorskip("torch")
    old = {file: file.read_bytes() for file in (golden / "cache").rglob("*.seg")}
    asked = {"backbone": backbone, "method": method, "budget": "quick"}
    results = [
        headstart.fit(data, test=test, into=tmp_path / cache.name, root=cache, **asked).result
        for cache in (tmp_path / "new", golden / "cache")
    ]
    assert results[1]["cache"] == {"hits": 0, "misses": sum(results[1]["task"]["n"].values())}
    assert results[0]["metrics"] == results[1]["metrics"]
    assert {file: file.read_bytes() for file in old} == old


def test_an_old_cache_is_listed_verified_and_cleared(golden):
    root = golden / "cache"
    names = {read(file)["backbone"] for file in root.glob("features/*/shelf.json")}
    assert {item.backbone for item in maintenance.list_items(root)} == names
    assert maintenance.verify(root) == []
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    assert maintenance.clear(root) == size


@pytest.mark.parametrize(("data", "backbone"), [("photos", PHOTOS), ("texts", TEXTS)])
def test_an_old_backbone_opens(data, backbone, golden, tmp_path):
    pytest.importorskip("torch")
    card = read(golden / backbone.removeprefix("own:") / "backbone" / "card.json")
    said: list[dict] = []
    result = headstart.fit(data, into=tmp_path / "run", backbone=backbone, echo=said.append).result
    assert result["backbone"]["weights"] == card["backbone"]["weights"]
    assert result["cache"]["misses"] > 0 and [line for line in said if line["event"] == "opening"]
    assert result["frozen"]["tensors"] > 0 and result["frozen"]["moved"] == 0
