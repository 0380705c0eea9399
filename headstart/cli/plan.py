"""The verb that says how to learn from data before anything is trained."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Annotated

import typer

WIDTH = 100


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(plan)


def plan(
    data: Annotated[str, typer.Argument(help="As `headstart fit` takes it.")],
    into: Annotated[Path | None, typer.Option(help="The folder. Default: runs/<name of DATA>-plan.")] = None,
    backbone: Annotated[str, typer.Option(help="What would be borrowed, as `headstart fit` takes it.")] = "own",
    budget: Annotated[str, typer.Option(help="quick, normal or thorough: for the price of training.")] = "normal",
    reference: Annotated[
        str | None, typer.Option(help="Data like those the backbone was trained on, if you have any.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The split and the draws come from it.")] = 0,
    test: Annotated[str | None, typer.Option(help="More data like DATA, to judge on.")] = None,
    label: Annotated[str | None, typer.Option(help="The column with the labels.")] = None,
    input: Annotated[str | None, typer.Option(help="The column with the texts, images or paths.")] = None,
    group: Annotated[str | None, typer.Option(help="A column; rows of one group stay on one side of a split.")] = None,
    shots: Annotated[int | None, typer.Option(help="As if no more of each class were labelled.", min=1)] = None,
    kind: Annotated[str | None, typer.Option(help="image or text, where it cannot be told.")] = None,
    task: Annotated[str | None, typer.Option(help="classes, tags or number, where it cannot be told.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Measure how many and how similar your data are, and get a method with reasons, prices, and the line to type.

    \b
    headstart plan photos/ --backbone timm:mobilenetv3_large_100
    headstart plan tickets.csv --label team --input message
    """
    from headstart.cli.progress import Screen
    from headstart.workflows import plan as workflow

    screen = Screen()

    def echo(line: dict) -> None:
        if line["event"] not in ("finding", "plan"):  # they are the result, and shown at the end
            screen.event(line)

    found = workflow.plan(
        data, into=into, backbone=backbone, budget=budget, reference=reference, seed=seed, test=test, label=label,
        input=input, group=group, shots=shots, kind=kind, task=task, echo=None if quiet else echo,
    )  # fmt: skip
    typer.echo(json.dumps(found.facts, default=str) if as_json else sheet(found.facts))


def sheet(facts: dict) -> str:
    """plan.json for a terminal: the verdict, why, what it costs, what to type. At most 100 columns but for paths."""
    lines = ["", *_row("", facts["verdict"]), ""]
    for n, reason in enumerate(facts["reasons"]):
        lines += _row("because" if not n else "", reason)
    price = facts["price"]
    costs = [f"{key} about {price[key]:,.0f} s" for key in ("embedding", "learning") if price[key] is not None]
    costs.append(f"a file of about {price['bytes'] / 1e6:,.2g} MB")
    lines += ["", *_row("price", f"{'; '.join(costs)}. {price['says']}")]
    for finding in facts["findings"]:
        fix = f" To mend it: {finding['fix']}." if finding["fix"] else ""
        lines += _row("warning" if finding["level"] == "warn" else finding["level"], finding["message"] + fix)
    lines += ["", f"  type      {facts['command']}", f"  picture   {facts['folder']}/plan.html", ""]
    return "\n".join(lines)


def _row(lead: str, text: str) -> list[str]:
    start = f"  {lead:<9} "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * 12, break_long_words=False)
