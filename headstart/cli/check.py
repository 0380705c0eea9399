"""The verb that looks at data before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(check)


def check(
    data: Annotated[str, typer.Argument(help="As `headstart fit` takes it.")],
    into: Annotated[Path | None, typer.Option(help="The folder. Default: runs/<name of DATA>-check.")] = None,
    backbone: Annotated[
        str, typer.Option(help="Through which the data are seen, as `headstart fit` takes it.")
    ] = "own",
    seed: Annotated[int, typer.Option(help="The split is drawn from it.")] = 0,
    test: Annotated[str | None, typer.Option(help="More data like DATA, to judge on.")] = None,
    label: Annotated[str | None, typer.Option(help="The column with the labels.")] = None,
    input: Annotated[str | None, typer.Option(help="The column with the texts, images or paths.")] = None,
    group: Annotated[str | None, typer.Option(help="A column; rows of one group stay on one side of a split.")] = None,
    kind: Annotated[str | None, typer.Option(help="image or text, where it cannot be told.")] = None,
    task: Annotated[str | None, typer.Option(help="classes, tags or number, where it cannot be told.")] = None,
    group_twins: Annotated[
        bool, typer.Option("--group-twins", help="Keep near-duplicates on one side of the split.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(help="What the backbone was trained on, if you have it: is any of it in your test part?"),
    ] = None,
    fix: Annotated[
        Path | None, typer.Option(help="A new folder for a cleaned list of the examples; your files are left alone.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Look for what makes a good number wrong: leaks, twins, wrong labels, shortcuts … with evidence and a remedy.

    \b
    headstart check photos/
    headstart check tickets.csv --label team --input message
    headstart check photos/ --fix cleaned && headstart fit cleaned
    """
    from headstart.cli.progress import Screen
    from headstart.cli.summaries import table
    from headstart.workflows import check as workflow

    screen = Screen()

    def echo(line: dict) -> None:
        if line["event"] != "finding":  # they are the result, and shown as one table at the end
            screen.event(line)

    found = workflow.check(
        data, into=into, backbone=backbone, seed=seed, test=test, label=label, input=input, group=group, kind=kind,
        task=task, group_twins=group_twins, against=against, fix=fix, echo=None if quiet else echo,
    )  # fmt: skip
    typer.echo(json.dumps(found.facts, default=str) if as_json else table(found.facts))
