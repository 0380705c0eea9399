"""A run folder as one self-contained page for people, and its plots as files."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from headstart.core.errors import ArtifactError
from headstart.reporting import (
    auto_section,
    confusion,
    data_sections,
    network_diagram,
    plots,
    result_sections,
    training_section,
)
from headstart.reporting.canvas import THEMES, Drawing
from headstart.reporting.formatting import esc, measure_of, short
from headstart.reporting.html import WIDE
from headstart.reporting.svg import standalone

SCHEMA = 1
# All the script there is: the page is whole without it.
SCRIPT = """
for (const button of document.querySelectorAll("button.copy")) {
  const words = button.nextElementSibling;
  button.hidden = false;
  button.onclick = () => {
    getSelection().selectAllChildren(words);
    navigator.clipboard?.writeText(words.textContent).then(() => { button.textContent = "Copied"; });
  };
}
addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details")) d.open = true; });
"""


def write(folder: Path) -> Path:
    """Writes report.html and plots/*.svg out of what lies in the run folder; gives the page.

    Raises ArtifactError when there is no result to report, or one of a later version.
    """
    result = _result(folder)
    into = folder / "plots"
    into.mkdir(exist_ok=True)
    for drawing in drawings(result):
        (into / f"{drawing.name}.svg").write_text(standalone(drawing), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(_page(result, folder), encoding="utf-8")
    return page


def png(folder: Path) -> list[Path]:
    """Writes plots/*.png, at twice the size of the SVG. Needs Pillow. Raises ArtifactError as `write` does."""
    from headstart.reporting import png as png_writer

    result = _result(folder)
    into = folder / "plots"
    into.mkdir(exist_ok=True)
    return [png_writer.write(drawing, into / f"{drawing.name}.png") for drawing in drawings(result)]


def drawings(result: dict) -> list[Drawing]:
    """Every plot that the result has the data for."""
    least = max(WIDE, confusion.least(result))
    found = [draw(result, WIDE) for draw in (plots.headline, network_diagram.stack, plots.per_class)]
    found.append(confusion.matrix(result, least))
    found += [
        draw(result, WIDE) for draw in (plots.reliability, plots.scatter, plots.strength, network_diagram.timeline)
    ]
    found += [draw(result, WIDE) for draw in (auto_section.gains, training_section.losses, training_section.ranged)]
    return [drawing for drawing in found if drawing is not None]


def _result(folder: Path) -> dict:
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} holds no result.json, so there is nothing to report.{_ended(folder)}") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / 'result.json'} cannot be read: {error}. Run the fit again.") from error
    schema = result.get("schema") if isinstance(result, dict) else None
    if schema != SCHEMA:
        said = f"says schema {schema!r}; this version reads schema {SCHEMA}"
        raise ArtifactError(f"{folder / 'result.json'} {said}. Use the version of Headstart that wrote it.")
    return result


def _ended(folder: Path) -> str:
    """How a run without a result ended, as far as its journal tells."""
    try:
        lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if '"progress"' not in line]
    except (OSError, ValueError):
        return " Name the folder that `headstart fit` wrote."
    stop = next((e for e in events if e.get("event") == "finding" and e.get("level") == "stop"), None)
    if stop:
        fix = f" To mend it: {stop['fix']}." if stop.get("fix") else ""
        return f" A check stopped the run: [{stop.get('guard')}] {stop.get('message')}{fix}"
    stages = [str(e.get("name")) for e in events if e.get("event") == "stage"]
    return f" The run ended early, after: {', '.join(stages) or 'nothing'}. Run `headstart fit` again."


def _page(result: dict, folder: Path) -> str:
    parts = (
        result_sections.number_section(result),
        result_sections.warnings(result, folder),
        data_sections.borrowed(result),
        result_sections.figures(result),
        result_sections.mixups(result),
        result_sections.by_class(result),
        result_sections.trust(result),
        auto_section.raced(result),
        training_section.trained(result),
        result_sections.mistakes(result, folder),
        data_sections.data(result),
        result_sections.notes(result, folder),
        data_sections.time(result),
        data_sections.repeat(result),
    )
    source = short(str(result.get("source") or folder.name).rstrip("/").rpartition("/")[2] or folder.name, 60)
    about = f"<bdi>{esc(source)}</bdi>"
    day = f" · {esc(str(result['created'])[:10])}" if result.get("created") else ""
    made = str(result.get("version") or "")
    head = f"Headstart report · {about}{day}"
    return shell(_title(result, source), head, result_sections.verdict(result), "".join(parts), made)


def shell(title: str, head: str, verdict: str, body: str, version: str) -> str:
    """A whole page around HTML sections. title, head and verdict are HTML too."""
    hashed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    # Names come from data: should one ever slip through unescaped, this forbids it to run or to fetch anything.
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{_style()}</style>
</head>
<body>
<header><p class="eyebrow">{head}</p>
{verdict}</header>
<main>
{body}</main>
<footer><p>Made by Headstart{" " + esc(version) if version else ""}. This page is one file: it
fetches nothing and can be passed on as it is.</p></footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _title(result: dict, source: str) -> str:
    key, head = next(iter((result.get("metrics") or {}).items()), ("", None))
    figure = f"{measure_of(key).label} {measure_of(key).figure((head or {}).get('value'))}" if key else "Report"
    return esc(f"{figure} on {source} (Headstart)")


def _style() -> str:
    light, dark = ("".join(f"--{tone}:{colour};" for tone, colour in THEMES[t].items()) for t in ("light", "dark"))
    tones = "".join(f".f-{t}{{fill:var(--{t})}}.s-{t}{{stroke:var(--{t})}}" for t in THEMES["light"])
    themes = f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    return themes + f".f-none{{fill:none}}{tones}\n" + Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def report(folder: str | Path, *, png: bool = False) -> list[Path]:
    """Writes report.html and the plots of a run again; the plots as PNG too if asked. Gives what was written.

    Raises ArtifactError when the folder is not a run.
    """
    return [write(Path(folder)), *(_pngs(Path(folder)) if png else [])]


_pngs = png  # `report` has a flag of that name
