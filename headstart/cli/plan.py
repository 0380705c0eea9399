"""The verb that says how to learn from data before anything is trained."""

from __future__ import annotations

from headstart.cli.flags import Data, Json, Quiet, flags_of
from headstart.cli.screen import show
from headstart.core.options import BackboneOptions, DataOptions, OutputOptions, PlanOptions, TrainingOptions


@flags_of(
    PlanOptions,
    OutputOptions,
    BackboneOptions,
    DataOptions,
    TrainingOptions,
    into="The folder. Default: runs/<name of DATA>-plan.",
)
def plan(data: Data, options: dict, quiet: Quiet = False, as_json: Json = False) -> None:
    """Measure how many and how similar your data are, and get a method with reasons, prices, and the line to type.

    \b
    headstart plan photos/ --backbone timm:mobilenetv3_large_100
    headstart plan tickets.csv --label team --input message
    """
    from headstart.cli.progress import TerminalProgress
    from headstart.cli.summaries import plan_summary
    from headstart.workflows import plan as workflow

    screen = TerminalProgress()

    def echo(line: dict) -> None:
        if line["event"] not in ("finding", "plan"):  # they are the result, and shown at the end
            screen.event(line)

    found = workflow.plan(data, echo=None if quiet else echo, **options)
    show(found.facts, plan_summary, as_json)
