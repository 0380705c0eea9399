"""Where the time of a cold fit goes: the run's own seconds by stage, what is imported, and what is called.

    python -m benchmarks.speed.stages [--quick]

Processes on hymenoptera with MobileNetV2: as it is, for the journal's seconds; with -X importtime, for imports; under
cProfile, which slows small calls down and sees the main thread alone, for the rest.
"""

from __future__ import annotations

import json
import pstats
import sys
import tempfile
from pathlib import Path

from benchmarks.speed.harness import (
    MOBILENET,
    data,
    environment,
    facts,
    fresh,
    headstart,
    parser,
    process,
    report,
    row,
    tried,
)

LIBRARIES = ("torch", "timm", "torchvision", "openvino", "PIL", "numpy", "pyarrow", "typer", "rich", "onnxruntime")
PROFILED = """
import cProfile, sys
file, sys.argv = sys.argv[1], ["headstart", *sys.argv[2:]]
from headstart.cli.app import run
profile = cProfile.Profile()
profile.runcall(run)
profile.dump_stats(file)
"""


def line(folder: Path) -> list[object]:
    """The command's arguments."""
    return ["fit", data("hymenoptera"), "--backbone", f"timm:{MOBILENET}", "--into", folder, "--quiet"]


def journal(work: Path, kept: bool) -> list[dict]:
    """Seconds of each stage of a run; the first of two events of the stage of embedding told apart."""
    cache, folder = work / "cache", work / f"run-{kept}"
    if not kept:
        fresh(cache)
    else:
        fresh(work / "again", cache)
        cache = work / "again"
    done = process([headstart(), *line(folder)], cache)
    events = [json.loads(words) for words in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    at = {e["event"]: e["at"] for e in events if e["event"] in ("plan", "opening", "done", "task")}
    stages = {e["name"]: e["seconds"] for e in events if e["event"] == "stage"}
    last = [e["at"] for e in events if e["event"] == "progress"][-1]
    ends = next(e["at"] for e in events if e["event"] == "stage" and e["name"] == "extract")
    parts = {
        "starting and ending the process": done.seconds - at["done"],
        "reading and hashing": stages["read"],
        "the backbone's card, and its fastest precision": at["plan"] - at["task"],
        "opening the network": at["opening"] - at["plan"],
        "embedding": last - at["opening"],
        "asking the library for reference rows": ends - last,
        "learning the head": stages["fit"],
        "judging, guards of the data": stages["measure"],
        "saving": stages["save"],
        "the report": at["done"] - ends - stages["fit"] - stages["measure"] - stages["save"],
    }
    n = sum(next(e for e in events if e["event"] == "task")["n"].values())
    name = "compiled graph kept" if kept else "everything cold"
    beside = f"of {done.seconds:.1f} s, {name}"
    rows = []
    for what, seconds in parts.items():
        made = row(f"{what}, graph kept" if kept else what, [max(0.0, seconds)], n=n, beside=beside)
        rows.append({**made, "figure": not kept, "kind": "seconds"})
    return rows


def imported(work: Path) -> dict:
    """Seconds of importing each library, those that it imports in turn among them."""
    import subprocess

    whole = [sys.executable, "-X", "importtime", headstart(), *line(work / "imports")]
    done = subprocess.run(
        [str(part) for part in whole],
        capture_output=True,
        text=True,
        env=environment(fresh(work / "imports-cache")),
        check=True,
    )
    found: dict[str, float] = {}
    for words in done.stderr.splitlines():
        if words.startswith("import time:") and words.count("|") == 2:
            together, name = (part.strip() for part in words.split("|")[1:])
            if name in LIBRARIES and together.isdigit():
                found[name] = max(found.get(name, 0.0), int(together) / 1e6)
    rows = [[name, f"{seconds:.2f}"] for name, seconds in sorted(found.items(), key=lambda p: -p[1])]
    return {"title": "Imports of a cold fit", "head": ["library", "seconds, with what it imports"], "rows": rows}


def called(work: Path) -> dict:
    """What headstart's own functions took, those that they called among them, imports taken apart."""
    file = work / "profile"
    process([sys.executable, "-c", PROFILED, file, *line(work / "profiled")], fresh(work / "profiled-cache"))
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    importing = max((v[3] for k, v in stats.items() if k[2] == "_find_and_load"), default=0.0)
    own = [(v[3], k) for k, v in stats.items() if "/headstart/" in k[0] and k[2] not in ("<module>", "main")]
    rows = [["imports, wherever they happen", f"{importing:.2f}"]]
    for seconds, (path, _, name) in sorted(own, reverse=True)[:24]:
        rows.append([f"{path.rpartition('/headstart/')[2]}: {name}", f"{seconds:.2f}"])
    alone = sorted(((v[2], k) for k, v in stats.items() if k[2] != "_find_and_load"), reverse=True)[:10]
    rows += [[f"itself: {Path(path).name} {name}"[:90], f"{seconds:.2f}"] for seconds, (path, _, name) in alone]
    head = ["function", "seconds, with what it calls; “itself”: without"]
    return {"title": "Calls of a cold fit, main thread, under cProfile", "head": head, "rows": rows}


def main() -> None:
    """Prints one JSON document."""
    asked = parser(__doc__).parse_args()
    before, rows, tables = facts("openvino", "torch", "timm"), [], []
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        rows += tried("everything cold", lambda: journal(work, False))
        rows += tried("compiled graph kept", lambda: journal(work, True))
        for what, make in (("imports", imported), ("calls", called)):

            def kept(make=make) -> list[dict]:
                tables.append(make(work))
                return []

            rows += tried(what, kept)
    report("stages", asked, before, rows, tables=tables)


if __name__ == "__main__":
    main()
