"""The verb that takes a model out of the house."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

WIDTH = 100
LISTED = 8  # files, the largest


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(export)


def export(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder or a model folder.")],
    to: Annotated[str, typer.Option(help="onnx, openvino, torch, timm, transformers, peft, numpy or web.")],
    into: Annotated[Path | None, typer.Option(help="The folder. Default: DIR/export/<FORMAT>.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(help="A setting of the format, as KEY=VALUE: openvino has precision=f16|f32|int8."),
    ] = None,
    limit: Annotated[float, typer.Option(help="Points of held-out accuracy that rounding to 8 bits may cost.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print export.json on stdout.")] = False,
) -> None:
    """Write a model in a form that other programs run: proven to give the same answers, or not written.

    \b
    headstart export runs/photos --to onnx
    headstart export runs/photos --to openvino --set precision=int8 --into edge/
    headstart export runs/tickets --to numpy
    """
    from headstart.cli.flags import pairs
    from headstart.deployment.export.export import export as ship

    done = ship(model, to, into=into, settings=pairs(set), limit=limit)
    typer.echo(json.dumps(done.facts) if as_json else export_summary(done.folder, done.facts))


def export_summary(folder: Path, facts: dict[str, Any]) -> str:
    """export.json for a terminal: what was written, how far it lies from the model, how it is used."""
    from headstart.reporting.formatting import format_bytes

    lines = ["", *_row("", _verdict(facts)), ""]
    large = sorted(facts["files"].items(), key=lambda item: -item[1]["bytes"])[:LISTED]
    lines += [f"  {format_bytes(entry['bytes']):>9}  {folder / name}" for name, entry in large]
    lines.append("")
    for sentence in facts["says"]:
        lines += _row("note", sentence)
    if facts["needs"]:
        lines += ["", f"  use it    pip install {' '.join(facts['needs'])}"]
        lines.append(f"            python {folder / 'predict.py'} {facts['takes']}…")
    lines += [f"  read      {folder / 'README.md'}", ""]
    return "\n".join(lines)


def _verdict(facts: dict[str, Any]) -> str:
    found, rounded = facts["witness"], facts.get("rounded")
    what = {"image": "photos", "text": "texts"}.get(facts["inputs"], "vectors")
    if rounded:
        drop = rounded["accuracy_drop"]
        cost = "" if drop is None else f" Accuracy {'rises' if drop < 0 else 'falls'} by {abs(drop):.1f} points."
        return (
            f"Rounded to 8 bits: answers {100 - rounded['changed_percent']:.1f} % of {rounded['n']} "
            f"{rounded['judged_on']} as the model does.{cost}"
        )
    return (
        f"Gives the model's own answers: on the {found['n']} {what} that travel with it, probabilities differ by "
        f"{found['largest']:.1e} at most ({facts['tolerance']:.0e} is allowed)."
    )


def _row(lead: str, text: str) -> list[str]:
    start = f"  {lead:<9} " if lead else "  "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False)
