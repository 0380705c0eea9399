"""The verb that sets methods side by side, and the list of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    app.command()(compare)
    app.command()(methods)


def compare(
    data: Annotated[str, typer.Argument(help="As `headstart fit` takes it.")],
    methods: Annotated[
        str, typer.Option(help="By commas: probe, knn, auto, contrast, bias, … `headstart methods`.")
    ] = "probe,finetune,lora,lpft,full,scratch",
    into: Annotated[Path | None, typer.Option(help="The folder. What it holds already is not run again.")] = None,
    backbone: Annotated[str, typer.Option(help="What to borrow, as `headstart fit` takes it.")] = "own",
    seeds: Annotated[int, typer.Option(help="Runs of each method, from other random numbers on one split.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="The split is drawn from it.")] = 0,
    budget: Annotated[str, typer.Option(help="quick, normal or thorough.")] = "normal",
    test: Annotated[str | None, typer.Option(help="More data like DATA, to judge on.")] = None,
    label: Annotated[str | None, typer.Option(help="The column with the labels.")] = None,
    input: Annotated[str | None, typer.Option(help="The column with the texts, images or paths.")] = None,
    group: Annotated[str | None, typer.Option(help="A column; rows of one group stay on one side of a split.")] = None,
    shots: Annotated[int | None, typer.Option(help="Learn from at most so many of each class.", min=1)] = None,
    group_twins: Annotated[
        bool, typer.Option("--group-twins", help="Keep near-duplicates on one side of the split.")
    ] = False,
    kind: Annotated[str | None, typer.Option(help="image or text, where it cannot be told.")] = None,
    task: Annotated[str | None, typer.Option(help="classes, tags or number, where it cannot be told.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Set methods side by side on your data: what each trains, costs and scores, and which is surely better.

    \b
    headstart compare photos/ --backbone timm:mobilenetv3_large_100
    headstart compare tickets.csv --methods probe,contrast,lora --seeds 3
    """
    from headstart.cli.progress import Screen
    from headstart.cli.summaries import contested
    from headstart.workflows import compare as workflow

    found = workflow.compare(
        data, methods=[m.strip() for m in methods.split(",") if m.strip()], into=into, backbone=backbone, seeds=seeds,
        seed=seed, budget=budget, test=test, label=label, input=input, group=group, shots=shots,
        group_twins=group_twins, kind=kind, task=task, echo=None if quiet else Screen().event,
    )  # fmt: skip
    typer.echo(json.dumps(found.facts, default=str) if as_json else contested(found.facts))


def methods(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """List what can happen above the cut, with the settings of each: headstart fit DATA --method NAME --set KEY=VALUE.

    \b
    headstart methods
    """
    from headstart.evaluation.comparison_table import known

    rows = known()
    if as_json:
        typer.echo(json.dumps({"methods": rows}))
        return
    for row in rows:
        typer.echo(f"  {row['name']:<10} {row['about']}")
        typer.echo(f"  {'':<10} best for: {row['best_for']}" if row["best_for"] else "", nl=bool(row["best_for"]))
        settings = ", ".join(f"{k}={v}" for k, v in row["settings"].items())
        typer.echo(f"  {'':<10} settings: {settings}")
