"""The page in a real browser: nothing overflows, overlaps or is fetched, on a phone as on a screen."""

import json
from pathlib import Path

import pytest
from report_samples import SAMPLES, run_of

from headstart.reporting import fit_page

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module", params=SAMPLES)
def written(request, tmp_path_factory) -> Path:
    folder = run_of(SAMPLES[request.param], tmp_path_factory.mktemp(request.param) / "run")
    assert fit_page.write(folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield started
        started.close()


# Words of a visible plot that another word runs over, or that leave their picture.
CLASHES = """() => {
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const boxes = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    for (const [i, [words, a]] of boxes.entries()) {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 2 || a.bottom > frame.bottom + 2)
        found.push("outside: " + words);
      for (const [other, b] of boxes.slice(i + 1))
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4) found.push(words + " / " + other);
    }
  }
  return found;
}"""


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
    assert sheet.evaluate(CLASHES) == []
    verdict = json.loads((written / "result.json").read_text())["verdict"]
    assert " ".join(sheet.inner_text("h1").split()) == " ".join(verdict.split())
    sheet.close()
