"""The page in a real browser: nothing overflows, overlaps or is fetched, on a phone as on a screen."""

import json
from pathlib import Path

import pytest

from headstart.reporting import fit_page
from tests.support.browser import TEXT_CLASHES
from tests.support.run_samples import SAMPLES, write_run


@pytest.fixture(scope="module", params=SAMPLES)
def written(request, tmp_path_factory) -> Path:
    folder = write_run(SAMPLES[request.param], tmp_path_factory.mktemp(request.param) / "run")
    assert fit_page.write(folder) == folder / "report.html"
    return folder


@pytest.mark.parametrize("width", [360, 390, 820, 1200])
def test_in_a_browser_nothing_overflows_overlaps_or_is_fetched(written, browser, width):
    sheet = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if width == 390 else "light")
    said, asked = [], []
    sheet.on("console", lambda message: said.append(message.text))
    sheet.on("pageerror", lambda error: said.append(str(error)))
    sheet.on("request", lambda request: asked.append(request.url))
    sheet.goto((written / "report.html").as_uri())
    sheet.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [(written / "report.html").as_uri()]
    assert sheet.evaluate("document.documentElement.scrollWidth") <= width
    assert sheet.evaluate(TEXT_CLASHES) == []
    verdict = json.loads((written / "result.json").read_text())["verdict"]
    assert " ".join(sheet.inner_text("h1").split()) == " ".join(verdict.split())
    sheet.close()
