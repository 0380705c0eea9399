"""Finding cards with the examples that show them; thumbnails and quotes, which other sections use too."""

from __future__ import annotations

import base64
from pathlib import Path

from headstart.reporting.formatting import escape, truncate
from headstart.reporting.html import collapsible

LEVEL_LABELS = {"stop": "Stopped", "warn": "Warning", "note": "Note"}
OPEN_EXAMPLES = 6  # examples shown before the collapsed rest
MAX_TEXT = 260  # characters of a text before the collapsed rest
MAX_THUMBNAIL_BYTES = 100_000  # ours have 4,000
IMAGE_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


def finding_card(finding: dict, folder: Path) -> str:
    """A finding: level, guard, message, fix, and the examples in its evidence."""
    level = finding.get("level") if finding.get("level") in LEVEL_LABELS else "note"
    fix = f'<p class="fix"><b>What to do:</b> {escape(finding["fix"])}</p>' if finding.get("fix") else ""
    kind = f'<span class="kind">{escape(finding.get("guard", ""))}</span>' if finding.get("guard") else ""
    head = f'<p class="level"><b>{LEVEL_LABELS[str(level)]}</b> {kind}</p>'
    examples = (finding.get("evidence") or {}).get("examples") or []
    cards = [_example(e, folder) for e in examples if isinstance(e, dict)]
    shown, hidden = cards[:OPEN_EXAMPLES], cards[OPEN_EXAMPLES:]
    first = f'<div class="cards">{"".join(shown)}</div>' if shown else ""
    rest = collapsible(f"{len(hidden)} more", f'<div class="cards">{"".join(hidden)}</div>') if hidden else ""
    message = f"<p>{escape(finding.get('message', ''))}</p>"
    return f'<article class="finding {level}">{head}{message}{fix}{first}{rest}</article>'


def _example(entry: dict, folder: Path) -> str:
    """One example, or a pair side by side, with its caption."""
    sides = [("thumbnail", "said", "id"), ("with_thumbnail", "with_said", "with")]
    panels = [_example_side(entry, folder, *keys) for keys in sides if entry.get(keys[2])]
    caption = f'<p class="told">{escape(entry["text"])}</p>' if entry.get("text") else ""
    worded = " worded" if entry.get("said") else ""
    pair = " pair" if len(panels) > 1 else ""
    return f'<div class="card{worded}{pair}"><div class="sides">{"".join(panels)}</div>{caption}</div>'


def _example_side(entry: dict, folder: Path, thumbnail_key: str, text_key: str, id_key: str) -> str:
    thumbnail = thumbnail_html(str(entry.get(thumbnail_key) or ""), folder)
    quote = quote_html(str(entry.get(text_key) or ""))
    return f"<div>{thumbnail}{quote}{file_name(str(entry[id_key]))}</div>"


def file_name(id: str) -> str:
    """The last part of an example's id, the whole of it as tooltip."""
    return f'<p class="where" title="{escape(id)}"><bdi>{escape(id.rpartition("/")[2])}</bdi></p>'


def quote_html(text: str) -> str:
    """A text from the data, collapsed where it is long."""
    if not text.strip():
        return ""
    if len(text) <= MAX_TEXT:
        return f'<blockquote dir="auto">{escape(text)}</blockquote>'
    full_text = collapsible("The whole text", f'<div dir="auto">{escape(text)}</div>')
    return f'<blockquote dir="auto">{escape(truncate(text, MAX_TEXT))}</blockquote>{full_text}'


def thumbnail_html(path: str, folder: Path) -> str:
    """An inline thumbnail; "" for a file that is missing, too large, no image or outside the run folder."""
    file = (folder / path).resolve()
    if not path or not file.is_relative_to(folder.resolve()) or not file.is_file():
        return ""
    data = file.read_bytes() if file.stat().st_size <= MAX_THUMBNAIL_BYTES else b""
    mime_type = next((mime_type for magic, mime_type in IMAGE_TYPES.items() if data.startswith(magic)), "")
    return f'<img alt="" src="data:{mime_type};base64,{base64.b64encode(data).decode()}">' if mime_type else ""
