"""Every benchmark of speed in one command: a Markdown table and SVG plots, the other library beside us in each run.

    python -m benchmarks.speed.bench [--only fit,rates] [--quick] [--into bench] [--again]

Each part is a module of benchmarks.speed and a process of its own; its JSON lies in INTO/parts and is not made again
while it is there. A library or data set that is missing is a row that says so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.paths import ROOT
from benchmarks.speed import figures, tables

PACKAGE = "benchmarks.speed"
PARTS = ("fit", "peers", "rates", "roofline", "texts", "photos", "head", "scaling", "startup", "stages")


def measured(part: str, into: Path, quick: bool, again: bool, more: list[str]) -> dict:
    """The part's document: the one that is there, or a new one. A quick one does not stand for a whole one."""
    file = into / "parts" / f"{part}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    if known and not again and (quick or not known["quick"]):
        print(f"{part}: kept", file=sys.stderr)
        return known
    line = [sys.executable, "-m", f"{PACKAGE}.{part}", *(["--quick"] if quick else []), *more]
    line += ["--envs", str((into / "envs").resolve())]
    print(f"{part}: measuring", file=sys.stderr)
    began = time.perf_counter()
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        reason = f"the script ended with exit status {done.returncode} and gave no document"
        blank = {"what": part, "kind": "plain", "unit": "", "least": None, "most": None, "missing": reason}
        return {"part": part, "quick": quick, "rows": [blank]}
    document["seconds"] = round(time.perf_counter() - began)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"{part}: {document['seconds']} s", file=sys.stderr)
    return document


def write(documents: list[dict], into: Path) -> Path:
    """README.md and its plots; gives the page."""
    drawn = {}
    for document in documents:
        made = figures.of(document)
        drawn[document["part"]] = [(file, title) for file, title, _ in made]
        for file, _, text in made:
            (into / file).write_text(text, encoding="utf-8")
    page = into / "README.md"
    page.write_text(tables.page(documents, drawn), encoding="utf-8")
    return page


def main() -> None:
    """Measures what is not there yet, and writes the page after every part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="names of parts, with commas between them")
    parser.add_argument("--quick", action="store_true", help="fewer sets, inputs and turns")
    parser.add_argument("--into", type=Path, default=ROOT / "bench")
    parser.add_argument("--again", action="store_true", help="measure also what is there")
    parser.add_argument("--fastai", default="", help="the Python of an environment that has fastai and timm")
    asked = parser.parse_args()
    wanted = asked.only.split(",")
    if strange := [name for name in wanted if name not in PARTS]:
        parser.error(f"no part {strange[0]!r}; there are {', '.join(PARTS)}")
    asked.into.mkdir(parents=True, exist_ok=True)
    found = {}
    for part in PARTS:
        more = ["--fastai", asked.fastai] if asked.fastai and part == "peers" else []
        kept = asked.into / "parts" / f"{part}.json"
        if part in wanted:
            found[part] = measured(part, asked.into, asked.quick, asked.again, more)
        elif kept.is_file():
            found[part] = json.loads(kept.read_text(encoding="utf-8"))
        page = write(list(found.values()), asked.into)
    print(page)


if __name__ == "__main__":
    main()
