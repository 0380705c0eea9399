"""The page of a check: findings about the data, each with the examples that show it."""

from __future__ import annotations

from pathlib import Path

from headstart.reporting.finding_cards import finding_card
from headstart.reporting.fit_page import write_page
from headstart.reporting.formatting import escape, name_html, source_name
from headstart.reporting.html import bullet_list, paragraph, section

# level -> title and lead of its section
LEVELS = {
    "stop": ("What must not stay", "A fit would not go on."),
    "warn": ("Know this before you believe a figure", "Each of these makes a good figure wrong, or a good model bad."),
    "note": ("Noted", "Worth a look; nothing is wrong for certain."),
}


def write(folder: Path, facts: dict) -> Path:
    """Writes check.html into the folder of a check; facts: its check.json."""
    findings = facts["findings"]
    source = source_name(facts["source"])
    sections = []
    for level, texts in LEVELS.items():
        sections.append(section(level, *texts, *(finding_card(f, folder) for f in findings if f["level"] == level)))
    if not findings:
        sections.append(section("clear", "Checks", "", paragraph("The automatic checks found nothing.")))
    sections.append(_unreadable_section(facts["aside"]))
    sections.append(_command_section(facts))
    head = f"Headstart check · <bdi>{escape(source)}</bdi> · seen through {name_html(facts['backbone'], 80)}"
    heading = f"<h1>{escape(verdict(facts))}</h1>"
    return write_page(folder / "check.html", f"{source} checked (Headstart)", head, heading, sections, facts["version"])


def verdict(facts: dict) -> str:
    """One sentence: how many findings by level, in how many examples."""
    total = sum(facts["task"]["n"].values())
    warnings = [f for f in facts["findings"] if f["level"] != "note"]
    if not warnings:
        notes = len(facts["findings"])
        noted = f"; {notes} thing{'s' * (notes > 1)} noted" if notes else ""
        return f"Nothing to warn of in {total:,} examples{noted}."
    guards = list(dict.fromkeys(f["guard"] for f in warnings))
    guard_list = " and ".join(filter(None, [", ".join(guards[:-1]), guards[-1]]))
    return f"{len(warnings)} warning{'s' * (len(warnings) > 1)} in {total:,} examples: {guard_list}."


def _unreadable_section(aside: list[dict]) -> str:
    items = [f"<bdi>{escape(a['id'])}</bdi>: {escape(a['reason'])}" for a in aside[:50]]
    return section("aside", "What could not be used", "Set aside, and part of nothing above.", bullet_list(items))


def _command_section(facts: dict) -> str:
    cleaned = facts.get("cleaned")
    items = [f"<code>{escape(facts['command'])}</code>"]
    if cleaned:
        kept, folder, removed = cleaned["kept"], escape(cleaned["folder"]), cleaned["removed"]
        items.append(f"A cleaned list of {kept:,} examples lies in {folder}; {removed:,} left out.")
    return section("repeat", "Again", "The line that repeats this.", bullet_list(items, "told"))
