"""The report of a fit: report.html from a run folder, and its plots as SVG and PNG files."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import ArtifactError
from headstart.core.files import make_folder, write_file
from headstart.core.result import REFIT, RESULT, load_result
from headstart.core.schema import damage_in_words
from headstart.reporting import (
    auto_section,
    confusion,
    data_sections,
    network_diagram,
    plots,
    result_sections,
    training_section,
)
from headstart.reporting.canvas import THEMES, PlotSpec
from headstart.reporting.formatting import escape, metric_format, truncate
from headstart.reporting.html import DESKTOP_WIDTH
from headstart.reporting.svg import standalone_svg

# The only script; the page is complete without it.
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
    """Writes report.html and plots/*.svg from the run folder; gives the page.

    Raises ArtifactError when there is no result to report, or one of a later version.
    """
    result = _load_result(folder)
    with damage_in_words(folder / RESULT, REFIT):
        drawings = {f"{spec.name}.svg": standalone_svg(spec) for spec in plot_specs(result)}
        html = _page_html(result, folder)
    plot_folder = _plot_folder(folder)
    for name, drawing in drawings.items():
        write_file(plot_folder / name, drawing)
    write_file(folder / "report.html", html)
    return folder / "report.html"


def write_pngs(folder: Path) -> list[Path]:
    """Writes plots/*.png, at twice the size of the SVG. Needs Pillow. Raises ArtifactError as `write` does."""
    from headstart.reporting.png import rasterise

    result = _load_result(folder)
    with damage_in_words(folder / RESULT, REFIT):
        pictures = {f"{spec.name}.png": rasterise(spec) for spec in plot_specs(result)}
    plot_folder = _plot_folder(folder)
    for name, picture in pictures.items():
        write_file(plot_folder / name, picture)
    return [plot_folder / name for name in pictures]


@disk_errors_in_words
def report(folder: str | Path, *, png: bool = False) -> list[Path]:
    """Writes report.html and the plots of a run again; the plots as PNG too if asked. Gives what was written.

    Raises ArtifactError when the folder is not a run or its result is damaged, DiskError where nothing can be written.
    """
    return [write(Path(folder)), *(write_pngs(Path(folder)) if png else [])]


def plot_specs(result: dict) -> list[PlotSpec]:
    """Every plot that the result has the data for."""
    width, confusion_width = DESKTOP_WIDTH, max(DESKTOP_WIDTH, confusion.min_width(result))
    specs = (
        plots.headline_plot(result, width),
        network_diagram.network_plot(result, width),
        plots.per_class_plot(result, width),
        confusion.confusion_plot(result, confusion_width),
        plots.reliability_diagram(result, width),
        plots.scatter_plot(result, width),
        plots.regularization_plot(result, width),
        network_diagram.timeline_plot(result, width),
        auto_section.gain_plot(result, width),
        training_section.loss_plot(result, width),
        training_section.lr_range_plot(result, width),
    )
    return [spec for spec in specs if spec is not None]


def _plot_folder(folder: Path) -> Path:
    plots_path = folder / "plots"
    make_folder(plots_path)
    return plots_path


def _load_result(folder: Path) -> dict:
    if folder.is_dir() and not (folder / RESULT).exists():
        raise ArtifactError(f"{folder} holds no {RESULT}, so there is nothing to report.{_how_run_ended(folder)}")
    return load_result(folder / RESULT)


def _how_run_ended(folder: Path) -> str:
    """How a run without a result ended, from its journal."""
    try:
        lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if '"progress"' not in line]
    except (OSError, ValueError, RecursionError):
        return " Name the folder that `headstart fit` wrote."
    events = [e for e in events if isinstance(e, dict)]
    stop = next((e for e in events if e.get("event") == "finding" and e.get("level") == "stop"), None)
    if stop:
        fix = f" To mend it: {stop['fix']}." if stop.get("fix") else ""
        return f" A check stopped the run: [{stop.get('guard')}] {stop.get('message')}{fix}"
    interrupted = next((f" It was interrupted ({e.get('by')})." for e in events if e.get("event") == "interrupted"), "")
    stages = [str(e.get("name")) for e in events if e.get("event") == "stage"]
    return f" The run ended early, after: {', '.join(stages) or 'nothing'}.{interrupted} Run `headstart fit` again."


def _page_html(result: dict, folder: Path) -> str:
    sections = (
        result_sections.headline_section(result),
        result_sections.warnings_section(result, folder),
        data_sections.backbone_section(result),
        result_sections.metrics_section(result),
        result_sections.confusion_section(result),
        result_sections.per_class_section(result),
        result_sections.calibration_section(result),
        auto_section.candidates_section(result),
        training_section.loss_section(result),
        result_sections.mistakes_section(result, folder),
        data_sections.data_section(result),
        result_sections.notes_section(result, folder),
        data_sections.time_section(result),
        data_sections.reproduction_section(result),
    )
    source = truncate(str(result.get("source") or folder.name).rstrip("/").rpartition("/")[2] or folder.name, 60)
    date = f" · {escape(str(result['created'])[:10])}" if result.get("created") else ""
    eyebrow = f"Headstart report · <bdi>{escape(source)}</bdi>{date}"
    verdict = result_sections.verdict_heading(result)
    return html_document(_page_title(result, source), eyebrow, verdict, sections, result.get("version"))


def write_page(file: Path, title: str, eyebrow: str, verdict: str, sections: Iterable[str], version: object) -> Path:
    """Writes the `html_document` of the other arguments to the file; gives the file."""
    write_file(file, html_document(title, eyebrow, verdict, sections, version))
    return file


def html_document(title: str, eyebrow: str, verdict: str, sections: Iterable[str], version: object) -> str:
    """A whole page around HTML sections. eyebrow and verdict are HTML too; title is plain text."""
    script_hash = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    # Names come from data: should one ever slip through unescaped, this forbids it to run or to fetch anything.
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script_hash}'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{_stylesheet()}</style>
</head>
<body>
<header><p class="eyebrow">{eyebrow}</p>
{verdict}</header>
<main>
{"".join(sections)}</main>
<footer><p>Made by Headstart{" " + escape(version) if version else ""}. This page is one file: it
fetches nothing and can be passed on as it is.</p></footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _page_title(result: dict, source: str) -> str:
    key, head = next(iter((result.get("metrics") or {}).items()), ("", None))
    figure = f"{metric_format(key).label} {metric_format(key).format((head or {}).get('value'))}" if key else "Report"
    return f"{figure} on {source} (Headstart)"


def _stylesheet() -> str:
    light, dark = ("".join(f"--{tone}:{colour};" for tone, colour in THEMES[t].items()) for t in ("light", "dark"))
    tones = "".join(f".f-{t}{{fill:var(--{t})}}.s-{t}{{stroke:var(--{t})}}" for t in THEMES["light"])
    themes = f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    return themes + f".f-none{{fill:none}}{tones}\n" + Path(__file__).with_name("style.css").read_text(encoding="utf-8")
