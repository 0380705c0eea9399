"""Runs the guards that watch a value's type, and ends the run where a finding has the level "stop"."""

from __future__ import annotations

import time
from typing import TypeVar

from headstart.core.errors import Stopped
from headstart.core.plugins import members
from headstart.core.result import Finding
from headstart.core.run import Run

T = TypeVar("T")


def run_guards(run: Run, value: T) -> T:
    """Records the findings of every guard for this type, in order of their names; gives the value back.

    Raises Stopped where one is a "stop", unless the run only reports.
    """
    started = time.perf_counter()
    findings = [f for guard in members("guards") if isinstance(value, guard.watches) for f in guard.look(value)]
    run.guard_seconds += time.perf_counter() - started
    for finding in findings:
        run.findings.append(finding)
        facts = {"guard": finding.guard, "level": finding.level, "message": finding.message, "fix": finding.fix}
        run.emit("finding", facts)
    if run.raise_on_stop:
        raise_on_stop(findings)
    return value


def raise_on_stop(findings: list[Finding]) -> None:
    """Raises Stopped with every "stop" finding and its fix, if there is one."""
    stops = [f for f in findings if f.level == "stop"]
    if stops:
        raise Stopped("\n".join(f"[{f.guard}] {f.message}" + (f"\n  fix: {f.fix}" if f.fix else "") for f in stops))
