"""The verb that looks at data before anything is trained."""

from __future__ import annotations

from headstart.cli.flags import Data, Json, Quiet, flags_of
from headstart.cli.screen import show
from headstart.core.options import BackboneOptions, CheckOptions, DataOptions, OutputOptions


@flags_of(
    CheckOptions, OutputOptions, BackboneOptions, DataOptions, into="The folder. Default: runs/<name of DATA>-check."
)
def check(data: Data, options: dict, quiet: Quiet = False, as_json: Json = False) -> None:
    """Look for what makes a good number wrong: leaks, twins, wrong labels, shortcuts … with evidence and a remedy.

    \b
    headstart check photos/
    headstart check tickets.csv --label team --input message
    headstart check photos/ --fix cleaned && headstart fit cleaned
    """
    from headstart.cli.progress import TerminalProgress
    from headstart.cli.summaries import check_summary
    from headstart.workflows import check as workflow

    screen = TerminalProgress()

    def echo(line: dict) -> None:
        if line["event"] != "finding":  # they are the result, and shown as one table at the end
            screen.event(line)

    found = workflow.check(data, echo=None if quiet else echo, **options)
    show(found.facts, check_summary, as_json)
