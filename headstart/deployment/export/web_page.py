"""The page that `export --to web` writes: its scripts, its colours, and its words about one model."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import Any

from headstart.core.plan import Model
from headstart.core.version import __version__
from headstart.deployment.export import onnxruntime_web
from headstart.reporting.canvas import THEMES
from headstart.reporting.formatting import measure_of

PAGE = Path(__file__).with_name("web")
# In the order in which they build on one another.
SCRIPTS = (
    *(
        "pieces",
        "pack",
        "resize",
        "jpeg",
        "pixels",
        "wordpiece",
        "texts",
        "calibrate",
        "folds",
        "eigen",
        "softmax",
        "head",
    ),
    *("model", "check", "camera", "page", "ask", "teach", "begin"),
)
LICENCE = "onnxruntime-web.txt"


def theme() -> str:
    """The report's colours."""
    light, dark = ("".join(f"--{tone}:{colour};" for tone, colour in THEMES[t].items()) for t in ("light", "dark"))
    dark = f"@media (prefers-color-scheme:dark){{:root{{color-scheme:dark;{dark}}}}}"
    return f":root{{color-scheme:light;{light}}}\n{dark}\n"


def page(model: Model, needed: bool, weight: int) -> str:
    """index.html. needed: whether the runtime comes along; weight: bytes that are loaded"""
    card, facts = model.backbone, model.facts
    names = [str(n) for n in model.objective.facts().get("names", [])]
    trained = facts.get("summary") or {}
    # A network from a folder is called like the folder: where it lies is nobody's business.
    called = f"{card.family}:{Path(card.local).name}" if Path(card.local).is_absolute() else card.name
    shown = [
        ("Answers", ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")),
        ("Network", f"{called}, frozen" if model.cut.top else f"{called}, with {model.facts['method']} on top"),
        ("It learned from", card.pretrained_on),
        ("Licence of its weights", card.licence),
        ("Length of an embedding", f"{card.width:,}"),
        ("Page", f"{weight / 1e6:.1f} MB, with the runtime" if needed else f"{weight / 1e6:.1f} MB"),
    ]
    rows = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd></div>" for k, v in shown if v)
    scripts = [
        *([onnxruntime_web.SCRIPT] if needed else []),
        "pieces.js",
        "facts.js",
        *(f"{s}.js" for s in SCRIPTS[1:]),
    ]
    licence = (
        f' ONNX Runtime Web is Microsoft\'s, under the <a href="licences/{LICENCE}">MIT licence</a>.' if needed else ""
    )
    fill = {
        "title": html.escape(f"{_question(names)} · Headstart"),
        "name": html.escape(model.folder.parent.name if model.folder.name == "model" else model.folder.name),
        "question": html.escape(_question(names)),
        "figure": html.escape(_figure(trained)),
        "weight": f"{weight / 1e6:.1f} MB",
        "facts": rows,
        "version": html.escape(__version__),
        "licence": licence,
        "scripts": "\n".join(f'<script src="{name}"></script>' for name in scripts),
    }
    return Template((PAGE / "index.html").read_text(encoding="utf-8")).substitute(fill)


def _question(names: list[str]) -> str:
    if not names:
        return "How much is it?"
    some = names if len(names) <= 4 else [*names[:3], f"one of {len(names) - 3} more"]
    return f"{', '.join(some[:-1])} or {some[-1]}?" if len(some) > 1 else f"{some[0]}?"


def _figure(summary: dict[str, Any]) -> str:
    """The headline of the run, with its doubt."""
    for name, facts in summary.items():
        value, low, high, n = (facts[key] for key in ("value", "low", "high", "n"))
        if name == "accuracy":
            return (
                f"Right on {100 * value:.1f} % of {n:,} examples that it had not seen; "
                f"{100 * low:.0f} to {100 * high:.0f} % are plausible."
            )
        kind = measure_of(name)
        shown = f"{kind.label} {kind.figure(value)} on {n:,} examples that it had not seen"
        return f"{shown}; {kind.figure(low)} to {kind.figure(high)} are plausible."
    return ""
