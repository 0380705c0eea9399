"""What a guard found, as a card with the examples that show it. Pictures and quotations for the other sections too."""

from __future__ import annotations

import base64
from pathlib import Path

from headstart.reporting.formatting import esc, short
from headstart.reporting.html import folded

LEVELS = {"stop": "Stopped", "warn": "Warning", "note": "Note"}
OPEN = 6  # examples in the open; the rest is folded
SHOWN = 260  # characters of a text before the rest is folded away
HEAVIEST = 100_000  # bytes of a thumbnail; ours have 4,000
PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


def card(finding: dict, folder: Path) -> str:
    """A finding: how grave, what, how to mend it, and the examples in its evidence."""
    level = finding.get("level") if finding.get("level") in LEVELS else "note"
    fix = f'<p class="fix"><b>What to do:</b> {esc(finding["fix"])}</p>' if finding.get("fix") else ""
    kind = f'<span class="kind">{esc(finding.get("guard", ""))}</span>' if finding.get("guard") else ""
    head = f'<p class="level"><b>{LEVELS[str(level)]}</b> {kind}</p>'
    some = [_example(e, folder) for e in (finding.get("evidence") or {}).get("examples") or [] if isinstance(e, dict)]
    first = f'<div class="cards">{"".join(some[:OPEN])}</div>' if some else ""
    rest = folded(f"{len(some) - OPEN} more", f'<div class="cards">{"".join(some[OPEN:])}</div>') if some[OPEN:] else ""
    return (
        f'<article class="finding {level}">{head}<p>{esc(finding.get("message", ""))}</p>{fix}{first}{rest}</article>'
    )


def _example(entry: dict, folder: Path) -> str:
    """One example, or two side by side, with what is said of them."""
    sides = [("thumbnail", "said", "id"), ("with_thumbnail", "with_said", "with")]
    shown = [_side(entry, folder, *keys) for keys in sides if entry.get(keys[2])]
    told = f'<p class="told">{esc(entry["text"])}</p>' if entry.get("text") else ""
    worded = " worded" if entry.get("said") else ""
    pair = " pair" if len(shown) > 1 else ""
    return f'<div class="card{worded}{pair}"><div class="sides">{"".join(shown)}</div>{told}</div>'


def _side(entry: dict, folder: Path, picture_at: str, text_at: str, name_at: str) -> str:
    whole = str(entry[name_at])
    where = f'<p class="where" title="{esc(whole)}"><bdi>{esc(whole.rpartition("/")[2])}</bdi></p>'
    return (
        f"<div>{picture(str(entry.get(picture_at) or ''), folder)}{quoted(str(entry.get(text_at) or ''))}{where}</div>"
    )


def quoted(text: str) -> str:
    """A text of the user's, what is long folded."""
    if not text.strip():
        return ""
    if len(text) <= SHOWN:
        return f'<blockquote dir="auto">{esc(text)}</blockquote>'
    whole = f'<div dir="auto">{esc(text)}</div>'
    return f'<blockquote dir="auto">{esc(short(text, SHOWN))}</blockquote>{folded("The whole text", whole)}'


def picture(path: str, folder: Path) -> str:
    """A thumbnail inside the page. One that is gone, too heavy, no picture or outside the run is left out."""
    file = (folder / path).resolve()
    if not path or not file.is_relative_to(folder.resolve()) or not file.is_file():
        return ""
    data = file.read_bytes() if file.stat().st_size <= HEAVIEST else b""
    kind = next((kind for magic, kind in PICTURES.items() if data.startswith(magic)), "")
    return f'<img alt="" src="data:{kind};base64,{base64.b64encode(data).decode()}">' if kind else ""
