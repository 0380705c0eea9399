"""Methods side by side on one split: the table says what the runs say, nothing is run twice, claims have p-values."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from headstart import comparing, contest
from headstart.cli_compare import add_to
from headstart.demo.photos import photos
from headstart.errors import NameNotFound, SourceError
from headstart.pairing import compared, mcnemar


@pytest.fixture(scope="module")
def compared_photos(tmp_path_factory):
    """A comparison of light heads on rendered photos; finetune cannot be had on the floor backbone."""
    folder = tmp_path_factory.mktemp("compare")
    source = photos(folder / "photos", 90)
    methods = ("probe", "knn", "centroid", "finetune")
    said: list[dict] = []
    found = comparing.compare(
        source, methods=methods, into=folder / "out", backbone="stats", seeds=2, root=folder / "cache", echo=said.append
    )
    return folder, source, methods, found, said


def test_the_table_says_what_the_runs_say(compared_photos):
    folder, _, methods, found, _ = compared_photos
    facts = json.loads((folder / "out" / "compare.json").read_text())
    assert [r["method"] for r in facts["methods"]] == list(methods)
    for entry in facts["methods"][:3]:
        results = [json.loads((folder / "out" / run / "result.json").read_text()) for run in entry["runs"]]
        assert entry["mean"] == pytest.approx(np.mean([r["metrics"]["accuracy"]["value"] for r in results]))
        assert entry["params"] == results[0]["params"] and entry["bytes"] == results[0]["bytes"]
    assert "no network" in facts["methods"][3]["error"]
    assert facts["verdict"] == found.facts["verdict"]


def test_what_was_done_is_not_done_again(compared_photos):
    folder, source, methods, _, _ = compared_photos
    for seed, again in ((0, 0), (1, 6)):
        said: list[dict] = []
        comparing.compare(
            source, methods=methods, into=folder / "out", backbone="stats", seeds=2, seed=seed, root=folder / "cache",
            echo=said.append,
        )  # fmt: skip
        made = [line["run"] for line in said if line["event"] == "run" and not line["run"].startswith("finetune")]
        assert len(made) == again, "a question that was answered was asked again, or a new one was not"


def test_the_page_is_one_file_with_every_method(compared_photos):
    page = (compared_photos[0] / "out" / "compare.html").read_text()
    assert all(f">{method}<" in page for method in ("probe", "knn", "centroid"))
    assert "Left out" in page and "finetune" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_an_unknown_method_is_refused_at_once(tmp_path):
    with pytest.raises(NameNotFound, match="finetune"):
        comparing.compare(tmp_path, methods=["finetun"], into=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("notes")
    with pytest.raises(SourceError, match="holds no comparison"):
        comparing.compare(photos(tmp_path / "photos", 60), methods=["probe"], into=tmp_path, backbone="stats")


def test_the_command(tmp_path):
    import typer

    app = typer.Typer()
    app.callback()(lambda: None)
    add_to(app)
    source = photos(tmp_path / "photos", 60)
    words = ["compare", str(source), "--methods", "probe,knn", "--backbone", "stats", "--seeds", "1", "-q", "--json"]
    done = CliRunner().invoke(app, [*words, "--into", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert {"methods", "pairs", "verdict", "folder"} <= json.loads(done.output).keys()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_claims_more_than_one_test(p):
    corrected = contest.holm(p)
    assert all(a <= b <= 1 for a, b in zip(p, corrected, strict=True))
    order = np.argsort(p, kind="stable")
    assert all(np.diff(np.array(corrected)[order]) >= -1e-12)


@settings(deadline=None)  # the first call imports scipy
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial(won, lost):
    from scipy.stats import binomtest

    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(expected, abs=1e-9)
    assert mcnemar(won, lost) == mcnemar(lost, won)


def test_a_pair_turned_round_says_the_opposite():
    rng = np.random.default_rng(0)
    one, other = (rng.random(200) < share for share in (0.9, 0.6))
    a = compared("accuracy", one.astype(float), other.astype(float), 0)
    b = compared("accuracy", other.astype(float), one.astype(float), 0)
    assert (a.verdict, b.verdict) == ("better", "worse") and a.p == b.p
    pairs = contest.pairs({"x": dict(enumerate(one * 1.0)), "y": dict(enumerate(other * 1.0))}, 0)
    turned = contest.between(pairs, "y", "x")
    assert turned["verdict"] == "worse" and turned["difference"] == -pairs[0]["difference"]
    assert turned["low"] <= turned["difference"] <= turned["high"]
