"""index.html of `export --to web`: the page's scripts, its colours, and its sentences on one model."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any

from headstart.core.plan import Model
from headstart.core.version import __version__
from headstart.deployment.export import onnxruntime_web
from headstart.reporting.canvas import THEMES
from headstart.reporting.formatting import escape, finite_number, metric_format

PAGE = Path(__file__).with_name("web")
# In the order in which they depend on one another.
SCRIPTS = (
    *("pieces", "pack", "resize", "jpeg", "pixels", "wordpiece", "texts", "calibrate", "folds", "eigen", "softmax"),
    *("head", "model", "check", "camera", "page", "ask", "teach", "begin"),
)
LICENCE = "onnxruntime-web.txt"


def theme() -> str:
    """theme.css: the report's colours."""
    light, dark = ("".join(f"--{tone}:{colour};" for tone, colour in THEMES[t].items()) for t in ("light", "dark"))
    dark = f"@media (prefers-color-scheme:dark){{:root{{color-scheme:dark;{dark}}}}}"
    return f":root{{color-scheme:light;{light}}}\n{dark}\n"


def page(model: Model, has_runtime: bool, size: int) -> str:
    """index.html. has_runtime: whether ONNX Runtime is part of the page.  size: bytes that are loaded"""
    card, facts = model.backbone, model.facts
    names = [str(n) for n in model.objective.facts().get("names", [])]
    summary = facts.get("summary") or {}
    # The name of a local folder, never its path.
    network = f"{card.family}:{Path(card.local).name}" if Path(card.local).is_absolute() else card.name
    entries = [
        ("Answers", ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")),
        ("Network", f"{network}, frozen" if model.cut.top else f"{network}, with {model.facts['method']} on top"),
        ("It learned from", card.pretrained_on),
        ("Licence of its weights", card.licence),
        ("Length of an embedding", f"{card.width:,}"),
        ("Page", f"{size / 1e6:.1f} MB, with the runtime" if has_runtime else f"{size / 1e6:.1f} MB"),
    ]
    rows = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in entries if v)
    scripts = [onnxruntime_web.SCRIPT] if has_runtime else []
    scripts += ["pieces.js", "facts.js", *(f"{s}.js" for s in SCRIPTS[1:])]
    licence = f' ONNX Runtime Web is Microsoft\'s, under the <a href="licences/{LICENCE}">MIT licence</a>.'
    fill = {
        "title": escape(f"{_question(names)} · Headstart"),
        "name": escape(model.folder.parent.name if model.folder.name == "model" else model.folder.name),
        "question": escape(_question(names)),
        "figure": escape(_figure(summary)),
        "weight": f"{size / 1e6:.1f} MB",
        "facts": rows,
        "version": escape(__version__),
        "licence": licence if has_runtime else "",
        "scripts": "\n".join(f'<script src="{name}"></script>' for name in scripts),
    }
    return Template((PAGE / "index.html").read_text(encoding="utf-8")).substitute(fill)


def _question(names: list[str]) -> str:
    if not names:
        return "How much is it?"
    choices = names if len(names) <= 4 else [*names[:3], f"one of {len(names) - 3} more"]
    return f"{', '.join(choices[:-1])} or {choices[-1]}?" if len(choices) > 1 else f"{choices[0]}?"


def _figure(summary: dict[str, Any]) -> str:
    """The run's headline metric with its confidence interval."""
    for name, facts in summary.items():
        value, low, high, n = (finite_number(facts.get(key)) for key in ("value", "low", "high", "n"))
        if value is None or low is None or high is None or n is None:
            continue
        if name == "accuracy":
            return (
                f"Right on {100 * value:.1f} % of {n:,} examples that it had not seen; "
                f"{100 * low:.0f} to {100 * high:.0f} % are plausible."
            )
        kind = metric_format(name)
        shown = f"{kind.label} {kind.format(value)} on {n:,.0f} examples that it had not seen"
        return f"{shown}; {kind.format(low)} to {kind.format(high)} are plausible."
    return ""
