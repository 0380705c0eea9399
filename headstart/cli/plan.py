"""The verb that says how to learn from data before anything is trained."""

from __future__ import annotations

import json
import textwrap

import typer

from headstart.cli.flags import Data, Json, Quiet, flags_of
from headstart.core.options import BackboneOptions, DataOptions, OutputOptions, PlanOptions, TrainingOptions

WIDTH = 100


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(plan)


@flags_of(PlanOptions, OutputOptions, BackboneOptions, DataOptions, TrainingOptions)
def plan(data: Data, options: dict, quiet: Quiet = False, as_json: Json = False) -> None:
    """Measure how many and how similar your data are, and get a method with reasons, prices, and the line to type.

    \b
    headstart plan photos/ --backbone timm:mobilenetv3_large_100
    headstart plan tickets.csv --label team --input message
    """
    from headstart.cli.progress import TerminalProgress
    from headstart.workflows import plan as workflow

    screen = TerminalProgress()

    def echo(line: dict) -> None:
        if line["event"] not in ("finding", "plan"):  # they are the result, and shown at the end
            screen.event(line)

    found = workflow.plan(data, echo=None if quiet else echo, **options)
    typer.echo(json.dumps(found.facts, default=str) if as_json else plan_summary(found.facts))


def plan_summary(facts: dict) -> str:
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
