"""Sentences to vectors against SentenceTransformer.encode, and learning from few labels against SetFit.

    python -m benchmarks.speed.texts [--quick]

sentence-transformers and SetFit are installed over our own environment, so that both sides run on the same torch.
Encoding: from sentences to vectors within one process, in turns, both networks open. SetFit: whole processes.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.paths import ROOT
from benchmarks.speed import environments
from benchmarks.speed.harness import (
    Done,
    accuracy,
    both,
    data,
    environment,
    facts,
    fit,
    fresh,
    minilm,
    parser,
    process,
    repeats,
    report,
    row,
    tried,
    turns,
)

PACKAGES = ("sentence-transformers==6.2.0", "setfit==1.2.0", "evaluate==0.4.6", "requests==2.34.2", "urllib3==2.8.0")
PACKAGES += ("charset-normalizer==3.5.2", "certifi")
SENTENCES, SHOTS = 1024, 8
GOAL, LIKE = 3.0, 0.999


def encoded(count: int, times: int) -> dict:
    """Run by the environment that has sentence-transformers: seconds of each way, and smallest cosines."""
    from dataclasses import replace

    from sentence_transformers import SentenceTransformer

    from benchmarks.speed.rates import cosine
    from benchmarks.speed.workloads import sentences
    from headstart.backbones.cards import find_card
    from headstart.core import hardware
    from headstart.core.plugins import member
    from headstart.features.extract import features_at_cut
    from headstart.features.runner import start_engine

    texts = [str(e.content) for e in sentences(count)]
    theirs = SentenceTransformer(minilm().partition(":")[2], device="cpu")
    ways = {"theirs": lambda: theirs.encode(texts)}
    engines = {}
    with tempfile.TemporaryDirectory() as root:
        card = find_card(minilm(), Path(root))
        prepare, top = member("preprocess", "text"), card.cut(len(card.blocks))
        for precision in ("float32", *(("bfloat16",) if hardware.has_native_bfloat16() else ())):
            cut = replace(top, precision=precision)
            running = start_engine(card, cut, 10_000, Path(root))
            engines[precision] = running.engine

            def ours(cut=cut, running=running) -> np.ndarray:
                units = prepare.prepare(texts, card.preprocess)
                return np.stack([r for r, _ in features_at_cut(units, card.preprocess, cut, running)])

            ways[precision] = ours
        exact = np.asarray(theirs.encode(texts))
        like = {name: cosine(exact, np.asarray(run())) for name, run in ways.items() if name != "theirs"}

        def timed(run) -> float:
            began = time.perf_counter()
            run()
            return time.perf_counter() - began

        seconds = turns({name: lambda run=run: timed(run) for name, run in ways.items()}, times)
    versions = {name: hardware.installed_version(name) for name in ("sentence-transformers", "torch", "transformers")}
    return {"seconds": seconds, "cosine": like, "n": len(texts), "engines": engines, "versions": versions}


def sentence_rows(python: Path, count: int, times: int) -> list[dict]:
    """One row a precision."""
    found = process([python, "-m", "benchmarks.speed.texts", "--encode", f"{count}:{max(3, times)}"]).document()
    against = f"SentenceTransformer.encode {found['versions']['sentence-transformers']}"
    rows = []
    for precision, like in found["cosine"].items():
        beside = f"{found['engines'][precision]}; smallest cosine {like:.5f} (goal {LIKE})"
        sides = found["seconds"][precision], found["seconds"]["theirs"]
        least = GOAL if like >= LIKE else None
        rows.append(row(f"sentences, {precision}", *sides, against=against, least=least, n=found["n"], beside=beside))
    return rows


def few_labels(python: Path, times: int, work: Path) -> list[dict]:
    """SetFit's defaults against our contrast, eight labels a class of trec6."""
    from headstart.core.options import DataOptions
    from headstart.data.read import read_source

    parts = read_source(str(data("text_trec6")), DataOptions(label="label_name")).examples
    taken: dict[str, list[str]] = defaultdict(list)
    for e in parts["train"]:
        if len(taken[str(e.label)]) < SHOTS:
            taken[str(e.label)].append(str(e.content))
    tables = {"train": [(t, name) for name, some in taken.items() for t in some]}
    tables["test"] = [(str(e.content), str(e.label)) for e in parts["test"]]
    folder = work / "few"
    folder.mkdir()
    for name, rows in tables.items():
        with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    script = ROOT / "benchmarks" / "peers" / "setfit_fit.py"
    right: dict[str, float] = {}

    def theirs() -> Done:
        done = process([python, script, folder, minilm().partition(":")[2]])
        right["theirs"] = done.document()["accuracy"]
        return done

    def ours() -> Done:
        options = ("--label", "label", "--input", "text", "--method", "contrast")
        done, result = fit(folder, fresh(work / "cache"), minilm(), *options)
        right["ours"] = accuracy(result)
        return done

    found = turns({"theirs": theirs, "ours": ours}, times)
    beside = f"accuracy {right['ours']:.3f} / {right['theirs']:.3f} on {len(tables['test'])} questions"
    n = len(tables["train"])
    return [
        both(
            "contrast, 8 labels a class of trec6", found["ours"], found["theirs"], against="SetFit", n=n, beside=beside
        )
    ]


def tuned(photos: int) -> list[dict]:
    """An epoch from the cut cache against one of Hugging Face's Trainer: benchmarks.speed.cut_cache as it is."""
    done = process([sys.executable, "-m", "benchmarks.speed.cut_cache", "--trainer", "--photos", photos])
    rows = []
    for line in done.out.strip().splitlines():
        if not line.startswith('{"backbone"'):
            continue  # Trainer prints what it logs
        found = json.loads(line)
        seconds = found["seconds_an_epoch"]
        what = f"an epoch of fine-tuning, {found['backbone'].rpartition('/')[2]}"
        beside = f"cut {found['cut']} of {found['blocks']}; the best of two epochs each"
        more = {"against": "Hugging Face Trainer", "n": found["photos"], "beside": beside}
        rows.append(row(what, [seconds["cached"]], [seconds["trainer"]], **more))
    return rows


def main() -> None:
    """Prints one JSON document."""
    made = parser(__doc__)
    made.add_argument("--encode", default="", help="COUNT:TURNS, run by the environment that has sentence-transformers")
    asked = made.parse_args()
    os.environ.update(environment())
    if asked.encode:
        count, times = map(int, asked.encode.split(":"))
        print(json.dumps(encoded(count, times)))
        return
    before, rows = facts("openvino", "torch", "transformers", "tokenizers"), []
    before["versions"] |= dict(package.split("==") for package in PACKAGES[:2])

    def python() -> Path:
        return environments.made(asked.envs / "sentences", PACKAGES, over_ours=True)

    with tempfile.TemporaryDirectory() as place:
        rows += tried("sentences", lambda: sentence_rows(python(), SENTENCES, repeats(asked)))
        rows += tried("contrast against SetFit", lambda: few_labels(python(), repeats(asked), Path(place)))
    if not asked.quick:
        rows += tried("fine-tuning against Trainer", lambda: tuned(240))
    report("texts", asked, before, rows)


if __name__ == "__main__":
    main()
