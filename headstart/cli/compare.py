"""The verb that sets methods side by side, and the list of them."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli.flags import Data, Json, Quiet, flags_of
from headstart.cli.screen import show
from headstart.core.options import BackboneOptions, CompareOptions, DataOptions, OutputOptions, TrainingOptions


@flags_of(
    CompareOptions,
    OutputOptions,
    BackboneOptions,
    DataOptions,
    TrainingOptions,
    into="The folder. What it holds already is not run again. Default: runs/<name of DATA>-compare.",
)
def compare(data: Data, options: dict, quiet: Quiet = False, as_json: Json = False) -> None:
    """Set methods side by side on your data: what each trains, costs and scores, and which is surely better.

    \b
    headstart compare photos/ --backbone timm:mobilenetv3_large_100
    headstart compare tickets.csv --methods probe,contrast,lora --seeds 3
    """
    from headstart.cli.progress import TerminalProgress
    from headstart.cli.summaries import comparison_summary
    from headstart.workflows import compare as workflow

    found = workflow.compare(data, echo=None if quiet else TerminalProgress().event, **options)
    show(found.facts, comparison_summary, as_json)


def methods(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """List what can happen above the cut, with the settings of each: headstart fit DATA --method NAME --set KEY=VALUE.

    \b
    headstart methods
    """
    from headstart.cli.summaries import methods_table
    from headstart.evaluation.comparison_table import list_methods

    show({"methods": list_methods()}, methods_table, as_json)
