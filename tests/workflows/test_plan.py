"""The plan: a document that says what to do and why, a page, and a command."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from headstart.backbones.cards import find_card
from headstart.cli import plan as plan_verb
from headstart.cli.summaries import plan_summary
from headstart.core.options import DataOptions
from headstart.data.demo.photos import write_photos
from headstart.data.read import read
from headstart.evaluation.transferability import (
    random_init_baseline,
)
from headstart.workflows import plan
from tests.support.browser import TEXT_CLASHES


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("plan") / "photos", 120)


@pytest.fixture(scope="module")
def floored(source):
    """A plan on the floor, which borrows nothing."""
    folder = source.parent
    return plan.plan(source, into=folder / "floor", backbone="stats", root=folder / "cache")


@pytest.fixture(scope="module")
def random(source, vision):
    """A plan on a network of random weights, which has nothing to lend."""
    folder = source.parent
    return plan.plan(source, into=folder / "random", backbone=vision, root=folder / "cache")


def test_the_document_has_what_is_promised(floored):
    facts = json.loads((floored.folder / "plan.json").read_text())
    assert facts["similarity"] in ("similar", "different") and facts["amount"] in ("small", "large")
    assert facts["method"] == "probe" and all(r.endswith(".") for r in facts["reasons"])
    assert facts["likeness"] is None and "not measured" in facts["reasons"][0], "what is not measured is said"
    assert facts["transfer"] == {**facts["transfer"], "verdict": "cannot tell", "against": {}}
    probe = facts["probe"]
    assert probe["low"] <= probe["value"] <= probe["high"]
    for key in ("last", "gain", "expected"):
        value, low, high = facts["curve"][key]
        assert low <= value <= high
    assert facts["price"]["bytes"] > 0 and facts["price"]["low"] <= facts["price"]["value"] <= facts["price"]["high"]
    assert "headstart fit" in facts["command"] and "headstart plan" in facts["again"]


def test_a_network_without_a_past_does_not_help(random):
    facts = random.facts
    assert set(facts["transfer"]["against"]) == {"stats", "untrained"}
    assert facts["transfer"]["verdict"] != "helped"
    (found,) = [f for f in facts["findings"] if f["guard"] == "negative"]
    assert found["fix"]
    assert [m["name"] for m in facts["likeness"]["measures"]] == ["certainty"], "a ViT has a classifier and no norms"
    assert facts["similarity"] == "different"


def test_what_the_network_told_is_kept(random, source, vision):
    folder = source.parent
    before = {p: p.stat().st_mtime_ns for p in (folder / "cache" / "untrained").glob("*.npz")}
    again = plan.plan(source, into=folder / "again", backbone=vision, root=folder / "cache").facts
    assert len(before) == 2 and all(p.stat().st_mtime_ns == t for p, t in before.items())
    assert again["transfer"] == random.facts["transfer"] and again["curve"] == random.facts["curve"]
    assert again["likeness"] == random.facts["likeness"] and again["reasons"] == random.facts["reasons"]


def test_numbers_and_vectors_are_planned_too(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 8)).astype(np.float32)
    y = x[:, 0] * 3 + 0.5 * rng.normal(size=240)
    facts = plan.plan((x, y), into=tmp_path / "out", root=tmp_path / "c").facts
    assert facts["method"] == "probe" and facts["data"]["labels"] is None and facts["neighbours"] is None
    assert facts["amount"] == "large", "eight columns need no more than 200 rows"
    assert facts["curve"]["points"][-1]["value"] > 0.9


def test_tags_and_few_examples_are_planned_too(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 6)).astype(np.float32)
    y = [tuple(w for w, on in zip("ab", row, strict=True) if on) for row in x[:, :2] > 0]
    facts = plan.plan((x, y), into=tmp_path / "tags", task="tags", root=tmp_path / "c").facts
    assert facts["task"]["objective"] == "tags" and facts["data"]["labels"] > 20
    few = plan.plan((x[:24], ["ab"[int(v > 0)] for v in x[:24, 0]]), into=tmp_path / "few", root=tmp_path / "c")
    assert few.facts["amount"] == "small"


def test_a_text_in_cipher_is_unlike_what_the_tokenizer_has_met(tmp_path):
    words = "the goods were not delivered on time and nobody answered my call about the broken kettle".split()
    rng = np.random.default_rng(0)
    plain = [" ".join(rng.choice(words, 9)) for _ in range(60)]
    cipher = [text.translate(str.maketrans("aeiourstln", "qxzjkvwfpb")) for text in plain]
    found = {}
    for name, texts in (("plain", plain), ("cipher", cipher)):
        (tmp_path / f"{name}.csv").write_text(
            "text,label\n" + "".join(f"{t},{'ab'[i % 2]}\n" for i, t in enumerate(texts))
        )
        found[name] = plan.plan(
            tmp_path / f"{name}.csv", into=tmp_path / name, backbone="own:text-static", root=tmp_path / "c"
        ).facts["similarity"]
    assert found == {"plain": "similar", "cipher": "different"}


@pytest.mark.parametrize("width", [360, 390, 820, 1280])
@pytest.mark.parametrize("which", ["floored", "random"])
def test_in_a_browser_nothing_overflows_or_overlaps(request, browser, width, which):
    folder = request.getfixturevalue(which).folder
    sheet = browser.new_page(viewport={"width": width, "height": 900})
    sheet.goto((folder / "plan.html").as_uri())
    assert sheet.evaluate("document.documentElement.scrollWidth") <= width
    assert sheet.evaluate(TEXT_CLASHES) == []
    verdict = request.getfixturevalue(which).facts["verdict"]
    assert "".join(sheet.inner_text("h1").split()).lower()[:60] == "".join(verdict.split()).lower()[:60]
    sheet.close()


def test_the_dot_never_enters_the_words(floored):
    from headstart.reporting import plan_page
    from headstart.reporting.canvas import Circle

    for like in (-50.0, -0.1, 0.0, 0.1, 50.0):
        for many in (-50.0, 0.0, 50.0):
            facts = {**floored.facts, "likeness": {"score": like, "low": like - 1, "high": like + 1}}
            facts["data"] = {**facts["data"], "score": many, "low": many - 1, "high": many + 1}
            for width in (640.0, 326.0):
                (dot,) = [m for m in plan_page.quadrant_plot(facts, width).marks if isinstance(m, Circle)]
                assert (
                    plan_page.TEXT_BAND
                    <= dot.y
                    <= plan_page.PLOT_HEIGHT - plan_page.AXIS_HEIGHT - plan_page.TEXT_BAND + 22
                    and 0 < dot.x < width
                )


def test_the_command(source, floored, tmp_path):
    app = typer.Typer()
    app.command()(plan_verb.plan)
    app.command("other")(lambda: None)
    words = ["plan", str(source), "--backbone", "stats", "-q", "--into", str(tmp_path / "out")]
    env = {"HEADSTART_CACHE": str(source.parent / "cache")}
    done = CliRunner().invoke(app, [*words, "--json"], env=env)
    facts = json.loads(done.stdout)
    assert {"similarity", "amount", "method", "reasons", "transfer", "price"} <= facts.keys()
    told = plan_summary(facts)
    assert "because" in told and facts["command"] in told
    assert max(map(len, told.replace(facts["command"], "").splitlines())) <= 100 + len(facts["folder"])


def test_random_rows_do_not_depend_on_what_was_drawn_before(source, vision, tmp_path):
    import torch

    card = find_card(vision, tmp_path)
    examples = read(source, DataOptions(seed=0)).examples[:6]
    one = random_init_baseline.random_init_embeddings(examples, card, tmp_path / "a")
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert np.array_equal(one, random_init_baseline.random_init_embeddings(examples, card, tmp_path / "b"))
    assert torch.equal(before, torch.get_rng_state()), "the caller's dice stay as they are"
    assert one.std(0).max() > 0


def test_a_reference_is_as_near_as_one_half_is_to_the_other(source, tmp_path):
    folder = source.parent
    facts = plan.plan(
        source, into=tmp_path / "out", backbone="stats", reference=source, root=folder / "cache"
    ).facts  # fmt: skip
    found = facts["reference"]
    assert found["data"].keys() == found["halves"].keys() == {"frechet", "mmd", "proxy_a"}
    assert found["data"]["frechet"] < 2 * found["halves"]["frechet"]
    assert "--reference" in facts["again"] and "Distance from the reference" in (tmp_path / "out/plan.html").read_text()
