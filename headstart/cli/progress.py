"""A reader of the journal: what a person at a terminal sees while a run goes on."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from headstart.core.messages import printable_facts

NOUNS = {"image": "images", "text": "texts", "vector": "rows"}


class TerminalProgress:
    """Shows events as they come: a moving line on a terminal, plain lines otherwise. All of it on `out`."""

    def __init__(self, out: TextIO = sys.stderr):
        self.out = out
        self.live = out.isatty()
        self.colour = self.live
        self.noun = "examples"
        self.said = 0.0
        self.open_line = False
        self.first: tuple[float, int] | None = None

    def event(self, line: dict) -> None:
        """One event of the journal."""
        show = getattr(self, f"_{line['event']}", None)
        if show:
            show(printable_facts(line))

    def _start(self, line: dict) -> None:
        self.first = None
        self._row("data", line["source"])

    def _task(self, line: dict) -> None:
        self.noun = NOUNS.get(line["kind"], "examples")
        sizes = ", ".join(f"{n:,} {name}" for name, n in line["n"].items() if n)
        self._row("", f"{self.noun}, {line['objective']}: {sizes}")
        for note in line["notes"]:
            self._row("", self._dim(note))

    def _plan(self, line: dict) -> None:
        cut = self._dim(f"cut {line['cut']} of {line['blocks']}")
        self._row("backbone", f"{line['backbone']}  {cut}")
        for reason in (r for r in line["reasons"] if r.startswith("Precision ")):
            self._row("", self._dim(reason))
        self._row("method", line["method"])

    def _opening(self, line: dict) -> None:
        cached = f", {line['cached']:,} already in the cache" if line["cached"] else ""
        by = f" on {line['engine']}" if line.get("engine") else ""
        self._row("embedding", f"{line['todo']:,} {self.noun} to embed{by}{cached}")
        self.said = time.perf_counter()

    def _progress(self, line: dict) -> None:
        now, last = time.perf_counter(), line["done"] == line["total"]
        left = (line["total"] - line["done"]) / max(line["rate"], 1e-9)
        text = f"{line['done']:,} of {line['total']:,}, {line['rate']:,.0f} {self.noun}/s"
        text += "" if last else f", {format_duration(left)} left"
        if self.live:
            filled = round(24 * line["done"] / line["total"])
            self.out.write(f"\r\x1b[K  {'':<10} {'█' * filled}{'░' * (24 - filled)} {text}")
            self.out.flush()
            self.open_line = True
        elif last or now - self.said > 10:  # a log file wants a line now and then, not a thousand
            self.said = now
            self._row("", text)

    def _resumed(self, line: dict) -> None:
        self._row("resumed", f"after step {line['step']:,}")

    def _step(self, line: dict) -> None:
        self.first = self.first or (line["at"], line["done"])  # from when steps were taken: reading is no step
        took, taken = line["at"] - self.first[0], line["done"] - self.first[1]
        left = (line["total"] - line["done"]) * took / max(taken, 1)
        text = (
            f"step {line['done']:,} of {line['total']:,}, loss {line['loss']:.4f}, {line['speed']:,.0f} {self.noun}/s"
        )
        text += "" if line["done"] == line["total"] or not taken else f", {format_duration(left)} left"
        if self.live:
            self.out.write(f"\r\x1b[K  {'':<10} {text}")
            self.out.flush()
            self.open_line = True
        elif line["done"] == line["total"] or time.perf_counter() - self.said > 10:
            self.said = time.perf_counter()
            self._row("", text)

    def _memory(self, line: dict) -> None:
        self._row(
            "memory", f"does not hold a batch of {line['batch']}: it goes in {line['parts']} parts, to the same end"
        )

    def _racing(self, line: dict) -> None:
        self._row("measuring", f"which precision is fastest here: {' or '.join(line['precisions'])}")

    def _probe(self, line: dict) -> None:
        self._row("probe", f"step {line['step']:,}: a linear probe is right on {line['accuracy']:.1%}")

    def _run(self, line: dict) -> None:
        self.first = None
        self._row("run", self._paint(line["run"], "1"))

    def _reused(self, line: dict) -> None:
        self._row("run", f"{line['run']} {self._dim('was done before')}")

    def _refused(self, line: dict) -> None:
        self._row("left out", f"{line['method']}: {line['reason']}")

    def _race(self, line: dict) -> None:
        how = f"judged on up to {line['splits']} held-out parts" if line["splits"] > 1 else "judged on a held-out part"
        self.first = None
        self._row("trying", f"{line['method']}: {how}")

    def _tried(self, line: dict) -> None:
        gain, doubt = (f"{100 * line[k]:{sign}.1f}" for k, sign in (("gain", "+"), ("doubt", "")))
        self._row("", f"gain over the probe, as believed from {line['judged']:,} answers: {gain} ± {doubt} %")

    def _taken(self, line: dict) -> None:
        self.first = None
        probe = line["method"] == "probe"
        told = "the probe: nothing tried is surely better" if probe else line["method"] + " is surely better"
        self._row("taken", told + (", and now learns from all of them" if line["steps"] else ""))

    def _finding(self, line: dict) -> None:
        if line["level"] != "stop":  # a stop is the error that ends the run, and is printed as such
            mark = self._paint("warning", "33") if line["level"] == "warn" else "note"
            self._row(mark, line["message"], width=10 + (len(mark) - len("warning") if line["level"] == "warn" else 0))
            if line["fix"]:
                self._row("", self._dim("fix: " + line["fix"]))

    def _row(self, name: str, text: str, width: int = 10) -> None:
        if self.open_line:
            self.out.write("\n")
            self.open_line = False
        self.out.write(f"  {name:<{width}} {text}\n")
        self.out.flush()

    def _dim(self, text: str) -> str:
        return self._paint(text, "2")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def format_duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
