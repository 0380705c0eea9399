"""The exported page in a real browser against Python: probabilities of held-out inputs and of odd ones, and seconds.

    headstart export runs/photos --to web --into page
    python -m benchmarks.export_parity.browser runs/photos page [--inputs TABLE] [--n 200] [--browser /usr/bin/chromium]

Inputs are file bytes or texts that the run was judged on, or those of TABLE; every tenth photo is written anew in a
form that browsers and Pillow could read otherwise: turned by EXIF, gray, palette, transparent, CMYK, one pixel high,
12 megapixels. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import statistics
import time
from pathlib import Path

import numpy as np

from headstart.core.task import Example
from headstart.data.contents import read_content
from headstart.deployment import predict
from headstart.deployment.export.calibration_inputs import held_out_inputs
from headstart.deployment.model_folder import load
from headstart.deployment.predict import collect_inputs
from headstart.features.cache import store

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
ASK = """async ([given, bytes]) => {
    const input = bytes ? Uint8Array.from(atob(given), (c) => c.charCodeAt(0)) : given, began = performance.now();
    const found = await Model.embed(await Model.prepare(input));
    const { shares } = Model.own(found);
    globalThis.kept = [...(globalThis.kept || []), found.row];
    return [performance.now() - began, Object.fromEntries(shares)];
}"""
TRAIN = """([n, classes]) => {
    const x = kept.slice(0, n), y = x.map((_, i) => i % classes), fold = Folds.deal(y, y.map(() => ""), Head.FOLDS, 1);
    const began = performance.now();
    Head.train(x, y, classes, fold);
    return performance.now() - began;
}"""


def odd(raw: bytes, n: int) -> bytes:
    """A photo in another form: the n-th of seven."""
    from PIL import Image

    photo = Image.open(io.BytesIO(raw)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    veil = Image.linear_gradient("L").resize(photo.size)
    clear = photo.copy()
    clear.putalpha(veil)
    picture, how = [
        (photo, {"format": "JPEG", "exif": exif}),
        (photo.convert("L"), {"format": "JPEG"}),
        (photo.quantize(64), {"format": "PNG"}),
        (clear, {"format": "PNG"}),
        (photo.convert("CMYK"), {"format": "JPEG"}),
        (photo.resize((photo.width, 1)), {"format": "PNG"}),
        (photo.resize((4000, 3000), Image.Resampling.BICUBIC), {"format": "JPEG", "quality": 90}),
    ][n % 7]
    buffer = io.BytesIO()
    picture.save(buffer, **how)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--inputs")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    given = parser.parse_args()
    model, _ = load(given.run, store.default_root())
    inputs = held_out_inputs(model)[1]
    if given.inputs:
        found = collect_inputs([given.inputs], model.facts["kind"], None, None)
        inputs = [read_content(example) for example in found if isinstance(example, Example)]
    assert inputs, "the data that the run was judged on are no longer where they were"
    some = [inputs[i % len(inputs)] for i in range(given.n)]
    some = [odd(raw, i // 10) if isinstance(raw, bytes) and i % 10 == 9 else raw for i, raw in enumerate(some)]
    mine = predict.predict(given.run, some)

    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=given.browser, args=QUIET)
        sheet, began = browser.new_page(), time.perf_counter()
        sheet.goto((given.page / "index.html").resolve().as_uri())
        sheet.locator("#ask:not([hidden])").wait_for(timeout=300_000)
        opened = time.perf_counter() - began
        sheet.locator("body.ready").wait_for(timeout=300_000)
        told = [
            sheet.evaluate(
                ASK, [base64.b64encode(raw).decode() if isinstance(raw, bytes) else raw, isinstance(raw, bytes)]
            )
            for raw in some
        ]
        trained = {
            f"{n} examples of {k} classes": statistics.median(sheet.evaluate(TRAIN, [n, k]) for _ in range(3))
            for n, k in ((24, 2), (60, 3), (100, 3), (200, 4))
            if n <= len(some)
        }
        version = browser.version
        browser.close()
    apart = [
        max(abs(a.probabilities[name] - p) for name, p in shares.items())
        for a, (_, shares) in zip(mine, told, strict=True)
    ]
    changed = sum(a.label != max(shares, key=shares.get) for a, (_, shares) in zip(mine, told, strict=True))
    facts = {
        "backbone": model.backbone.name,
        "n": len(some),
        "odd": sum(i % 10 == 9 for i in range(given.n)) if isinstance(some[0], bytes) else 0,
        "largest_difference": max(apart),
        "median_difference": float(np.median(apart)),
        "labels_changed": changed,
        "page_mb": sum(f.stat().st_size for f in given.page.rglob("*") if f.is_file()) / 1e6,
        "opened_s": opened,
        "answer_ms": statistics.median(ms for ms, _ in told),
        "train_ms": trained,
        "browser": f"Chromium {version}",
    }
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
