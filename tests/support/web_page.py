"""An exported page, opened in a browser."""

import base64
import time
from pathlib import Path

import numpy as np

from headstart.deployment.export import onnxruntime_web
from headstart.deployment.export.calibration_inputs import witness_inputs
from headstart.deployment.export.formats import web
from headstart.deployment.export.parity import reference_outputs
from headstart.deployment.model_folder import load
from headstart.features.cache import store

# Where `headstart runtime web` has put it; each test has another cache.
RUNTIME = onnxruntime_web.runtime_folder(store.default_root())


def export_page(place: Path, run: Path) -> Path:
    model, running = load(run, place / "cache")
    (place / f"page-{run.name}").mkdir()
    written = web.write(model, running, place / f"page-{run.name}", web.Settings())
    contents = witness_inputs(model)
    assert (
        np.abs(written.answer(contents).probabilities - reference_outputs(model, running, contents).probabilities).max()
        < 1e-3
    )
    return place / f"page-{run.name}"


class OpenedPage:
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


def probability_difference(said: dict, answer) -> float:
    """The largest difference of a probability; labels are equal."""
    assert max(said, key=said.get) == answer.label
    return max(abs(p - answer.probabilities[name]) for name, p in said.items())
