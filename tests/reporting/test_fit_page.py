"""The page and the plots: what a reader sees of a run, whatever the run's names and holes are."""

import base64
import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.core.errors import ArtifactError
from headstart.reporting import fit_page, formatting
from tests.support.run_samples import SAMPLES, SIX, fit_result, mistake, write_run


@pytest.fixture(scope="module", params=SAMPLES)
def written(request, tmp_path_factory) -> Path:
    folder = write_run(SAMPLES[request.param], tmp_path_factory.mktemp(request.param) / "run")
    assert fit_page.write(folder) == folder / "report.html"
    return folder


class Seen(HTMLParser):
    """What a browser would make of a page: elements in order, and whether every one is closed where it should be."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.words)


def seen(folder: Path) -> Seen:
    return Seen((folder / "report.html").read_text(encoding="utf-8"))


def shown(result: dict, folder: Path) -> Seen:
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    fit_page.write(folder)
    return seen(folder)


def test_the_page_is_whole_and_fetches_nothing(written):
    found = seen(written)
    assert not found.open
    assert not found.crossed
    links = [a[key] for _, a in found.elements for key in ("src", "href", "xlink:href", "action", "data") if key in a]
    assert all(link.startswith(("data:image/", "#")) for link in links), links
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in found.elements}
    whole = (written / "report.html").read_text(encoding="utf-8")
    styles = "".join(re.findall(r"<style>(.*?)</style>", whole, re.S))
    assert "url(" not in styles
    assert "@import" not in styles
    policy = next(a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_headings_figures_and_names_for_those_who_listen(written):
    found = seen(written)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels)), levels
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for name in ("svg", "section"):
        assert all(set(a["aria-labelledby"].split()) <= set(ids) for a in found.all(name))
    assert all(a["role"] == "img" for a in found.all("svg"))
    assert [len(found.all(tag)) for tag in ("header", "main", "footer")] == [1, 1, 1]


def test_names_from_the_data_are_text_and_nothing_else(written):
    found = seen(written)
    assert len(found.all("script")) == 1
    assert found.text.count(fit_page.SCRIPT) == 1
    assert not [a for _, a in found.elements if any(key.startswith("on") for key in a)]
    assert not found.all("i") or {"By chance", "cut"} >= set(
        re.findall(r"<i>(.*?)</i>", (written / "report.html").read_text())
    )


anything = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(anything, min_size=2, max_size=7, unique=True), text=anything)
def test_no_name_breaks_the_page_or_a_plot(tmp_path, names, text):
    result = fit_result("text", names, each=6, wrong=0.5, n=6)
    result |= {"verdict": text, "source": text, "command": text, "aside": [{"id": text, "reason": text}]}
    result["task"]["notes"] = result["plan"]["reasons"] = [text]
    result["findings"] = [{"guard": text, "level": "warn", "message": text, "fix": text}]
    for entry in result["mistakes"]:
        entry["text"] = text
    found = shown(result, tmp_path / "run")
    assert not found.open
    assert not found.crossed
    assert len(found.all("script")) == 1
    for file in (tmp_path / "run" / "plots").glob("*.svg"):
        ElementTree.parse(file)


def test_a_long_name_is_cut_and_stands_whole_in_its_title(tmp_path):
    long = "a very long class name " * 13
    found = shown(fit_result(names=[long, "b"], wrong=0.3), tmp_path)
    assert {"title": " ".join(long.split())} in found.all("bdi")
    assert all(len(words) < 400 for words in found.words if "very long" in words and "style" not in words)


def test_marks_that_turn_the_reading_direction_are_taken_out():
    assert formatting.sanitize("safe\u202egpj.exe") == "safe\ufffdgpj.exe"
    assert formatting.sanitize("a\ud800b\x00c") == "a\ufffdb\ufffdc"
    assert formatting.sanitize("z" + "\u0301" * 50) == "z" + "\u0301" * formatting.MAX_COMBINING_MARKS
    assert formatting.sanitize("naïve 中文 🦄") == "naïve 中文 🦄"


def test_the_page_says_what_matters_in_words(tmp_path):
    text = " ".join(seen_text(SAMPLES["six"], tmp_path).split())
    assert text.index("Right on") < text.index("Know this first") < text.index("What was borrowed")
    for words in (
        *("95.0 % (89.5 to 97.7)", "2.2 million learned numbers", "Trained here: 7,686 numbers", "is 30.7 KB"),
        *(
            "262 tensors",
            "0 moved",
            "What to do: add --set class_weight=balanced",
            "dent/x.jpg: the file is empty (0 bytes)",
        ),
        *("--method logistic --seed 0", "sha256:5e5e", "[0.5, 0.5, 0.5]", "crack said to be dent", "99.0 % sure"),
    ):
        assert words in text, words


def seen_text(result: dict, folder: Path) -> str:
    return shown(result, folder).text.replace("\u00a0", " ")


def test_what_moved_is_not_called_frozen(tmp_path):
    text = seen_text(SAMPLES["odd"], tmp_path)
    assert "3 moved" in text
    assert "Do not trust this model" in text
    assert "0 moved" not in text


def test_other_kinds_have_their_own_words(tmp_path):
    tagged, numbered = seen_text(SAMPLES["tags"], tmp_path / "a"), seen_text(SAMPLES["number"], tmp_path / "b")
    assert "Tag by tag" in tagged
    assert "What it takes for what" not in tagged
    assert "(none)" in tagged
    assert "nine of ten between" in numbered
    assert "Lower is better" in numbered
    assert "Always the mean" in numbered
    assert "sure" not in numbered.split("Its largest errors")[1].split("The data")[0]
    warm = {**SAMPLES["texts"], "cache": {"hits": 480, "misses": 0}}
    assert "did not run at all" in seen_text(warm, tmp_path / "c")
    assert "reading only the beginning would have lost 4.0 %" in seen_text(warm, tmp_path / "c")


def holes(result: dict, deep: bool):
    """The result with each of its keys gone, or null, one at a time; deep: the keys of its parts too."""
    for key in [k for k in result if k != "schema"]:
        yield {k: v for k, v in result.items() if k != key}
        yield {**result, key: None}
        for inner in result[key] if deep and isinstance(result[key], dict) else ():
            yield {**result, key: {k: v for k, v in result[key].items() if k != inner}}
            yield {**result, key: {**result[key], inner: None}}


@pytest.mark.parametrize(("kind", "deep"), [("six", True), ("tags", False), ("number", False)])
def test_a_page_comes_out_whatever_is_missing(kind, deep, tmp_path):
    small = {**SAMPLES[kind], "mistakes": SAMPLES[kind]["mistakes"][:1]}
    for result in holes(small, deep):
        found = shown(result, tmp_path)
        assert len(found.all("h1")) == 1
        assert not found.crossed
    assert shown({"schema": 1}, tmp_path).all("h1")


def test_a_folder_without_a_result_says_how_its_run_ended(tmp_path):
    with pytest.raises(ArtifactError, match=r"holds no result\.json"):
        fit_page.write(tmp_path)
    stop = {"event": "finding", "guard": "leak", "level": "stop", "message": "18 twins", "fix": "drop them"}
    journal = [{"event": "stage", "name": "read"}, {"event": "progress"}, stop]
    (tmp_path / "journal.jsonl").write_text("\n".join(map(json.dumps, journal)))
    with pytest.raises(ArtifactError, match=r"\[leak\] 18 twins To mend it: drop them"):
        fit_page.write(tmp_path)
    (tmp_path / "journal.jsonl").write_text(json.dumps(journal[0]))
    with pytest.raises(ArtifactError, match="ended early, after: read"):
        fit_page.write_pngs(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(ArtifactError, match="is damaged"):
        fit_page.write(tmp_path)
    (tmp_path / "result.json").write_text('{"schema": 3}')
    with pytest.raises(ArtifactError, match="says schema 3"):
        fit_page.write(tmp_path)


def test_only_pictures_of_the_run_are_shown(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"\xff\xd8\xffsecret")
    (tmp_path / "run" / "page.jpg").write_bytes(b"<svg onload='alert(1)'/>")
    (tmp_path / "run" / "good.jpg").write_bytes(b"\xff\xd8\xffgood")
    result = fit_result(wrong=0.2)
    paths = ("../secret.jpg", str(tmp_path / "secret.jpg"), "page.jpg", "gone.jpg", "", "good.jpg")
    result["mistakes"] = [{**mistake(i, SIX, ""), "thumbnail": path} for i, path in enumerate(paths)]
    found = shown(result, tmp_path / "run").all("img")
    assert [base64.b64decode(a["src"].removeprefix("data:image/jpeg;base64,")) for a in found] == [b"\xff\xd8\xffgood"]


def test_all_of_many_classes_are_in_the_table(tmp_path):
    table = shown(SAMPLES["many"], tmp_path).text.split("All 102 as a table")[1].split("Can its confidence")[0]
    for row in SAMPLES["many"]["details"]["per_class"]:
        figures = [formatting.format_percent(row[key]) for key in ("recall", "precision", "f1")]
        assert formatting.truncate(row["name"], 60) + "".join(["20", *figures]) in table


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.972, "97.2 %"),
        (1, "100 %"),
        (0.9996, "99.96 %"),
        (0.0004, "0.04 %"),
        (0, "0 %"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_shares_are_rounded_without_promising_too_much(value, words):
    assert formatting.format_percent(value).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.12345, "0.123"), (3.94, "3.94"), (12345.6, "12,346"), (-0.5, "−0.500"), (0, "0"), (2.5e-7, "2.50e−07")],
)
def test_plain_figures_have_three_digits(value, words):
    assert formatting.format_number(value) == words


def test_units():
    told = [
        formatting.format_bytes(31000),
        formatting.format_bytes(5.1e6),
        formatting.format_seconds(0.05),
        formatting.format_seconds(130),
        formatting.format_count(2223872),
    ]
    assert [t.replace("\u00a0", " ") for t in told] == ["31.0 KB", "5.1 MB", "0.05 s", "2 min 10 s", "2.2 million"]


def test_a_page_is_written_fast_and_wakes_nothing(tmp_path):
    folder = write_run(SAMPLES["many"], tmp_path / "run")
    spent = []
    for _ in range(5):
        start = time.process_time()
        fit_page.write(folder)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.08  # 0.026 s of one core for 102 classes
    code = "import sys; from pathlib import Path; from headstart.reporting import fit_page;"
    code += "fit_page.write(Path(sys.argv[1]));"
    code += "print(*({'numpy', 'PIL', 'jinja2', 'matplotlib', 'xml'} & {m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
