"""What guards found, as a table for a terminal: what, the evidence, how to mend it."""

from __future__ import annotations

import textwrap

LEVELS = ("stop", "warn", "note")
WORDS = {"stop": "STOP", "warn": "warning", "note": "note"}
WIDTH = 100


def table(facts: dict) -> str:
    """The findings of check.json, the gravest first. At most 100 columns."""
    found = sorted(facts["findings"], key=lambda f: LEVELS.index(f["level"]))
    total = sum(facts["task"]["n"].values())
    lines = [""]
    for finding in found:
        lines += _row(WORDS[finding["level"]], finding["guard"], finding["message"])
        lines += _row("", "", f"fix: {finding['fix']}") if finding["fix"] else []
        lines.append("")
    counts = [(level, sum(f["level"] == level for f in found)) for level in LEVELS]
    said = ", ".join(f"{n} {WORDS[level].lower()}{'s' * (n > 1)}" for level, n in counts if n) or "nothing found"
    lines += [f"  {said} in {total:,} examples, seen through {facts['backbone']}", ""]
    done = facts.get("cleaned")
    if done:
        lines.append(
            f"  cleaned   {done['folder']}  ({done['kept']:,} kept, {done['removed']:,} left out: removed.csv)"
        )
        lines.append(f"  try it    headstart fit {done['folder']}")
    lines += [f"  report    {facts['folder']}/check.html", ""]
    return "\n".join(lines)


def _row(level: str, guard: str, text: str) -> list[str]:
    lead = f"  {level:<8} {guard:<12} "
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False)
