"""The plots: drawn where the values are, complete, legible, and the same as SVG and PNG."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.reporting import fit_page, formatting
from headstart.reporting.canvas import MARGIN, THEMES, TITLE_HEIGHT, Circle, Line, Rect, Text, ticks
from headstart.reporting.confusion import MAX_OPACITY, most_confused
from tests.support.run_samples import SAMPLES, fit_result, write_run


@pytest.fixture(scope="module", params=SAMPLES)
def written(request, tmp_path_factory) -> Path:
    folder = write_run(SAMPLES[request.param], tmp_path_factory.mktemp(request.param) / "run")
    assert fit_page.write(folder) == folder / "report.html"
    return folder


def test_plots_are_files_that_stand_alone(written):
    result = json.loads((written / "result.json").read_text())
    kinds = {"number": {"scatter"}, "tags": {"classes", "reliability"}}
    kind = kinds.get(result["details"]["kind"], {"classes", "reliability", "confusion"})
    assert {f.stem for f in (written / "plots").glob("*.svg")} == kind | {"headline", "stack", "strength", "seconds"}
    for file in (written / "plots").glob("*.svg"):
        root = ElementTree.parse(file).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.find("{http://www.w3.org/2000/svg}title").text
        assert "class=" not in file.read_text(encoding="utf-8"), "a file has no style sheet to give its classes colours"


def test_png_shows_the_same_picture_at_twice_the_size(tmp_path):
    from PIL import Image

    folder = write_run(SAMPLES["six"], tmp_path / "run")
    fit_page.write(folder)
    files = fit_page.write_pngs(folder)
    assert {f.stem for f in files} == {f.stem for f in (folder / "plots").glob("*.svg")}
    for file in files:
        root = ElementTree.parse(file.with_suffix(".svg")).getroot()
        picture = Image.open(file).convert("RGB")
        assert picture.size == pytest.approx([2 * float(root.get("width")), 2 * float(root.get("height"))], abs=1)
        assert picture.getpixel((1, 1)) == (255, 255, 255)
        assert len(picture.getcolors(1 << 24)) > 20
    diagonal = Image.open(folder / "plots" / "confusion.png").convert("RGB")
    mark = next(m for m in drawing("confusion", SAMPLES["six"]).marks if getattr(m, "fill", "") == "accent")
    x, y = (2 * (a + 4) for a in (mark.x + MARGIN, mark.y + TITLE_HEIGHT))
    accent = tuple(int(THEMES["light"]["accent"][i : i + 2], 16) for i in (1, 3, 5))
    blended = tuple(round(mark.opacity * c + (1 - mark.opacity) * 255) for c in accent)
    assert diagonal.getpixel((int(x), int(y))) == blended


def drawing(name: str, result: dict):
    return next(d for d in fit_page.plot_specs(result) if d.name == name)


def texts(name: str, result: dict) -> list[str]:
    return [m.text for m in drawing(name, result).marks if isinstance(m, Text)]


def test_the_headline_is_drawn_where_its_values_are():
    result = fit_result(wrong=0)
    result["metrics"]["accuracy"] |= {"value": 0.5, "low": 0.25, "high": 1.0}
    result["baselines"] = {"majority": 0.0, "knn": None, "scratch": None}
    picture = drawing("headline", result)
    dots = [m for m in picture.marks if isinstance(m, Circle)]
    assert [d.x for d in dots] == [8, picture.width / 2]
    whisker = next(m for m in picture.marks if isinstance(m, Line) and m.width == 3)
    assert [x for x, _ in whisker.points] == pytest.approx([8 + (picture.width - 16) / 4, picture.width - 8])


def test_the_matrix_has_every_count_and_the_list_the_commonest_mixups():
    result = SAMPLES["twenty"]
    matrix = np.array(result["details"]["confusion"])
    written = [int(w) for w in texts("confusion", result) if w.isdigit()]
    assert sorted(written) == sorted([*matrix[matrix > 0].tolist(), *range(1, 21), *range(1, 21)])
    wrong = sorted((n for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n), reverse=True)
    assert [n for n, _, _ in most_confused(result)] == wrong[:20]
    assert all(matrix[i, j] == n for n, i, j in most_confused(result))


def test_many_classes_lose_no_example_in_the_dense_matrix():
    result = fit_result(names=[f"c{i}" for i in range(250)], each=2, wrong=0.5)
    matrix = np.array(result["details"]["confusion"])
    picture = drawing("confusion", result)
    cells = [m for m in picture.marks if isinstance(m, Rect) and m.fill in ("accent", "warm")]
    assert max(c.x + c.width for c in cells) <= picture.width
    thirds = np.add.reduceat(np.add.reduceat(matrix, range(0, 250, 3), 0), range(0, 250, 3), 1)
    side = cells[0].width
    corner = min(c.x for c in cells), min(c.y for c in cells)
    drawn = {(round((c.y - corner[1]) / side), round((c.x - corner[0]) / side)) for c in cells}
    assert drawn == set(zip(*map(np.ndarray.tolist, np.nonzero(thirds)), strict=True))


def test_bars_stand_weakest_first():
    result = SAMPLES["many"]
    values = [float(w.split("\u00a0")[0]) for w in texts("classes", result) if "of 20" in w]
    rows = sorted(r["recall"] for r in result["details"]["per_class"])
    assert values == pytest.approx([100 * r for r in rows[:15] + rows[-5:]], abs=0.05)


def test_a_class_without_test_examples_is_no_failure():
    result = fit_result()
    result["details"]["per_class"][2] |= {"n": 0, "recall": 0.0, "precision": 0.0, "f1": 0.0, "low": 0.0, "high": 1.0}
    assert not [w for w in texts("classes", result) if w.startswith("missing")]


@pytest.mark.parametrize(("blocks_", "cut"), [(12, 12), (12, 7), (12, 0), (17, 1)])
def test_the_stack_shows_as_many_frozen_blocks_as_were_frozen(blocks_, cut):
    result = fit_result(n=blocks_)
    result["plan"]["cut"] = cut
    marks = drawing("stack", result).marks
    assert sum(getattr(m, "fill", "") == "frost" for m in marks) == cut
    assert (
        sum(getattr(m, "fill", "") == "warm" and "passes on" in getattr(m, "tooltip", "") for m in marks)
        == blocks_ - cut
    )
    assert f"cut: {cut} of {blocks_} blocks" in texts("stack", result)


def test_a_race_shows_what_is_believed_of_each_and_which_was_taken(tmp_path):
    """Best first, each line as long as its doubt on both sides; one that refused is in the table alone."""
    table = [
        {"method": "probe", "merit": 0.5, "judged": 48},
        {"method": "lora", "merit": 0.6, "judged": 8, "gain": 0.1, "believed": 0.02, "doubt": 0.06},
        {"method": "contrast", "merit": 0.7, "judged": 48, "gain": 0.2, "believed": 0.12, "doubt": 0.04},
        {"method": "<u>", "refused": "wants <classes>"},
    ]
    result = {**SAMPLES["six"], "head": {**SAMPLES["six"]["head"], "race": {"winner": "contrast", "table": table}}}
    shown = drawing("race", result)
    dots = [m for m in shown.marks if isinstance(m, Circle)]
    lines = [m for m in shown.marks if isinstance(m, Line) and m.width == 2]
    assert [d.fill for d in dots] == ["good", "accent"] and dots[0].x > dots[1].x
    for dot, line in zip(dots, lines, strict=True):
        assert dot.x - line.points[0][0] == pytest.approx(line.points[1][0] - dot.x)
    words = fit_page.write(write_run(result, tmp_path / "run")).read_text(encoding="utf-8")
    assert "contrast (taken)" in words and "wants &lt;classes&gt;" in words and "<u>" not in words
    assert "How it was chosen" not in fit_page.write(write_run(SAMPLES["six"], tmp_path / "other")).read_text(
        encoding="utf-8"
    )


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def over(top: str, bottom: str, alpha: float) -> str:
    mixed = (alpha * int(top[i : i + 2], 16) + (1 - alpha) * int(bottom[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(c):02x}" for c in mixed)


@pytest.mark.parametrize("theme", THEMES)
def test_words_have_the_contrast_that_wcag_asks_for(theme):
    tones = THEMES[theme]
    for words in ("ink", "muted", "accent", "warm", "good"):
        assert min(contrast(tones[words], tones[ground]) for ground in ("paper", "page")) >= 4.5, words
    for fill in ("accent", "warm"):
        assert contrast(tones["ink"], over(tones[fill], tones["paper"], MAX_OPACITY)) >= 4.5
    assert contrast(tones["ink"], over(tones["warm"], tones["page"], 0.3)) >= 4.5, "the word on the head"


@given(st.text(max_size=80), st.floats(20, 300))
def test_fitted_text_fits(text, room):
    assert formatting.text_width(formatting.fit_text(text, 12, room), 12) <= room


def test_a_span_without_digits_has_one_tick():
    assert ticks(0.0, 5e-324, 4) == [0.0]
