"""The verb that takes a model out of the house."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.flags import Base


def export(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder or a model folder.")],
    to: Annotated[str, typer.Option(help="onnx, openvino, torch, timm, transformers, peft, numpy or web.")],
    into: Annotated[Path | None, typer.Option(help="The folder. Default: DIR/export/<FORMAT>.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(help="A setting of the format, as KEY=VALUE: openvino has precision=f16|f32|int8."),
    ] = None,
    base: Base = None,
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
    from headstart.cli.summaries import export_summary
    from headstart.deployment.export.export import export as ship

    done = ship(model, to, into=into, settings=pairs(set), limit=limit, base=base)
    typer.echo(json.dumps(done.facts) if as_json else export_summary(done.folder, done.facts))
