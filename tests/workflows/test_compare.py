"""Methods side by side on one split: the table says what the runs say, and nothing is run twice."""

import errno
import json
import sys

import numpy as np
import pytest

import headstart
from headstart.cli import app, summaries
from headstart.core.errors import DiskError, NameNotFound, PlanError, SourceError, Stopped
from headstart.core.folder_lock import FolderLock
from headstart.data.demo.photos import write_photos
from headstart.workflows import compare
from headstart.workflows import fit as workflow
from tests.support.browser import TEXT_CLASHES

HEADS = ("probe", "knn", "centroid", "mlp")


@pytest.fixture(scope="module")
def compared_photos(tmp_path_factory):
    """A comparison of light heads on rendered photos; finetune cannot be had on the floor backbone."""
    folder = tmp_path_factory.mktemp("compare")
    source = write_photos(folder / "photos", 90)
    said: list[dict] = []
    found = again(folder, source, said, methods=(*HEADS, "finetune"))
    return folder, source, found, said


def again(folder, source, said, **asked):
    asked = {"methods": HEADS, "into": folder / "out", "backbone": "stats", "seeds": 3, **asked}
    return compare.compare(source, root=folder / "cache", echo=said.append, **asked)


def made(said):
    return [line["run"] for line in said if line["event"] == "run"]


def test_the_table_says_what_the_runs_say(compared_photos):
    folder, _, found, said = compared_photos
    facts = json.loads((folder / "out" / "compare.json").read_text())
    assert [r["method"] for r in facts["methods"]] == [*HEADS, "finetune"]
    for entry in facts["methods"][:4]:
        results = [json.loads((folder / "out" / run / "result.json").read_text()) for run in entry["runs"]]
        assert entry["runs"] == [f"{entry['method']}-{n}" for n in range(3)]
        assert entry["mean"] == pytest.approx(np.mean([r["metrics"]["accuracy"]["value"] for r in results]))
        assert entry["seconds"]["fit"] == np.median([r["seconds"]["fit"] for r in results])
        assert {k: entry[k] for k in ("params", "bytes", "metrics", "plan")} == {
            k: results[0][k] for k in ("params", "bytes", "metrics", "plan")
        }
        assert entry["labels"] == results[0]["task"]["n"]["train"] + results[0]["task"]["n"]["val"]
        assert entry["drift"] == 0 and entry["forgetting"] is None, "a head on frozen features moves nothing"
        assert [r["plan"]["repeat"] for r in results] == [0, 1, 2]
    assert "no network" in facts["methods"][4]["error"]
    assert facts["verdict"] == found.facts["verdict"] and facts["base"] == "probe"
    assert sum(line["event"] == "task" for line in said) == 1, "what the data are is said once"


def test_what_was_done_is_not_done_again(compared_photos):
    folder, source, _, _ = compared_photos
    for change, expected in (({}, 0), ({"seeds": 2}, 0), ({"methods": ["knn", "ridge"]}, 3), ({"seed": 1}, 12)):
        said: list[dict] = []
        found = again(folder, source, said, **change)
        assert len(made(said)) == expected, f"{change}: asked again what was answered, or did not ask what is new"
        runs = sum(r["seeds"] for r in found.facts["methods"])
        assert sum(r["reused"] for r in found.facts["methods"]) == runs - expected
    again(folder, source, [], methods=(*HEADS, "finetune"))  # as the other tests expect it


def test_other_labels_are_another_question(tmp_path):
    source = write_photos(tmp_path / "photos", 60)
    again(tmp_path, source, [], methods=["knn"], seeds=1)
    first, second = sorted(p for p in source.iterdir() if p.is_dir())[:2]
    moved = sorted(first.iterdir())[0]
    moved.rename(second / f"moved-{moved.name}")
    said: list[dict] = []
    again(tmp_path, source, said, methods=["knn"], seeds=1)
    assert made(said) == ["knn-0"]


def test_an_interrupted_comparison_goes_on(tmp_path):
    source = write_photos(tmp_path / "photos", 60)

    def stop(line):
        if line == {"event": "run", "run": "knn-1"}:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare.compare(
            source, methods=["probe", "knn"], into=tmp_path / "out", backbone="stats", seeds=2,
            root=tmp_path / "cache", echo=stop,
        )  # fmt: skip
    said: list[dict] = []
    again(tmp_path, source, said, methods=["probe", "knn"], seeds=2)
    assert made(said) == ["knn-1"]


def test_a_method_that_a_guard_stopped_does_not_stop_the_others(tmp_path, monkeypatch):
    source, fit_with = write_photos(tmp_path / "photos", 60), workflow.fit_with

    def guarded(source, data, borrow, learn, training, output):
        if learn.method == "knn":
            raise Stopped("[rate] the loss grew")
        return fit_with(source, data, borrow, learn, training, output)

    monkeypatch.setattr(workflow, "fit_with", guarded)
    rows = again(tmp_path, source, [], methods=["knn", "probe"], seeds=1).facts["methods"]
    assert [r["error"] for r in rows] == ["[rate] the loss grew", ""]
    with pytest.raises(Stopped):
        again(tmp_path, source, [], methods=["knn"], seeds=1)


def test_claims_are_symmetric(compared_photos):
    pairs = compared_photos[2].facts["pairs"]
    told = {(p["a"], p["b"]): p for p in pairs}
    assert set(told) == {(a, b) for a in HEADS for b in HEADS if a != b}
    opposite = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    for (a, b), pair in told.items():
        turned = told[b, a]
        assert turned["verdict"] == opposite[pair["verdict"]] and turned["p_holm"] == pair["p_holm"] >= pair["p"]
        assert (turned["difference"], turned["low"]) == (-pair["difference"], -pair["high"])
        assert pair["low"] <= pair["difference"] <= pair["high"]


def test_the_page_is_one_file_with_every_method(compared_photos):
    page = (compared_photos[0] / "out" / "compare.html").read_text()
    assert all(f">{method}<" in page for method in HEADS)
    assert all(f'href="{method}-{n}/report.html"' in page for method in HEADS for n in range(3))
    assert "Left out" in page and "finetune" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_in_a_browser_nothing_overflows_or_overlaps(compared_photos, browser, width):
    sheet = browser.new_page(viewport={"width": width, "height": 900})
    sheet.goto((compared_photos[0] / "out" / "compare.html").as_uri())
    sheet.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert sheet.evaluate("document.documentElement.scrollWidth") <= width
    assert sheet.evaluate(TEXT_CLASHES) == []
    sheet.close()


def test_the_terminal_shows_every_figure_in_100_columns(compared_photos):
    text = summaries.comparison_summary(compared_photos[2].facts)
    assert max(map(len, text.splitlines())) <= 100
    for r in compared_photos[2].facts["methods"][:4]:
        assert f"{100 * r['mean']:.1f} %" in text and f"{r['params']['trained']:,}" in text and r["best_for"] in text
    assert "finetune was left out" in text


def test_methods_may_be_named_in_one_word_as_on_the_command_line():
    assert compare._check_methods("probe, knn") == ["probe", "knn"]


def test_an_unknown_method_is_refused_at_once(tmp_path):
    with pytest.raises(NameNotFound, match="finetune"):
        compare.compare(tmp_path, methods=["finetun"], into=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_no_method_can_be_had_the_reason_is_raised(tmp_path):
    source = write_photos(tmp_path / "photos", 60)
    for asked, about in (({"methods": ["finetune"]}, "no network"), ({"budget": "fast"}, "--budget fast")):
        with pytest.raises(PlanError, match=about):
            again(tmp_path, source, [], **asked)


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("notes")
    with pytest.raises(SourceError, match="holds no comparison"):
        compare.compare(write_photos(tmp_path / "photos", 60), methods=["probe"], into=tmp_path, backbone="stats")


def test_the_command(tmp_path, monkeypatch, capsys):
    source = write_photos(tmp_path / "photos", 60)
    words = ["headstart", "compare", str(source), "--backbone", "stats", "--seeds", "1", "-q", "--json"]
    for methods, code in (("probe,knn", 0), ("probe,kn", 2)):
        monkeypatch.setattr(sys, "argv", [*words, "--methods", methods, "--into", str(tmp_path / "out")])
        assert app.run() == code
        said = json.loads(capsys.readouterr().out)
        if code:
            assert "'knn'" in said["error"], "the nearest spelling"
        else:
            assert {"methods", "pairs", "verdict", "folder"} <= said.keys()
            assert said["command"].endswith(f"--into {tmp_path / 'out'}")


def test_vectors_and_numbers_are_compared_too(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8)).astype(np.float32)
    y = x[:, 0] * 3 + rng.normal(size=200)
    facts = headstart.compare(
        (x, y), methods=["knn", "probe"], into=tmp_path / "out", seeds=1, root=tmp_path / "c"
    ).facts  # fmt: skip
    pair = next(p for p in facts["pairs"] if p["a"] == "probe")
    means = {r["method"]: r["mean"] for r in facts["methods"]}
    assert facts["methods"][0]["metric"] == "mae" and pair["measure"] == "minus absolute error"
    assert pair["difference"] == pytest.approx(means["knn"] - means["probe"], rel=1e-3), "the gain is that of the table"
    assert pair["verdict"] == "better" and facts["verdict"].startswith("The plain probe scored best")


def test_the_line_that_repeats_a_comparison_repeats_it(compared_photos, monkeypatch, capsys):
    import shlex

    folder, _, found, _ = compared_photos
    words = shlex.split(found.facts["command"])
    assert words[words.index("--seed") + 1] == "0"
    monkeypatch.setenv("HEADSTART_CACHE", str(folder / "cache"))
    monkeypatch.setattr(sys, "argv", [*words, "-q", "--json"])
    assert app.run() == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pairs"] == found.facts["pairs"] and all(r["reused"] == 3 for r in facts["methods"] if not r["error"])


def flip(raw: bytes) -> bytes:
    at = raw.index(b'"value": 0.') + len(b'"value": 0.')
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


DAMAGES = {
    ("result.json", "a flipped digit"): flip,
    ("result.json", "a list"): lambda raw: b"[]",
    ("result.json", "deep"): lambda raw: b"[" * 100_000,
    ("result.json", "cut"): lambda raw: raw[:100],
    ("predictions.csv", "not UTF-8"): lambda raw: b"\xff" + raw,
    ("predictions.csv", "cut"): lambda raw: raw[:-3],
    ("predictions.csv", "empty"): lambda raw: b"",
    ("asked.json", "a list"): lambda raw: b"[]",
    ("asked.json", "not UTF-8"): lambda raw: b"\xff\xfe",
}


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_run_is_made_again(name, damage, compared_photos):
    folder, source, found, _ = compared_photos
    file, said = folder / "out" / "knn-1" / name, []
    file.write_bytes(DAMAGES[name, damage](file.read_bytes()))
    facts = again(folder, source, said, methods=(*HEADS, "finetune")).facts
    assert made(said) == ["knn-1", "finetune-0"], "and what could not be had is asked for again"
    assert facts["pairs"] == found.facts["pairs"]


def test_a_folder_holds_one_comparison_at_a_time(compared_photos):
    folder, source, _, _ = compared_photos
    with FolderLock(folder / "out"), pytest.raises(SourceError, match="in use by process"):
        again(folder, source, [])


def test_a_full_disk_ends_a_comparison_and_is_no_methods_fault(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    source = write_photos(tmp_path / "photos", 60)
    monkeypatch.setattr(compare.workflow, "fit_with", refuse)
    with pytest.raises(DiskError, match="somewhere: No space left on device"):
        again(tmp_path, source, [], methods=["knn", "probe"], seeds=1)
