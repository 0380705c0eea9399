"""A check as one self-contained page: what is wrong with the data, with the examples that show it."""

from __future__ import annotations

from pathlib import Path

from headstart.reporting.finding_cards import card
from headstart.reporting.fit_page import shell
from headstart.reporting.formatting import esc, name, short
from headstart.reporting.html import bullets, paragraph, section

ORDER = ("stop", "warn", "note")
WORDS = {"stop": "What must not stay", "warn": "Know this before you believe a figure", "note": "Noted"}
LEADS = {
    "stop": "A fit would not go on.",
    "warn": "Each of these makes a good figure wrong, or a good model bad.",
    "note": "Worth a look; nothing is wrong for certain.",
}


def write(folder: Path, facts: dict) -> Path:
    """Writes check.html into the folder of a check; facts: its check.json."""
    found = facts["findings"]
    source = short(str(facts["source"]).rstrip("/").rpartition("/")[2], 60)
    sections = [
        section(level, WORDS[level], LEADS[level], *(card(f, folder) for f in found if f["level"] == level))
        for level in ORDER
    ]
    if not found:
        sections.append(section("clear", "Checks", "", paragraph("The automatic checks found nothing.")))
    sections.append(_aside(facts["aside"]))
    sections.append(_repeat(facts))
    page = folder / "check.html"
    head = f"Headstart check · <bdi>{esc(source)}</bdi> · seen through {name(facts['backbone'], 80)}"
    title = esc(f"{source} checked (Headstart)")
    page.write_text(shell(title, head, f"<h1>{esc(verdict(facts))}</h1>", "".join(sections), facts["version"]), "utf-8")
    return page


def verdict(facts: dict) -> str:
    """How many findings of what gravity, and in how many examples, in one sentence."""
    total = sum(facts["task"]["n"].values())
    loud = [f for f in facts["findings"] if f["level"] != "note"]
    if not loud:
        notes = len(facts["findings"])
        more = f"; {notes} thing{'s' * (notes > 1)} noted" if notes else ""
        return f"Nothing to warn of in {total:,} examples{more}."
    guards = list(dict.fromkeys(f["guard"] for f in loud))
    named = " and ".join(filter(None, [", ".join(guards[:-1]), guards[-1]]))
    return f"{len(loud)} warning{'s' * (len(loud) > 1)} in {total:,} examples: {named}."


def _aside(aside: list[dict]) -> str:
    rows = [f"<bdi>{esc(a['id'])}</bdi>: {esc(a['reason'])}" for a in aside[:50]]
    return section("aside", "What could not be used", "Set aside, and part of nothing above.", bullets(rows))


def _repeat(facts: dict) -> str:
    done = facts.get("cleaned")
    told = [f"<code>{esc(facts['command'])}</code>"]
    if done:
        told.append(
            f"A cleaned list of {done['kept']:,} examples lies in {esc(done['folder'])}; {done['removed']:,} left out."
        )
    return section("repeat", "Again", "The line that repeats this.", bullets(told, "told"))
