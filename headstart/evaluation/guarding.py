"""Shows a value to the guards that watch its type, and ends the run where one of them says stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

from headstart.core.errors import Stopped
from headstart.core.plugins import members
from headstart.core.result import Finding
from headstart.core.run import Run

T = TypeVar("T")


def look(value: object) -> Iterator[Finding]:
    """What every guard for this type of value finds, by name of guard."""
    for guard in members("guards"):
        if isinstance(value, guard.watches):
            yield from guard.look(value)


def halt(findings: list[Finding]) -> None:
    """Raises Stopped with every "stop" finding and its fix, if there is one."""
    stops = [f for f in findings if f.level == "stop"]
    if stops:
        raise Stopped("\n".join(f"[{f.guard}] {f.message}" + (f"\n  fix: {f.fix}" if f.fix else "") for f in stops))


def watched(run: Run, value: T) -> T:
    """Hands the value on after every guard for its type has looked. Raises Stopped where it halts."""
    began = time.perf_counter()
    findings = list(look(value))
    run.looked += time.perf_counter() - began
    for finding in findings:
        run.found.append(finding)
        facts = {"guard": finding.guard, "level": finding.level, "message": finding.message, "fix": finding.fix}
        run.emit("finding", facts)
    if run.halting:
        halt(findings)
    return value
